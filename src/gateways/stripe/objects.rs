//! The few fields that we read of Stripe's objects, leniently: what is missing or of another type
//! is simply not known.
//!
//! Strict types of a whole object fail when Stripe adds a value, and a payment must not be lost
//! over that.

use chrono::{DateTime, Utc};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::domain::booking::OpenCheckout;
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::money::Money;
use crate::domain::settlement::{Capture, Fact};

/// A Checkout Session as an API call returns it.
/// <https://docs.stripe.com/api/checkout/sessions/object>
#[derive(Deserialize)]
pub(super) struct CheckoutSession {
    id: String,
    url: Option<String>,
    client_secret: Option<String>,
    #[serde(with = "chrono::serde::ts_seconds")]
    expires_at: DateTime<Utc>,
}

impl From<CheckoutSession> for OpenCheckout {
    fn from(session: CheckoutSession) -> Self {
        Self {
            session_id: session.id,
            url: session.url,
            client_secret: session.client_secret,
            expires_at: session.expires_at,
        }
    }
}

/// A Checkout Session when it is asked how it stands, with its PaymentIntent.
#[derive(Debug)]
pub struct SessionState {
    session: EventObject,
    payment_intent: Option<EventObject>,
}

impl<'de> Deserialize<'de> for SessionState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let expanded = value
            .get("payment_intent")
            .filter(|intent| intent.is_object());
        let payment_intent = expanded
            .map(EventObject::deserialize)
            .transpose()
            .map_err(D::Error::custom)?;
        Ok(Self {
            session: EventObject::deserialize(&value).map_err(D::Error::custom)?,
            payment_intent,
        })
    }
}

impl SessionState {
    /// What it says of its attempt at `now`; `None` while it is open, or in a state that is not
    /// known here.
    ///
    /// A session whose delayed payment has failed stays complete and unpaid; its PaymentIntent goes
    /// back to wait for another method, which nobody can give it.
    /// <https://docs.stripe.com/payments/paymentintents/lifecycle>
    pub fn fact(&self, now: DateTime<Utc>) -> Option<Fact> {
        let session = &self.session;
        let captured = |money| {
            Fact::Captured(Capture {
                money,
                booking_id: session.booking_id(),
                captured_at: now,
            })
        };
        let intent = self.payment_intent.as_ref();
        let intent_status = intent.and_then(|intent| intent.status.as_deref());
        match (
            session.status.as_deref(),
            session.payment_status.as_deref(),
            intent_status,
        ) {
            (Some("expired"), _, _) => Some(Fact::Expired),
            (Some("complete"), Some("paid"), _) => Some(captured(session.total())),
            (Some("complete"), Some("unpaid"), Some("succeeded")) => {
                Some(captured(intent.and_then(EventObject::received)))
            }
            (Some("complete"), Some("unpaid"), Some("requires_payment_method" | "canceled")) => {
                Some(Fact::Failed)
            }
            (Some("complete"), Some("unpaid"), _) => Some(Fact::Submitted),
            _ => None,
        }
    }

    /// `pi_…`, once the buyer has confirmed.
    pub fn payment_intent_id(&self) -> Option<&str> {
        self.session.payment_intent.as_deref()
    }
}

/// The fields of a session or a PaymentIntent that a webhook brings.
#[derive(Debug, Default, Deserialize)]
pub(super) struct EventObject {
    #[serde(default, deserialize_with = "text")]
    pub(super) object: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) status: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) payment_status: Option<String>,
    #[serde(default, deserialize_with = "id_or_object")]
    pub(super) payment_intent: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    amount_total: Option<i64>,
    #[serde(default, deserialize_with = "integer")]
    amount_received: Option<i64>,
    #[serde(default, deserialize_with = "text")]
    currency: Option<String>,
    #[serde(default)]
    metadata: Value,
}

impl EventObject {
    /// What a session asked for.
    pub(super) fn total(&self) -> Option<Money> {
        self.money(self.amount_total)
    }

    /// What a PaymentIntent captured.
    pub(super) fn received(&self) -> Option<Money> {
        self.money(self.amount_received)
    }

    fn money(&self, amount_minor: Option<i64>) -> Option<Money> {
        Some(Money::new(
            amount_minor?,
            self.currency.as_deref()?.parse().ok()?,
        ))
    }

    /// The name of the application that made the object, if its metadata says so.
    pub(super) fn app(&self) -> Option<&str> {
        self.metadata.get("app")?.as_str()
    }

    pub(super) fn attempt_id(&self) -> Option<AttemptId> {
        self.metadata.get("attemptId")?.as_str()?.parse().ok()
    }

    pub(super) fn booking_id(&self) -> Option<BookingId> {
        self.metadata.get("bookingId")?.as_str()?.parse().ok()
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_i64())
}

/// Stripe gives an id, or the whole object where a caller asked to expand it.
fn id_or_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let id = value.get("id").unwrap_or(&value);
    Ok(id.as_str().map(str::to_owned))
}
