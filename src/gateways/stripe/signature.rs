//! Is a webhook delivery Stripe's? <https://docs.stripe.com/webhooks#verify-manually>

use chrono::{DateTime, TimeDelta, Utc};
use hmac::digest::CtOutput;
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
/// HMAC-SHA256 has so many bytes.
const CODE_BYTES: usize = 32;

/// The header of a delivery, which may be from Stripe: it is from within five minutes, and has
/// something to compare.
#[derive(Debug)]
pub struct SignatureHeader<'a> {
    timestamp: &'a str,
    signatures: Vec<[u8; CODE_BYTES]>,
}

impl<'a> SignatureHeader<'a> {
    /// Refuses what no body could fit, so that the body of a clumsy forgery need not be read.
    pub fn parse(header: Option<&'a [u8]>, now: DateTime<Utc>) -> Result<Self, Refusal> {
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
        if !is_recent(timestamp, now) {
            return Err(Refusal::InvalidSignature(
                "The signature is not from the last five minutes; are both clocks right?",
            ));
        }
        let signatures = fields()
            .filter(|(key, _)| *key == "v1")
            .take(SIGNATURES_MAX);
        let signatures: Vec<_> = signatures.filter_map(|(_, value)| code(value)).collect();
        if signatures.is_empty() {
            return Err(Refusal::InvalidSignature(
                "The header Stripe-Signature has no signature v1.",
            ));
        }
        Ok(Self {
            timestamp,
            signatures,
        })
    }

    /// Refuses a body that was not signed with one of `secrets`.
    ///
    /// The scheme is Stripe's `v1`: HMAC-SHA256 of `{t}.{body}`, compared in constant time; other
    /// schemes do not count. One pass over the body for each secret, however many signatures there
    /// are. <https://docs.stripe.com/webhooks#verify-manually>
    pub fn verify(&self, body: &[u8], secrets: &[Secret]) -> Result<(), Refusal> {
        if secrets.iter().any(|secret| self.is_signed(secret, body)) {
            return Ok(());
        }
        Err(Refusal::InvalidSignature(
            "No signature v1 fits the body and the configured secret; \
             is STRIPE_WEBHOOK_SECRET that of this endpoint?",
        ))
    }

    fn is_signed(&self, secret: &Secret, body: &[u8]) -> bool {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()) else {
            return false;
        };
        mac.update(self.timestamp.as_bytes());
        mac.update(b".");
        mac.update(body);
        let right = mac.finalize();
        let mut signatures = self.signatures.iter();
        signatures.any(|signature| right == CtOutput::new((*signature).into()))
    }
}

fn is_recent(timestamp: &str, now: DateTime<Utc>) -> bool {
    let signed_at = timestamp
        .parse()
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    signed_at.is_some_and(|at| now.signed_duration_since(at).abs() <= SIGNATURE_AGE_MAX)
}

/// The code that 64 lower-case hexadecimal digits write.
fn code(text: &str) -> Option<[u8; CODE_BYTES]> {
    let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    let mut code = [0; CODE_BYTES];
    let decoded = hex::decode_to_slice(text, &mut code);
    (is_lower && decoded.is_ok()).then_some(code)
}
