//! A payment, with the booking that it was made for.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::attempt::PaymentPart;
use crate::domain::charge::PaymentMethod;
use crate::domain::ids::{BookingId, PaymentId};
use crate::domain::money::Money;
use crate::domain::payment::{Disposition, PaidBooking, Payment, SettledBy};

/// A payment, in the one shape that it has everywhere.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentView {
    id: PaymentId,
    booking_id: BookingId,
    booking: PaidBookingView,
    part: PaymentPart,
    amount: Money,
    refunded: Money,
    disposition: Disposition,
    /// Why it is kept apart; null if it is applied.
    reason: Option<String>,
    /// What it was paid with; null while that is unknown.
    method: Option<MethodView>,
    /// Stripe's own receipt.
    receipt_url: Option<String>,
    payment_intent_id: Option<String>,
    settled_by: SettledBy,
    captured_at: DateTime<Utc>,
}

/// What a payment was paid with, or tried with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MethodView {
    /// Stripe's word, such as `card` or `sepa_debit`.
    #[serde(rename = "type")]
    kind: String,
    brand: Option<String>,
    last4: Option<String>,
}

impl From<PaymentMethod> for MethodView {
    fn from(method: PaymentMethod) -> Self {
        Self {
            kind: method.kind,
            brand: method.brand,
            last4: method.last4,
        }
    }
}

/// The booking of a payment, in brief.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PaidBookingView {
    id: BookingId,
    reference: String,
    title: String,
}

impl From<Payment> for PaymentView {
    fn from(payment: Payment) -> Self {
        Self {
            id: payment.id,
            booking_id: payment.booking.id,
            booking: PaidBookingView::from(payment.booking),
            part: payment.part,
            amount: payment.amount,
            refunded: payment.refunded,
            disposition: payment.disposition,
            reason: payment.surplus_reason,
            method: payment.method.map(MethodView::from),
            receipt_url: payment.receipt_url,
            payment_intent_id: payment.payment_intent_id,
            settled_by: payment.settled_by,
            captured_at: payment.captured_at,
        }
    }
}

impl From<PaidBooking> for PaidBookingView {
    fn from(booking: PaidBooking) -> Self {
        Self {
            id: booking.id,
            reference: booking.reference,
            title: booking.title,
        }
    }
}
