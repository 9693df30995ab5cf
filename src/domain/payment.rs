//! Payments: captures that are recorded, as buyers and admins see them.

use chrono::{DateTime, Utc};

use super::attempt::PaymentPart;
use super::charge::PaymentMethod;
use super::ids::{BookingId, PaymentId};
use super::money::Money;

/// By what we learned of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, sqlx::Type, utoipa::ToSchema)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "camelCase")]
pub enum SettledBy {
    /// Stripe has sent an event.
    Webhook,
    /// Stripe was asked because the buyer came back.
    Verify,
    /// Stripe was asked at the end of a hold, or because the booking was to be cancelled.
    Release,
    /// An admin had an event settled again.
    Replay,
    /// An admin had Stripe asked.
    Admin,
    /// A reconciliation has found it.
    Reconciliation,
}

/// Whether a payment counts for its booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, sqlx::Type, utoipa::ToSchema)]
#[sqlx(type_name = "payment_disposition", rename_all = "snake_case")]
#[serde(rename_all = "camelCase")]
pub enum Disposition {
    /// It does.
    Applied,
    /// It is not owed, and kept apart.
    Surplus,
}

/// A payment, with what is shown beside it.
#[derive(Debug, Clone)]
pub struct Payment {
    /// Our id of it.
    pub id: PaymentId,
    /// The booking that it was made for.
    pub booking: PaidBooking,
    /// Which part of the booking it pays.
    pub part: PaymentPart,
    /// How much was captured.
    pub amount: Money,
    /// How much of that is back, or on its way back at Stripe.
    pub refunded: Money,
    /// Whether it counts for the booking.
    pub disposition: Disposition,
    /// Why it does not.
    pub surplus_reason: Option<String>,
    /// What the buyer has paid with, once Stripe has said so.
    pub method: Option<PaymentMethod>,
    /// Stripe's own receipt, once it has said where.
    pub receipt_url: Option<String>,
    /// `pi_…`, where Stripe has named it.
    pub payment_intent_id: Option<String>,
    /// By what we learned of it.
    pub settled_by: SettledBy,
    /// When it was captured.
    pub captured_at: DateTime<Utc>,
}

/// The booking of a payment, in brief.
#[derive(Debug, Clone)]
pub struct PaidBooking {
    /// Our id of it.
    pub id: BookingId,
    /// What people say on the phone: `HF-7K3Q9X`.
    pub reference: String,
    /// What was booked.
    pub title: String,
}
