//! Extractors whose rejections are problems.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::Problem;
use crate::domain::refusal::Refusal;
use crate::error::Error;

/// How JSON writes the character U+0000; the four digits have no other form.
const NUL_ESCAPE: &[u8] = br"\u0000";

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

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = json_body(request, state).await?;
        parse_json(&body)
            .map(Self)
            .map_err(|refusal| Problem::from(&refusal))
    }
}

/// The bytes of a body that calls itself JSON, up to the limit of the route.
pub(super) async fn json_body<S: Send + Sync>(
    request: Request,
    state: &S,
) -> Result<Bytes, Problem> {
    if !is_json(request.headers()) {
        let detail = "Send the body as application/json.";
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            detail,
        ));
    }
    read_body(request, state).await
}

/// The bytes of a body, up to the limit of the route.
pub async fn read_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let detail = "The body of the request is too large.";
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
            }
            _ => Problem::from(&Refusal::MalformedRequest(
                "The body of the request did not arrive whole.".to_owned(),
            )),
        })
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

/// Reads a JSON object; what is missing, unknown, of the wrong type, or not to be stored is named
/// by its path.
pub(super) fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut deserializer);
    let value = parsed.map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            field_refusal(&path, &inner.to_string())
        } else {
            malformed(&inner)
        }
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    // A list would do for a struct whose members it has in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refusal::field("", "must be a JSON object"));
    }
    refuse_nul(body)?;
    Ok(value)
}

/// Refuses the one character that a string of JSON can have and a text of Postgres cannot. In a
/// body that parses, it can only stand as an escape.
fn refuse_nul(body: &[u8]) -> Result<(), Refusal> {
    if !body
        .windows(NUL_ESCAPE.len())
        .any(|bytes| bytes == NUL_ESCAPE)
    {
        return Ok(());
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    match nul_path(&value) {
        Some(path) => Err(Refusal::field(
            path.trim_start_matches('.'),
            "must not contain the character U+0000",
        )),
        None => Ok(()),
    }
}

/// Where the first string with a NUL stands: `.rows[0].row`.
fn nul_path(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, item)| nul_path(item).map(|path| format!("[{index}]{path}")))
        }
        Value::Object(members) => {
            let mut members = members.iter();
            members.find_map(|(name, member)| nul_path(member).map(|path| format!(".{name}{path}")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn malformed(error: &serde_json::Error) -> Refusal {
    Refusal::MalformedRequest(format!("The body is not JSON: {error}."))
}

/// Serde speaks of a member that is missing or given twice where the struct stands; here the member
/// is named.
fn field_refusal(path: &str, message: &str) -> Refusal {
    let path = if path == "." { "" } else { path };
    let message = message.split(" at line ").next().unwrap_or_default();
    for (start, sentence) in [
        ("missing field `", "is missing"),
        ("duplicate field `", "is given twice"),
    ] {
        if let Some(name) = message
            .strip_prefix(start)
            .and_then(|rest| rest.strip_suffix('`'))
        {
            let field = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            };
            return Refusal::field(field, sentence);
        }
    }
    Refusal::field(path, format!("cannot be read: {message}"))
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => Error::fault(format!("an answer cannot be written as JSON: {error}"))
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
                    Problem::from(&Refusal::MalformedRequest(
                        "The path is not UTF-8.".to_owned(),
                    ))
                }
                _ => Problem::from(&Refusal::NotFound("resource")),
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
                Problem::from(&field_refusal(
                    &error.path().to_string(),
                    &error.inner().to_string(),
                ))
            },
        )
    }
}
