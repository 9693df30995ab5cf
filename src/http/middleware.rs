//! What wraps every request: its id, its span, its time limit, and a problem for whatever goes
//! wrong.

use std::any::Any;
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::header::{CACHE_CONTROL, HOST, X_CONTENT_TYPE_OPTIONS};
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Span;
use uuid::Uuid;

use super::problem::{Problem, render};
use crate::domain::refusal::Refusal;
use crate::error::panic_text;

/// A request that takes longer is broken off. Longer than Stripe may take: the tries within one
/// request take 20 s.
pub const REQUEST_MAX: Duration = Duration::from_secs(30);
/// The longest request id that is taken over from the caller.
const REQUEST_ID_LENGTH_MAX: usize = 128;
/// The header that carries the id of a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A browser must not guess what an answer is.
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// It is the caller's alone.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Takes the caller's `x-request-id` where it is 1 to 128 visible ASCII characters, else makes one;
/// returns it with the response and in every problem. What does not say that it may be kept is
/// nobody's to keep.
pub async fn request_id(mut request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    let given = given.filter(|id| (1..=REQUEST_ID_LENGTH_MAX).contains(&id.len()));
    let given = given.filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic()));
    let id = given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
    let value = HeaderValue::from_str(&id).ok();
    if let Some(value) = value.clone() {
        request.headers_mut().insert(REQUEST_ID, value);
    }
    let mut response = render(next.run(request).await, &id);
    let headers = response.headers_mut();
    if let Some(value) = value {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.entry(CACHE_CONTROL).or_insert(NO_STORE);
    response
}

/// The span of a request. It carries the route, not the path: a path may hold a token.
pub fn span(request: &Request) -> Span {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("-", MatchedPath::as_str);
    let id = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let method = request.method();
    tracing::info_span!("request", request.id = id, http.method = %method, http.route = route)
}

/// Breaks off a request that takes too long. What it had committed stays; what it had not is rolled
/// back.
pub async fn time_limit(request: Request, next: Next) -> Response {
    tokio::time::timeout(REQUEST_MAX, next.run(request))
        .await
        .unwrap_or_else(|_| {
            tracing::error!("the request took longer than {REQUEST_MAX:?} and was broken off");
            Problem::internal().into_response()
        })
}

/// Refuses a request of HTTP/1.1 that does not name one host, with 400.
/// <https://www.rfc-editor.org/rfc/rfc9112#section-3.2>
#[expect(
    clippy::result_large_err,
    reason = "the signature that the layer takes"
)]
pub fn one_host(request: &mut Request) -> Result<(), Response> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let is_one = match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            let host = host.as_bytes();
            host.is_empty() || Authority::try_from(host).is_ok()
        }
        (None, None) => request.version() < Version::HTTP_11,
        (_, Some(_)) => false,
    };
    if is_one {
        return Ok(());
    }
    let detail = "The request must have one header Host.".to_owned();
    Err(Problem::from(Refusal::MalformedRequest(detail)).into_response())
}

/// The response of a handler that has panicked.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer hands the panic over"
)]
pub fn on_panic(panic: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked: {}", panic_text(&*panic));
    Problem::internal().into_response()
}
