//! Is a webhook delivery Stripe's? <https://docs.stripe.com/webhooks#verify-manually>

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::Secret;
use crate::domain::refusal::Refusal;

/// How far the time of a signature may be from ours, in either direction. Stripe's libraries check
/// the past only; a signature from the future is no less a sign of a forged or broken clock.
const SIGNATURE_AGE_MAX: TimeDelta = TimeDelta::seconds(300);
/// Signatures that are looked at. Stripe sends one per active secret, and at most two are active at
/// once.
const SIGNATURES_MAX: usize = 16;

/// Refuses a body that was not signed with one of `secrets` within five minutes of `now`.
///
/// The scheme is Stripe's `v1`: HMAC-SHA256 of `{t}.{body}`, compared in constant time; other
/// schemes do not count. <https://docs.stripe.com/webhooks#verify-manually>
pub fn verify(
    header: Option<&[u8]>,
    body: &[u8],
    secrets: &[Secret],
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let header = header.and_then(|bytes| str::from_utf8(bytes).ok());
    let header = header.ok_or(Refusal::InvalidSignature(
        "There is no readable header Stripe-Signature.",
    ))?;
    let fields = || header.split(',').filter_map(|field| field.split_once('='));
    let timestamp = fields()
        .filter(|(key, _)| *key == "t")
        .map(|(_, value)| value)
        .next_back();
    let timestamp = timestamp.ok_or(Refusal::InvalidSignature(
        "The header Stripe-Signature has no time t.",
    ))?;
    let signatures = fields()
        .filter(|(key, _)| *key == "v1")
        .take(SIGNATURES_MAX);
    let mut signatures = signatures.filter_map(|(_, value)| lower_hex(value));
    if !signatures.any(|signature| {
        secrets
            .iter()
            .any(|secret| is_signed(secret, timestamp, body, &signature))
    }) {
        return Err(Refusal::InvalidSignature(
            "No signature v1 fits the body and the configured secret; \
             is STRIPE_WEBHOOK_SECRET that of this endpoint?",
        ));
    }
    let signed_at = timestamp
        .parse()
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    match signed_at {
        Some(at) if now.signed_duration_since(at).abs() <= SIGNATURE_AGE_MAX => Ok(()),
        _ => Err(Refusal::InvalidSignature(
            "The signature is not from the last five minutes; are both clocks right?",
        )),
    }
}

fn lower_hex(text: &str) -> Option<Vec<u8>> {
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    hex::decode(text).ok().filter(|_| lower)
}

fn is_signed(secret: &Secret, timestamp: &str, body: &[u8], signature: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()) else {
        return false;
    };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.verify_slice(signature).is_ok()
}
