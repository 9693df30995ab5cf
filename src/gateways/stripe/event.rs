//! An event of Stripe's, reduced to what a booking needs to know.
//! <https://docs.stripe.com/api/events>

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::objects::{StripeObject, flag, lenient, text, time};
use crate::domain::capture::Capture;
use crate::domain::checkout::CheckoutReport;
use crate::domain::money::Money;
use crate::domain::odd_json::simplify;
use crate::domain::payment_intent::PaymentIntentReport;
use crate::domain::refusal::Refusal;
use crate::domain::stripe_report::{AttemptReference, StripeReport};

/// The types of event that say something about a booking: the webhook endpoint is subscribed to
/// these, and those that were not delivered are asked for. Stripe lists at most twenty at once.
pub const SUBSCRIBED_TYPES: [&str; 17] = [
    "checkout.session.completed",
    "checkout.session.expired",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "charge.succeeded",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "radar.early_fraud_warning.created",
];

/// An event.
#[derive(Debug)]
pub struct Event {
    /// `evt_…`
    pub id: String,
    /// Such as `checkout.session.completed`; empty if it cannot be read.
    pub kind: String,
    /// The API version it is written in.
    pub api_version: Option<String>,
    /// Whether it speaks of real money, if it says so.
    pub livemode: Option<bool>,
    /// Whether it belongs to a connected account; ours do not.
    pub is_of_connected_account: bool,
    /// When it happened at Stripe, if it says so.
    pub created_at: Option<DateTime<Utc>>,
    /// How to find the attempt that it is about.
    pub reference: AttemptReference,
    /// What it says, or why it says nothing that matters here.
    pub report: Result<StripeReport, &'static str>,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    object: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "text")]
    api_version: Option<String>,
    #[serde(default, deserialize_with = "time")]
    created: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "flag")]
    livemode: Option<bool>,
    #[serde(default)]
    account: Value,
    #[serde(default, deserialize_with = "lenient")]
    data: Data,
}

#[derive(Default, Deserialize)]
struct Data {
    #[serde(default, deserialize_with = "lenient")]
    object: StripeObject,
}

/// Reads a verified body. Refuses with `malformed_request` what is no snapshot event by its id and
/// object; anything else is an event, whatever of it is missing, odd or of another version, and if
/// too little of it can be read it says nothing that matters here.
pub fn parse(body: &str) -> Result<Event, Refusal> {
    let envelope = read(body)?;
    let id = event_id(&envelope).ok_or_else(|| {
        let sentence =
            "The body is not a Stripe snapshot event; thin events are not subscribed to.";
        Refusal::MalformedRequest(sentence.to_owned())
    })?;
    let object = &envelope.data.object;
    let kind = envelope.kind.filter(|kind| is_printable(kind));
    let api_version = envelope.api_version.filter(|version| is_printable(version));
    let reference = reference(object);
    let capture = |money, captured_at| Capture {
        money,
        payment_intent_id: reference.payment_intent_id.clone(),
        booking_id: object.booking_id(),
        captured_at,
        remarks: object.remarks(api_version.clone()),
    };
    let report = match (kind.as_deref(), envelope.created) {
        (Some(kind), Some(at)) => report(kind, object, at, |money| capture(money, at)),
        (None, _) => Err("its type cannot be read"),
        (_, None) => Err("it does not say when it was created"),
    };
    Ok(Event {
        report,
        id,
        kind: kind.unwrap_or_default(),
        livemode: envelope.livemode,
        is_of_connected_account: !envelope.account.is_null(),
        created_at: envelope.created,
        reference,
        api_version,
    })
}

/// What is not read at once is read simplified, as far as it is JSON: a member that is given twice,
/// of which the last counts, as for most who read JSON, and what [`simplify`] knows.
fn read(body: &str) -> Result<Envelope, Refusal> {
    if let Ok(envelope) = serde_json::from_str(body) {
        return Ok(envelope);
    }
    // A text of Postgres cannot have it, and JSON has it escaped only.
    if body.contains('\0') {
        let sentence = "The body is not JSON: it contains the character U+0000.";
        return Err(Refusal::MalformedRequest(sentence.to_owned()));
    }
    serde_json::from_str::<Value>(&simplify(body))
        .and_then(serde_json::from_value)
        .map_err(|error| {
            Refusal::MalformedRequest(format!("The body is not a Stripe event: {error}."))
        })
}

/// The id, if it can be one and the body calls itself an event, or at least does not call itself
/// anything else and has an id as only events have it.
fn event_id(envelope: &Envelope) -> Option<String> {
    let id = envelope.id.as_ref().filter(|id| is_printable(id))?;
    let is_event = match envelope.object.as_deref() {
        Some(object) => object == "event",
        None => id.starts_with("evt_"),
    };
    is_event.then(|| id.clone())
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
        Some("charge" | "refund" | "dispute" | "radar.early_fraud_warning") => {
            (None, object.payment_intent.clone())
        }
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
    at: DateTime<Utc>,
    capture: impl Fn(Option<Money>) -> Capture,
) -> Result<StripeReport, &'static str> {
    const UNNAMED: &str = "the object has no id";
    const IRRELEVANT: &str = "this type of event says nothing about a booking";
    let Some((noun, what)) = kind.rsplit_once('.') else {
        return Err(IRRELEVANT);
    };
    let wanted = match noun {
        "checkout.session"
        | "payment_intent"
        | "charge"
        | "refund"
        | "radar.early_fraud_warning" => noun,
        "charge.refund" => "refund",
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
        "payment_intent" if what == "payment_failed" => object
            .failed_payment(at)
            .map(StripeReport::FailedPayment)
            .ok_or(UNNAMED),
        "charge" if matches!(what, "succeeded" | "updated") => match object.status.as_deref() {
            Some("succeeded") => object
                .charge_report(at)
                .map(StripeReport::Charge)
                .ok_or("the charge does not name its payment intent"),
            _ => Err("the charge has not succeeded"),
        },
        "charge" if what == "refunded" => object
            .refunded_charge()
            .map(StripeReport::Refunded)
            .ok_or("the charge does not say how much of it has gone back"),
        "payment_intent" | "charge" => Err(IRRELEVANT),
        "charge.dispute" => object
            .dispute_report(Some(what), at)
            .map(StripeReport::Dispute)
            .ok_or(UNNAMED),
        "radar.early_fraud_warning" => object
            .fraud_warning_report()
            .map(StripeReport::FraudWarning)
            .ok_or(UNNAMED),
        _ => object.refund().map(StripeReport::Refund).ok_or(UNNAMED),
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
