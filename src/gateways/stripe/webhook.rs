//! A webhook delivery: is it Stripe's, and what does it say? <https://docs.stripe.com/webhooks>

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use super::objects::EventObject;
use crate::config::Secret;
use crate::domain::ids::AttemptId;
use crate::domain::refusal::Refusal;
use crate::domain::settlement::{Capture, Fact};

/// How far the time of a signature may be from ours, in either direction. Stripe's libraries check
/// the past only; a signature from the future is no less a sign of a forged or broken clock.
const SIGNATURE_AGE_MAX: TimeDelta = TimeDelta::seconds(300);
/// Signatures that are looked at. Stripe sends one per active secret, and at most two are active at
/// once.
const SIGNATURES_MAX: usize = 16;
/// The name that our sessions carry in their metadata.
pub const APP: &str = "holdfast";

/// An event, reduced to what a booking needs to know.
#[derive(Debug)]
pub struct Event {
    /// `evt_…`
    pub id: String,
    /// Such as `checkout.session.completed`.
    pub kind: String,
    /// The API version it is written in.
    pub api_version: Option<String>,
    /// Whether it speaks of real money.
    pub livemode: bool,
    /// The connected account it belongs to; ours has none.
    pub account: Option<String>,
    /// When it happened at Stripe.
    pub created_at: DateTime<Utc>,
    /// What it is about.
    pub subject: Subject,
    /// What it says of an attempt, or why it says nothing that matters here.
    pub fact: Result<Fact, &'static str>,
}

/// Which session, payment and attempt an event is about, as far as it says.
#[derive(Debug, Default)]
pub struct Subject {
    /// `cs_…`
    pub session_id: Option<String>,
    /// `pi_…`
    pub payment_intent_id: Option<String>,
    /// Our attempt, from the metadata.
    pub attempt_id: Option<AttemptId>,
    /// The application, from the metadata.
    pub app: Option<String>,
}

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
            "No signature v1 fits the body and the configured secret; is STRIPE_WEBHOOK_SECRET that of this endpoint?",
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

#[derive(Deserialize)]
struct Envelope {
    id: String,
    object: String,
    #[serde(rename = "type")]
    kind: String,
    api_version: Option<String>,
    created: i64,
    livemode: bool,
    account: Option<String>,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: EventObject,
}

/// Reads a verified body. Refuses with `malformed_request` what is no snapshot event; anything else
/// of whatever version, type or shape is an event, even if it says nothing that matters here.
pub fn parse(body: &[u8]) -> Result<Event, Refusal> {
    let envelope: Envelope = serde_json::from_slice(body).map_err(|error| {
        Refusal::MalformedRequest(format!("The body is not a Stripe event: {error}."))
    })?;
    let ids = [&envelope.id, &envelope.kind];
    if envelope.object != "event" || !ids.into_iter().all(|id| is_printable(id)) {
        let sentence =
            "The body is not a Stripe snapshot event; thin events are not subscribed to.";
        return Err(Refusal::MalformedRequest(sentence.to_owned()));
    }
    let created_at = DateTime::from_timestamp(envelope.created, 0).ok_or_else(|| {
        Refusal::MalformedRequest("The event was created at no possible time.".to_owned())
    })?;
    let object = envelope.data.object;
    Ok(Event {
        subject: subject(&object),
        fact: fact(&envelope.kind, &object, created_at),
        id: envelope.id,
        kind: envelope.kind,
        api_version: envelope.api_version.filter(|version| is_printable(version)),
        livemode: envelope.livemode,
        account: envelope.account,
        created_at,
    })
}

/// What can be stored and looked up as an id: visible ASCII, of bounded length.
fn is_printable(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn subject(object: &EventObject) -> Subject {
    let id = object.id.clone().filter(|id| is_printable(id));
    let (session_id, payment_intent_id) = match object.object.as_deref() {
        Some("checkout.session") => (id, object.payment_intent.clone()),
        Some("payment_intent") => (None, id),
        _ => (None, None),
    };
    Subject {
        session_id,
        payment_intent_id: payment_intent_id.filter(|id| is_printable(id)),
        attempt_id: object.attempt_id(),
        app: object.app().map(str::to_owned),
    }
}

/// Fulfilment stands on `completed` with the money there and on `async_payment_succeeded`, as
/// Stripe asks for (<https://docs.stripe.com/checkout/fulfillment>), and on
/// `payment_intent.succeeded`, which brings the same money if the others are lost or late.
fn fact(kind: &str, object: &EventObject, created_at: DateTime<Utc>) -> Result<Fact, &'static str> {
    let session = kind.strip_prefix("checkout.session.");
    let wanted = match session {
        Some(_) => "checkout.session",
        None if kind == "payment_intent.succeeded" => "payment_intent",
        None => return Err("this type of event says nothing about a booking"),
    };
    if object.object.as_deref() != Some(wanted) {
        return Err("the object does not fit the type of the event");
    }
    let captured = |money| {
        Fact::Captured(Capture {
            money,
            booking_id: object.booking_id(),
            captured_at: created_at,
        })
    };
    match (
        session,
        object.payment_status.as_deref(),
        object.status.as_deref(),
    ) {
        (None, _, Some("succeeded")) => Ok(captured(object.received())),
        (None, _, _) => Err("the payment intent has not succeeded"),
        (Some("completed" | "async_payment_succeeded"), Some("paid"), _) => {
            Ok(captured(object.total()))
        }
        (Some("completed"), Some("unpaid"), _) => Ok(Fact::Submitted),
        (Some("completed" | "async_payment_succeeded"), _, _) => {
            Err("the payment status is not known here")
        }
        (Some("async_payment_failed"), _, _) => Ok(Fact::Failed),
        (Some("expired"), _, _) => Ok(Fact::Expired),
        (Some(_), _, _) => Err("this type of event says nothing about a booking"),
    }
}
