//! The response to an API request, with Stripe's headers.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::api_request::ApiRequest;
use super::event::API_VERSION;
use super::refusal::Refusal;
use super::rendering::pretty;

#[derive(Debug, Clone)]
pub(super) struct ApiResponse {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) content_type: &'static str,
    /// The request whose stored response this is.
    pub(super) original_request: Option<String>,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl ApiResponse {
    pub(super) fn json(status: u16, body: String) -> Self {
        Self {
            status,
            body,
            content_type: "application/json",
            original_request: None,
            headers: Vec::new(),
        }
    }

    /// The error that says so.
    pub(super) fn refusal(request: &ApiRequest, refusal: &Refusal) -> Self {
        let body = pretty(&refusal.body(&request.request_id));
        let mut response = Self::json(refusal.status, body);
        if refusal.status == 401 {
            let challenge = ("www-authenticate", "Basic realm=\"Stripe\"".to_owned());
            response.headers.push(challenge);
        }
        response
    }

    /// The session that the request has created, if that is what it did.
    pub(super) fn created_session(&self, request: &ApiRequest) -> Option<String> {
        if request.method != "POST" || request.path != "/v1/checkout/sessions" {
            return None;
        }
        let object: Value = serde_json::from_str(&self.body).ok()?;
        object.get("id")?.as_str().map(ToOwned::to_owned)
    }

    /// Adds the headers that every response has; the date is the simulator's.
    pub(super) fn into_response(self, request: &ApiRequest, now: DateTime<Utc>) -> Response {
        let version = request.header("stripe-version").unwrap_or(API_VERSION);
        let date = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut headers = vec![
            (header::CONTENT_TYPE.as_str(), self.content_type.to_owned()),
            (header::DATE.as_str(), date),
            (
                header::CACHE_CONTROL.as_str(),
                "no-cache, no-store".to_owned(),
            ),
            ("request-id", request.request_id.clone()),
            ("stripe-version", version.to_owned()),
        ];
        if let Some(key) = request.idempotency_key() {
            headers.push(("idempotency-key", key.to_owned()));
        }
        if let Some(original) = self.original_request {
            headers.push(("idempotent-replayed", "true".to_owned()));
            headers.push(("original-request", original));
        }
        headers.extend(self.headers);
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Body::from(self.body)).into_response();
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response
                    .headers_mut()
                    .insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}
