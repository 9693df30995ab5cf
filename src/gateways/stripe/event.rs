//! An event of Stripe's, reduced to what a booking needs to know.
//! <https://docs.stripe.com/api/events>

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::objects::{StripeObject, lenient};
use crate::domain::capture::Capture;
use crate::domain::checkout::CheckoutReport;
use crate::domain::money::Money;
use crate::domain::payment_intent::PaymentIntentReport;
use crate::domain::refusal::Refusal;
use crate::domain::stripe_report::{AttemptReference, StripeReport};

/// An event.
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
    /// How to find the attempt that it is about.
    pub reference: AttemptReference,
    /// What it says, or why it says nothing that matters here.
    pub report: Result<StripeReport, &'static str>,
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
    #[serde(default, deserialize_with = "lenient")]
    data: Data,
}

#[derive(Default, Deserialize)]
struct Data {
    #[serde(default, deserialize_with = "lenient")]
    object: StripeObject,
}

/// Reads a verified body. Refuses with `malformed_request` what is no snapshot event; anything else
/// of whatever version, type or shape is an event, even if its object is none, and it says nothing
/// that matters here.
pub fn parse(body: &[u8]) -> Result<Event, Refusal> {
    let envelope = serde_json::from_slice(body)
        // A member that is given twice: the last counts, as for most who read JSON.
        .or_else(|_| serde_json::from_slice::<Value>(body).and_then(serde_json::from_value));
    let envelope: Envelope = envelope.map_err(|error| {
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
    let api_version = envelope.api_version.filter(|version| is_printable(version));
    let reference = reference(&object);
    let capture = |money| Capture {
        money,
        payment_intent_id: reference.payment_intent_id.clone(),
        booking_id: object.booking_id(),
        captured_at: created_at,
        remarks: object.remarks(api_version.clone()),
    };
    Ok(Event {
        report: report(&envelope.kind, &object, capture),
        id: envelope.id,
        kind: envelope.kind,
        livemode: envelope.livemode,
        account: envelope.account,
        created_at,
        reference,
        api_version,
    })
}

/// What can be stored and looked up as an id: visible ASCII, of bounded length.
fn is_printable(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn reference(object: &StripeObject) -> AttemptReference {
    let id = object.id.clone().filter(|id| is_printable(id));
    let (session_id, payment_intent_id) = match object.object.as_deref() {
        Some("checkout.session") => (id, object.payment_intent.clone()),
        Some("payment_intent") => (None, id),
        _ => (None, None),
    };
    AttemptReference {
        session_id,
        payment_intent_id: payment_intent_id.filter(|id| is_printable(id)),
        attempt_id: object.attempt_id(),
        app: object.app().map(str::to_owned),
    }
}

/// What an event of this type says of its object.
fn report(
    kind: &str,
    object: &StripeObject,
    capture: impl Fn(Option<Money>) -> Capture,
) -> Result<StripeReport, &'static str> {
    const IRRELEVANT: &str = "this type of event says nothing about a booking";
    let Some((noun, what)) = kind.rsplit_once('.') else {
        return Err(IRRELEVANT);
    };
    let wanted = match noun {
        "checkout.session" | "payment_intent" | "refund" => noun,
        "charge.dispute" => "dispute",
        _ => return Err(IRRELEVANT),
    };
    if object.object.as_deref() != Some(wanted) {
        return Err("the object does not fit the type of the event");
    }
    match noun {
        "checkout.session" => checkout_report(what, object, capture).map(StripeReport::Checkout),
        "payment_intent" if what == "succeeded" => match object.status.as_deref() {
            Some("succeeded") => {
                let captured = capture(object.received());
                Ok(StripeReport::PaymentIntent(PaymentIntentReport::Succeeded(
                    captured,
                )))
            }
            _ => Err("the payment intent has not succeeded"),
        },
        "payment_intent" => Err(IRRELEVANT),
        "charge.dispute" => Ok(StripeReport::Dispute),
        _ => Ok(StripeReport::Refund(object.refund_report())),
    }
}

/// Fulfilment stands on `completed` with the money there and on `async_payment_succeeded`.
/// <https://docs.stripe.com/checkout/fulfillment>
fn checkout_report(
    what: &str,
    session: &StripeObject,
    capture: impl Fn(Option<Money>) -> Capture,
) -> Result<CheckoutReport, &'static str> {
    match (what, session.payment_status.as_deref()) {
        ("completed" | "async_payment_succeeded", Some("paid")) => {
            Ok(CheckoutReport::Paid(capture(session.total())))
        }
        ("completed", Some("unpaid")) => Ok(CheckoutReport::AwaitingFunds),
        ("completed" | "async_payment_succeeded", _) => Err("the payment status is not known here"),
        ("async_payment_failed", _) => Ok(CheckoutReport::PaymentFailed),
        ("expired", _) => Ok(CheckoutReport::Expired),
        _ => Err("this type of event says nothing about a booking"),
    }
}
