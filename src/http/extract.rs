//! Extractors whose rejections are problems.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bodies::read_body;
use super::json::{field_refusal, parse_json};
use super::problem::Problem;
use crate::domain::refusal::Refusal;
use crate::error::Error;

/// A JSON body, in and out. Unknown fields are refused by the types that derive
/// `deny_unknown_fields`.
#[derive(Debug, Clone)]
pub struct Json<T>(pub T);

/// The parameters of the path. What does not parse names nothing, and reads as 404.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

/// The parameters of the query string.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let body = json_body(request).await?;
        Ok(Self(parse_json(&body)?))
    }
}

/// The bytes of a body that calls itself JSON, up to the limit of the route.
pub(super) async fn json_body(request: Request) -> Result<Bytes, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    read_body(request).await
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => Error::fault(format!("a response cannot be written as JSON: {error}"))
                .into_response(),
        }
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    #[expect(
        clippy::disallowed_types,
        reason = "this wraps it, so that its rejection is a problem"
    )]
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        use axum::extract::path::ErrorKind;
        use axum::extract::rejection::PathRejection;

        let extracted = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        extracted
            .map(|path| Self(path.0))
            .map_err(|rejection| match rejection {
                PathRejection::FailedToDeserializePathParams(error)
                    if matches!(error.kind(), ErrorKind::InvalidUtf8InPathParam { .. }) =>
                {
                    Problem::from(Refusal::MalformedRequest(
                        "The path is not UTF-8.".to_owned(),
                    ))
                }
                _ => Problem::from(Refusal::NotFound("resource")),
            })
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes());
        let parsed = serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs));
        parsed.map(Self).map_err(
            |error: serde_path_to_error::Error<serde_urlencoded::de::Error>| {
                Problem::from(field_refusal(
                    &error.path().to_string(),
                    &error.inner().to_string(),
                ))
            },
        )
    }
}
