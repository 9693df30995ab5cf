//! Keeps web pages out of what listens on a developer's machine. A page of any site can have the
//! browser ask `127.0.0.1`; by DNS rebinding it can even read the answers, with its own name as
//! `Host`. <https://developer.mozilla.org/en-US/docs/Web/Security/Attacks/DNS_rebinding>

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The port of `http` where none is named.
const HTTP_PORT: u16 = 80;

/// The same routes for this machine alone: a request whose `Host` is not a name of the loopback
/// address with the port of `listening` gets 421. Where it listens for other machines as well,
/// under whatever names they know it by, nothing is refused.
/// <https://www.rfc-editor.org/rfc/rfc9110#section-15.5.20>
pub fn only_here<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    listening: SocketAddr,
) -> Router<S> {
    if listening.ip().is_loopback() {
        router.layer(from_fn_with_state(listening.port(), refuse_other_hosts))
    } else {
        router
    }
}

/// The same routes for everybody but the pages of other sites: 403 for a request that changes
/// something and has an `Origin` that is not where it goes to.
pub fn no_other_sites<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.layer(from_fn(refuse_other_sites))
}

/// The same routes for JSON alone, which no page of another site can send unasked: 415 for a body
/// that says that it is something else, or nothing.
pub fn only_json<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.layer(from_fn(refuse_other_types))
}

async fn refuse_other_hosts(State(port): State<u16>, request: Request, next: Next) -> Response {
    let host = host_of(request.headers()).or_else(|| request.uri().authority().cloned());
    if host.is_some_and(|host| is_here(&host, port)) {
        return next.run(request).await;
    }
    let detail = format!("This is only for this machine, as 127.0.0.1:{port} or localhost:{port}.");
    refuse(
        StatusCode::MISDIRECTED_REQUEST,
        "misdirected_request",
        &detail,
    )
}

async fn refuse_other_sites(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let is_foreign = headers.get(ORIGIN).is_some_and(|origin| {
        let origin = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.parse::<Uri>().ok());
        let origin = origin.and_then(|origin| origin.authority().cloned());
        origin.is_none() || origin != host_of(headers)
    });
    if is_foreign && !request.method().is_safe() {
        let detail = "No page of another site may do this.";
        return refuse(StatusCode::FORBIDDEN, "origin_not_allowed", detail);
    }
    next.run(request).await
}

async fn refuse_other_types(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || headers
            .get(CONTENT_LENGTH)
            .is_some_and(|length| length != "0");
    let is_json = match kind {
        None => !has_body,
        Some(kind) => {
            let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
            kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
        }
    };
    if is_json {
        return next.run(request).await;
    }
    let detail = "The body must be JSON, with the header `Content-Type: application/json`.";
    refuse(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        detail,
    )
}

fn host_of(headers: &HeaderMap) -> Option<Authority> {
    Authority::try_from(headers.get(HOST)?.as_bytes()).ok()
}

fn is_here(host: &Authority, port: u16) -> bool {
    let name = host.host();
    let ip = name.trim_start_matches('[').trim_end_matches(']').parse();
    let is_loopback =
        name.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip: IpAddr| ip.is_loopback());
    is_loopback && host.port_u16().unwrap_or(HTTP_PORT) == port
}

fn refuse(status: StatusCode, code: &str, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let problem = json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "code": code,
        "detail": detail,
    });
    let kind = [(CONTENT_TYPE, "application/problem+json")];
    (status, kind, problem.to_string()).into_response()
}
