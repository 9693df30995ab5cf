//! Takes in an API request: its parts, its key, its parameters; and gives out the answer with
//! Stripe's headers.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};

use super::event::API_VERSION;
use super::form;
use super::ids;
use super::journal::RequestRecord;
use super::refusal::Refusal;

const BODY_BYTES_MAX: usize = 1024 * 1024;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Incoming {
    pub(super) request_id: String,
    pub(super) method: String,
    pub(super) path: String,
    query: String,
    raw: String,
    headers: HeaderMap,
}

impl Incoming {
    /// Reads the whole request; a body that is too large or cut short reads as empty.
    pub(super) async fn read(request: Request) -> Self {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, BODY_BYTES_MAX)
            .await
            .unwrap_or_default();
        Self {
            request_id: ids::object_id("req"),
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            raw: String::from_utf8_lossy(&bytes).into_owned(),
            headers: parts.headers,
        }
    }

    /// Decoded names and values from the query and, for a POST, the body.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs = form::pairs(&self.query);
        pairs.extend(form::pairs(&self.raw));
        pairs
    }

    /// Keys count only on POST; other methods are idempotent by themselves.
    pub(super) fn idempotency_key(&self) -> Option<&str> {
        self.header("idempotency-key")
            .filter(|_| self.method == "POST")
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn record(&self) -> RequestRecord {
        RequestRecord {
            request_id: self.request_id.clone(),
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            raw: self.raw.clone(),
            idempotency_key: self.idempotency_key().map(ToOwned::to_owned),
            stripe_version: self.header("stripe-version").map(ToOwned::to_owned),
            status: None,
            fault: None,
        }
    }

    /// A test key, as a bearer token or as the user of basic authentication
    /// (<https://docs.stripe.com/api/authentication>).
    pub(super) fn authenticate(&self) -> Result<(), Refusal> {
        let given = self.header("authorization").and_then(key_of);
        let Some(key) = given else {
            return Err(Refusal::new(
                401,
                "invalid_request_error",
                "You did not provide an API key. You need to provide your API key in the Authorization header, \
                 using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            ));
        };
        let secret = key
            .strip_prefix("sk_test_")
            .or(key.strip_prefix("rk_test_"));
        if secret.is_some_and(|secret| !secret.is_empty()) {
            return Ok(());
        }
        let shown: String = key.chars().take(8).collect();
        Err(Refusal::new(
            401,
            "invalid_request_error",
            format!(
                "Invalid API Key provided: {shown}****. This is a simulator: it takes test keys only."
            ),
        ))
    }
}

fn key_of(authorization: &str) -> Option<String> {
    let (scheme, credentials) = authorization.split_once(' ')?;
    let key = if scheme.eq_ignore_ascii_case("bearer") {
        credentials.trim().to_owned()
    } else {
        let decoded = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
        decoded.split(':').next()?.to_owned()
    };
    Some(key).filter(|key| !key.is_empty())
}

/// What the client gets, before the headers that every answer has.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) content_type: &'static str,
    /// The request whose kept answer this is.
    pub(super) original_request: Option<String>,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Answer {
    pub(super) fn json(status: u16, body: String) -> Self {
        Self {
            status,
            body,
            content_type: "application/json",
            original_request: None,
            headers: Vec::new(),
        }
    }

    /// Adds the headers of every answer; the date is the simulator's.
    pub(super) fn into_response(self, incoming: &Incoming, now: DateTime<Utc>) -> Response {
        let version = incoming.header("stripe-version").unwrap_or(API_VERSION);
        let date = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut headers = vec![
            (header::CONTENT_TYPE.as_str(), self.content_type.to_owned()),
            (header::DATE.as_str(), date),
            (
                header::CACHE_CONTROL.as_str(),
                "no-cache, no-store".to_owned(),
            ),
            ("request-id", incoming.request_id.clone()),
            ("stripe-version", version.to_owned()),
        ];
        if let Some(key) = incoming.idempotency_key() {
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
