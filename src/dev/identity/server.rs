//! What the issuer answers: its key to everybody, and to a developer's browser the site and the
//! sessions it uses.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::session;
use super::shared::SharedIssuer;

const SITE: &str = include_str!("site.html");
/// Long enough for a day's work on one pasted token.
const SITE_SESSION: TimeDelta = TimeDelta::hours(12);

/// The key, for everybody.
pub(super) fn keys(shared: &Arc<SharedIssuer>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(show_configuration))
        .route("/.well-known/jwks.json", get(show_keys))
        .with_state(Arc::clone(shared))
}

/// The site and its sessions, for a developer's browser, if there is a site.
pub(super) fn site(shared: &Arc<SharedIssuer>) -> Router {
    if shared.site.is_none() {
        return Router::new();
    }
    Router::new()
        .route("/", get(show_site))
        .route("/booking/success", get(show_site))
        .route("/booking/cancel", get(show_site))
        .route("/sessions", get(show_sessions))
        .with_state(Arc::clone(shared))
}

async fn show_configuration(State(shared): State<Arc<SharedIssuer>>) -> impl IntoResponse {
    let url = &shared.url;
    as_json(&json!({
        "issuer": url,
        "jwks_uri": format!("{url}/.well-known/jwks.json"),
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
    }))
}

async fn show_keys(State(shared): State<Arc<SharedIssuer>>) -> impl IntoResponse {
    shared.jwks_requests.fetch_add(1, Ordering::Relaxed);
    as_json(&json!({"keys": [shared.key().jwk()]}))
}

/// One page for all paths; its script looks at which one it is.
async fn show_site() -> Html<&'static str> {
    Html(SITE)
}

/// Whoever can open this page is the developer: no other origin may read the answer.
#[expect(
    clippy::disallowed_methods,
    reason = "a session for a person's browser begins at this moment, not on a test's clock"
)]
async fn show_sessions(State(shared): State<Arc<SharedIssuer>>) -> impl IntoResponse {
    let now = Utc::now();
    as_json(&json!({
        "api": shared.site.as_ref().map(|site| &site.api),
        "customer": session::token(&shared, &session::CUSTOMER, now, SITE_SESSION),
        "admin": session::token(&shared, &session::ADMIN, now, SITE_SESSION),
    }))
}

fn as_json(body: &Value) -> impl IntoResponse + use<> {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, body.to_string())
}
