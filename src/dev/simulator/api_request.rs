//! An API request: its parts, its idempotency key, its parameters and its credentials.

use axum::extract::Request;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::form;
use super::ids;
use super::journal::RequestRecord;
use super::refusal::Refusal;

const BODY_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug, Clone)]
pub(super) struct ApiRequest {
    pub(super) request_id: String,
    pub(super) method: String,
    pub(super) path: String,
    query: String,
    raw: String,
    headers: HeaderMap,
}

impl ApiRequest {
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
                "You did not provide an API key. You need to provide your API key in the \
                 Authorization header, using Bearer auth (e.g. 'Authorization: Bearer \
                 YOUR_SECRET_KEY').",
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
                "Invalid API Key provided: {shown}****. This is a simulator: it takes test keys \
                 only."
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
