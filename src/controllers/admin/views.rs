//! Resources as only admins see them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::controllers::{BookingView, MethodView, PaymentView};
use crate::domain::charge::FailedPayment;
use crate::domain::dispute::DisputeOfBooking;
use crate::domain::dispute_status::DisputeStatus;
use crate::domain::ids::{BookingId, DisputeId, PaymentId, RefundId};
use crate::domain::money::Money;
use crate::domain::refund::Refund;
use crate::domain::refund_state::{RefundSource, RefundStatus};
use crate::domain::timeline::{TimelineItem, TimelineKind};
use crate::domain::user::Customer;

/// A booking with whose it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomersBooking {
    #[serde(flatten)]
    pub(super) booking: BookingView,
    pub(super) customer: CustomerView,
}

/// A booking with all that is known of its money.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BookingOverview {
    #[serde(flatten)]
    pub(super) booking: CustomersBooking,
    /// What the buyer of a service wants it to know.
    #[schema(value_type = Option<Object>)]
    pub(super) details: Option<Value>,
    pub(super) payments: Vec<PaymentView>,
    pub(super) refunds: Vec<RefundView>,
    pub(super) disputes: Vec<DisputeView>,
    pub(super) failed_payments: Vec<FailedPaymentView>,
}

/// A dispute: money that a cardholder's bank takes back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DisputeView {
    id: DisputeId,
    stripe_dispute_id: String,
    payment_id: PaymentId,
    amount: Money,
    reason: Option<String>,
    status: DisputeStatus,
    evidence_due_by: Option<DateTime<Utc>>,
    opened_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
}

/// What Stripe reported of a try to pay that did not succeed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FailedPaymentView {
    at: DateTime<Utc>,
    payment_intent_id: String,
    code: Option<String>,
    decline_code: Option<String>,
    method: Option<MethodView>,
}

impl From<DisputeOfBooking> for DisputeView {
    fn from(dispute: DisputeOfBooking) -> Self {
        Self {
            id: dispute.id,
            stripe_dispute_id: dispute.stripe_dispute_id,
            payment_id: dispute.payment_id,
            amount: dispute.amount,
            reason: dispute.reason,
            status: dispute.status,
            evidence_due_by: dispute.evidence_due_by,
            opened_at: dispute.opened_at,
            closed_at: dispute.closed_at,
        }
    }
}

impl From<FailedPayment> for FailedPaymentView {
    fn from(failed: FailedPayment) -> Self {
        Self {
            at: failed.failed_at,
            payment_intent_id: failed.payment_intent_id,
            code: failed.code,
            decline_code: failed.decline_code,
            method: failed.method.map(MethodView::from),
        }
    }
}

/// Whose a booking is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CustomerView {
    id: String,
    email: Option<String>,
    name: Option<String>,
}

/// A refund.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefundView {
    id: RefundId,
    booking_id: BookingId,
    payment_id: PaymentId,
    amount: Money,
    status: RefundStatus,
    source: RefundSource,
    reason: String,
    failure_reason: Option<String>,
    created_at: DateTime<Utc>,
    settled_at: Option<DateTime<Utc>>,
}

/// The story of a booking, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Timeline {
    pub(super) items: Vec<TimelineItemView>,
}

/// One sentence of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TimelineItemView {
    at: DateTime<Utc>,
    kind: TimelineKind,
    text: String,
}

impl From<Customer> for CustomerView {
    fn from(customer: Customer) -> Self {
        Self {
            id: customer.id.0,
            email: customer.email,
            name: customer.name,
        }
    }
}

impl From<Refund> for RefundView {
    fn from(refund: Refund) -> Self {
        Self {
            id: refund.id,
            booking_id: refund.booking_id,
            payment_id: refund.payment_id,
            amount: refund.amount,
            status: refund.status,
            source: refund.source,
            reason: refund.reason,
            failure_reason: refund.failure_reason,
            created_at: refund.created_at,
            settled_at: refund.settled_at,
        }
    }
}

impl From<TimelineItem> for TimelineItemView {
    fn from(item: TimelineItem) -> Self {
        Self {
            at: item.at,
            kind: item.kind,
            text: item.text,
        }
    }
}
