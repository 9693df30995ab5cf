//! The few fields that we read of Stripe's objects, leniently: what is missing or of another type
//! is simply not known.
//!
//! Strict types of a whole object fail when Stripe adds a value, and a payment must not be lost
//! over that.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::client::path_id;
use super::error::StripeError;
use crate::domain::attempt::OpenCheckout;
use crate::domain::capture::{Capture, Remarks};
use crate::domain::checkout::CheckoutReport;
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::money::Money;
use crate::domain::session_meaning::{
    IntentStatus, SessionMeaning, SessionPaymentStatus, SessionStatus,
};
use crate::domain::stripe_report::AttemptReference;

/// A Checkout Session as an API call returns it.
/// <https://docs.stripe.com/api/checkout/sessions/object>
#[derive(Deserialize)]
pub(super) struct CheckoutSession {
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    url: Option<String>,
    #[serde(default, deserialize_with = "text")]
    client_secret: Option<String>,
}

impl CheckoutSession {
    /// The session, if it can be asked about later, and the buyer sent to it. It ends when it was
    /// asked to, whatever it says.
    pub(super) fn usable(self, expires_at: DateTime<Utc>) -> Result<OpenCheckout, StripeError> {
        let id = self.id.filter(|id| path_id(id).is_ok());
        let session_id = id.ok_or_else(|| StripeError::unusable("the id of a session"))?;
        let is_link = |url: &String| {
            Url::parse(url).is_ok_and(|url| ["https", "http"].contains(&url.scheme()))
        };
        if !self
            .url
            .as_ref()
            .map_or(self.client_secret.is_some(), is_link)
        {
            return Err(StripeError::unusable("the url of a session"));
        }
        Ok(OpenCheckout {
            session_id,
            url: self.url,
            client_secret: self.client_secret,
            expires_at,
        })
    }
}

/// What came of a look at a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionLook {
    /// It may still be paid.
    Open,
    /// It says this, which can be settled.
    Settled(CheckoutReport),
    /// It says this, which a second look may put right.
    Unexplained(CheckoutReport),
}

/// A Checkout Session when it is asked how it stands, with its PaymentIntent.
#[derive(Debug)]
pub struct RetrievedSession {
    session: StripeObject,
    payment_intent: Option<StripeObject>,
}

impl<'de> Deserialize<'de> for RetrievedSession {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let expanded = value
            .get("payment_intent")
            .filter(|intent| intent.is_object());
        let payment_intent = expanded
            .map(StripeObject::deserialize)
            .transpose()
            .map_err(D::Error::custom)?;
        Ok(Self {
            session: StripeObject::deserialize(&value).map_err(D::Error::custom)?,
            payment_intent,
        })
    }
}

impl RetrievedSession {
    /// What it says of its attempt at `now`.
    pub fn look(&self, now: DateTime<Utc>) -> SessionLook {
        let paid = |money| {
            SessionLook::Settled(CheckoutReport::Paid(Capture {
                money,
                payment_intent_id: self.session.payment_intent.clone(),
                booking_id: self.session.booking_id(),
                captured_at: now,
                remarks: self.session.remarks(None),
            }))
        };
        let intent = self.payment_intent.as_ref();
        match SessionMeaning::of(self.status(), self.payment_status(), self.intent_status()) {
            SessionMeaning::Open => SessionLook::Open,
            SessionMeaning::PaidBySession => paid(self.session.total()),
            SessionMeaning::PaidByIntent => paid(intent.and_then(StripeObject::received)),
            SessionMeaning::AwaitingFunds => SessionLook::Settled(CheckoutReport::AwaitingFunds),
            SessionMeaning::PaymentFailed => SessionLook::Settled(CheckoutReport::PaymentFailed),
            SessionMeaning::Expired => SessionLook::Settled(CheckoutReport::Expired),
            SessionMeaning::Unexplained(why) => {
                SessionLook::Unexplained(CheckoutReport::Unexplained(why))
            }
        }
    }

    fn status(&self) -> SessionStatus {
        match self.session.status.as_deref() {
            Some("open") => SessionStatus::Open,
            Some("complete") => SessionStatus::Complete,
            Some("expired") => SessionStatus::Expired,
            _ => SessionStatus::Other,
        }
    }

    fn payment_status(&self) -> SessionPaymentStatus {
        match self.session.payment_status.as_deref() {
            Some("paid") => SessionPaymentStatus::Paid,
            Some("unpaid") => SessionPaymentStatus::Unpaid,
            Some("no_payment_required") => SessionPaymentStatus::NotRequired,
            _ => SessionPaymentStatus::Other,
        }
    }

