//! The header `Idempotency-Key`, and how requests are told apart.

use axum::http::{HeaderMap, HeaderName};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, Required, Type};

use crate::domain::refusal::Refusal;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The header as people write it.
const HEADER_TITLE: &str = "Idempotency-Key";
const LENGTH_MAX: usize = 255;

/// The value of the header, if the request has one. Refuses with `validation_failed`.
pub(super) fn value(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(HEADER) else {
        return Ok(None);
    };
    let value = value
        .to_str()
        .ok()
        .filter(|value| value.bytes().all(|byte| byte.is_ascii_graphic()));
    match value {
        Some(value) if (1..=LENGTH_MAX).contains(&value.len()) => Ok(Some(value.to_owned())),
        _ => Err(Refusal::field(
            HEADER_TITLE,
            format!("must be 1 to {LENGTH_MAX} visible ASCII characters"),
        )),
    }
}

/// Two bodies are the same request if they are the same JSON, whatever their spaces and order.
pub(super) fn request_hash(target: &str, body: &[u8]) -> Vec<u8> {
    let canonical = serde_json::from_slice::<Value>(body)
        .map(|value| value.to_string())
        .unwrap_or_default();
    Sha256::new()
        .chain_update(target)
        .chain_update(b"\n")
        .chain_update(canonical)
        .finalize()
        .to_vec()
}

/// The header, for the description of an endpoint.
pub(super) fn parameter() -> Parameter {
    let value = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(LENGTH_MAX));
    ParameterBuilder::new()
        .name(HEADER_TITLE)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Visible ASCII. The same key gives the first response again.",
        ))
        .schema(Some(value))
        .build()
}