    fn intent_status(&self) -> IntentStatus {
        let Some(intent) = &self.payment_intent else {
            return IntentStatus::Absent;
        };
        match intent.status.as_deref() {
            Some("requires_payment_method") => IntentStatus::RequiresPaymentMethod,
            Some("requires_confirmation") => IntentStatus::RequiresConfirmation,
            Some("requires_action") => IntentStatus::RequiresAction,
            Some("processing") => IntentStatus::Processing,
            Some("requires_capture") => IntentStatus::RequiresCapture,
            Some("canceled") => IntentStatus::Canceled,
            Some("succeeded") => IntentStatus::Succeeded,
            _ => IntentStatus::Other,
        }
    }

    /// What it names of ours.
    pub fn reference(&self) -> AttemptReference {
        AttemptReference {
            session_id: self.session.id.clone(),
            payment_intent_id: self.session.payment_intent.clone(),
            attempt_id: self.session.attempt_id(),
            app: self.session.app().map(str::to_owned),
        }
    }
}

/// The fields that we read of a session, a PaymentIntent, or whatever else a webhook brings.
#[derive(Debug, Default, Deserialize)]
pub(super) struct StripeObject {
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
    #[serde(default, deserialize_with = "text")]
    pub(super) failure_reason: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    pub(super) amount_refunded: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    latest_charge: LatestCharge,
    #[serde(default, deserialize_with = "id_or_object")]
    pub(super) charge: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    pub(super) amount: Option<i64>,
    #[serde(default, deserialize_with = "time")]
    pub(super) created: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "text")]
    pub(super) reason: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) fraud_type: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) receipt_url: Option<String>,
    #[serde(default)]
    pub(super) payment_method_details: Value,
    #[serde(default)]
    pub(super) last_payment_error: Value,
    #[serde(default)]
    pub(super) evidence_details: Value,
    #[serde(default)]
    pub(super) balance_transactions: Value,
    #[serde(default)]
    pub(super) metadata: Value,
    #[serde(default)]
    currency_conversion: Value,
    #[serde(default)]
    presentment_details: Value,
}

/// The charge of a PaymentIntent, where Stripe was asked to expand it.
#[derive(Debug, Default, Deserialize)]
struct LatestCharge {
    #[serde(default, deserialize_with = "integer")]
    amount_refunded: Option<i64>,
}

impl StripeObject {
    /// What a session asked for.
    pub(super) fn total(&self) -> Option<Money> {
        self.money(self.amount_total)
    }

    /// What a PaymentIntent captured.
    pub(super) fn received(&self) -> Option<Money> {
        self.money(self.amount_received)
    }

    /// How much of what a PaymentIntent captured has been given back, in minor units.
    pub(super) fn refunded(&self) -> i64 {
        self.latest_charge.amount_refunded.unwrap_or_default()
    }

    pub(super) fn money(&self, amount_minor: Option<i64>) -> Option<Money> {
        Some(Money::new(
            amount_minor?,
            self.currency.as_deref()?.parse().ok()?,
        ))
    }

    /// What else Stripe says of the amount: in which currency the buyer saw it, and how it was
    /// converted. Before 2025-03-31 a session whose price was shown in the buyer's currency had its
    /// total in that one.
    /// <https://docs.stripe.com/payments/currencies/localize-prices/adaptive-pricing>
    pub(super) fn remarks(&self, api_version: Option<String>) -> Remarks {
        Remarks {
            api_version,
            currency_conversion: storable(&self.currency_conversion),
            presentment_details: storable(&self.presentment_details),
        }
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

/// What can be stored as `jsonb`; null if that is not possible, because of a U+0000 in a string.
fn storable(value: &Value) -> Value {
    if value.to_string().contains(r"\u0000") {
        Value::Null
    } else {
        value.clone()
    }
}

/// A text that can be stored: Postgres keeps no U+0000.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text).filter(|text| !text.contains('\0')),
        _ => None,
    })
}

fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_i64())
}

pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_bool())
}

/// Seconds since 1970, with or without a fraction.
pub(super) fn time<'de, D>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error>
where
    D: Deserializer<'de>,
{
    let seconds = Value::deserialize(deserializer)?.as_f64();
    // A double holds each second, and each microsecond of our times, exactly enough.
    let since_1970 = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let since_1970 = since_1970.and_then(|duration| TimeDelta::from_std(duration).ok());
    Ok(since_1970.and_then(|duration| DateTime::UNIX_EPOCH.checked_add_signed(duration)))
}

/// Stripe gives an id, or the whole object where a caller asked to expand it.
fn id_or_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let id = value.get("id").unwrap_or(&value).as_str();
    Ok(id.filter(|id| !id.contains('\0')).map(str::to_owned))
}

/// Reads an object; whatever else stands in its place, such as null or a text, counts as an empty
/// one.
pub(super) fn lenient<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(Lenient(PhantomData))
}

struct Lenient<T>(PhantomData<T>);

impl<'de, T: Default + Deserialize<'de>> Visitor<'de> for Lenient<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<T, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::default())
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<T, E> {
        Ok(T::default())
    }
}
