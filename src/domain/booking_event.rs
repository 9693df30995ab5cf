//! What has happened to a booking: one row for each change, written in its transaction, and read by
//! all that follows bookings.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::booking::Booking;
use super::cancelled_by::CancelledBy;
use super::dispute_status::DisputeStatus;
use super::funds::{Mismatch, SurplusReason};
use super::ids::{AttemptId, BookingId, DisputeId, PaymentId, RefundId};
use super::money::Money;
use super::refund_state::RefundStatus;
use super::resolution::Resolution;

/// One thing that has happened to a booking. As JSON it is `{"kind": "confirmed", …}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum BookingEvent {
    /// What it reserves is held for the buyer to pay.
    Held {
        /// Until when.
        until: DateTime<Utc>,
    },
    /// It was sold for less.
    VoucherRedeemed {
        /// The code of the voucher.
        code: String,
        /// By how much less.
        discount: Money,
    },
    /// Its end lay further ahead than any may: a clock was ahead, or holds lasted longer then.
    HoldShortened {
        /// Until when it is held now.
        until: DateTime<Utc>,
    },
    /// The buyer can pay.
    AttemptOpened {
        /// By this attempt.
        attempt_id: AttemptId,
    },
    /// An attempt can be paid no more; the booking had gone on without it.
    AttemptClosed {
        /// Which.
        attempt_id: AttemptId,
    },
    /// An attempt whose key is spent has given way to a fresh one.
    AttemptReplaced {
        /// The one that is given up.
        attempt_id: AttemptId,
        /// The one in its place.
        next_attempt_id: AttemptId,
    },
    /// The buyer has paid by a method that takes days.
    AwaitingFunds {
        /// By this attempt.
        attempt_id: AttemptId,
        /// How long what it reserves is kept for it.
        until: DateTime<Utc>,
    },
    /// Its hold had ended, and what it reserves could be claimed again.
    ClaimedAgain {
        /// The attempt that was paid late.
        attempt_id: AttemptId,
        /// The resource whose time it has instead of its own, if that had been taken.
        moved_to: Option<String>,
    },
    /// All that is due is there.
    Confirmed {
        /// The payment that has confirmed it; none for a booking that costs nothing.
        payment_id: Option<PaymentId>,
    },
    /// A payment came for a booking that was confirmed before.
    BalancePaid {
        /// The payment.
        payment_id: PaymentId,
    },
    /// Money came that is not owed, and is kept apart.
    SurplusKept {
        /// The payment.
        payment_id: PaymentId,
        /// How much.
        amount: Money,
        /// Why it is not owed.
        reason: SurplusReason,
    },
    /// Money came that does not match; a person decides, and the booking keeps what it reserves.
    Review {
        /// In what it differs.
        mismatch: Mismatch,
        /// What was asked for.
        ours: Value,
        /// What Stripe says.
        theirs: Value,
    },
    /// What Stripe reports differs from what was asked for, and the booking stays as it is.
    PaymentDiffers {
        /// In what it differs.
        mismatch: Mismatch,
        /// What was asked for.
        ours: Value,
        /// What Stripe says.
        theirs: Value,
    },
    /// An admin has decided what becomes of it after a review.
    ReviewResolved {
        /// What.
        resolution: Resolution,
        /// Why.
        reason: String,
    },
    /// Somebody wants it cancelled; Stripe is asked to close what could pay for it.
    CancellationRequested {
        /// Who.
        by: CancelledBy,
        /// Why, if they said so.
        reason: Option<String>,
    },
    /// The show that it is of does not take place; it ends, and all its money goes back.
    ShowCancelled {
        /// Why.
        reason: String,
    },
    /// Its hold has ended unpaid.
    Expired,
    /// It is cancelled.
    Cancelled,
    /// Its payment did not come, or Stripe refused to take it.
    Failed,
    /// Money goes back.
    RefundRequested {
        /// The refund.
        refund_id: RefundId,
        /// How much.
        amount: Money,
        /// Why, if an admin has asked for it.
        reason: Option<String>,
    },
    /// A refund has come to its end.
    RefundSettled {
        /// The refund.
        refund_id: RefundId,
        /// How it ended.
        status: RefundStatus,
    },
    /// A refund is not sent, as the bank may take the money back as well.
    RefundHeldBack {
        /// The refund.
        refund_id: RefundId,
        /// The dispute that it waits for.
        dispute_id: DisputeId,
    },
    /// Stripe does not make a refund for now; it is asked again.
    RefundRefused {
        /// The refund.
        refund_id: RefundId,
        /// Why, in Stripe's words.
        reason: String,
    },
    /// Somebody has made a refund in Stripe's dashboard.
    RefundMadeByHand {
        /// The refund, as it is recorded.
        refund_id: RefundId,
        /// How much.
        amount: Money,
    },
    /// The bank of the cardholder disputes a payment.
    DisputeOpened {
        /// The dispute.
        dispute_id: DisputeId,
        /// The payment.
        payment_id: PaymentId,
        /// How much of it.
        amount: Money,
        /// Why, in Stripe's words.
        reason: Option<String>,
    },
    /// A dispute has gone on.
    DisputeUpdated {
        /// The dispute.
        dispute_id: DisputeId,
        /// How it stands now.
        status: DisputeStatus,
    },
    /// A bank has taken disputed money.
    DisputeFundsWithdrawn {
        /// The dispute.
        dispute_id: DisputeId,
        /// How much.
        amount: Money,
    },
    /// A bank has given disputed money back.
    DisputeFundsReinstated {
        /// The dispute.
        dispute_id: DisputeId,
        /// How much.
        amount: Money,
    },
    /// A dispute has come to its end.
    DisputeClosed {
        /// The dispute.
        dispute_id: DisputeId,
        /// How it ended.
        status: DisputeStatus,
    },
    /// A card network says that a payment is probably fraud.
    FraudWarned {
        /// The payment.
        payment_id: PaymentId,
        /// `issfr_…`
        warning_id: String,
        /// What kind of fraud, in Stripe's words.
        fraud_type: Option<String>,
    },
}

/// What has happened to one booking.
#[derive(Debug, Clone, PartialEq)]
pub struct NewBookingEvent {
    /// The booking.
    pub booking_id: BookingId,
    /// What has happened to it.
    pub event: BookingEvent,
}

impl BookingEvent {
    /// What happens when a booking is made: it is held, or confirmed at once if it costs nothing.
    pub fn of_hold(booking: &Booking) -> Self {
        match booking.hold_expires_at {
            Some(until) => Self::Held { until },
            None => Self::Confirmed { payment_id: None },
        }
    }

    /// Its kind, as in its JSON: stored beside that, so that it can be searched for.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Held { .. } => "held",
            Self::VoucherRedeemed { .. } => "voucherRedeemed",
            Self::HoldShortened { .. } => "holdShortened",
            Self::AttemptOpened { .. } => "attemptOpened",
            Self::AttemptClosed { .. } => "attemptClosed",
            Self::AttemptReplaced { .. } => "attemptReplaced",
            Self::AwaitingFunds { .. } => "awaitingFunds",
            Self::ClaimedAgain { .. } => "claimedAgain",
            Self::Confirmed { .. } => "confirmed",
            Self::BalancePaid { .. } => "balancePaid",
            Self::SurplusKept { .. } => "surplusKept",
            Self::Review { .. } => "review",
            Self::PaymentDiffers { .. } => "paymentDiffers",
            Self::ReviewResolved { .. } => "reviewResolved",
            Self::CancellationRequested { .. } => "cancellationRequested",
            Self::ShowCancelled { .. } => "showCancelled",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::RefundRequested { .. } => "refundRequested",
            Self::RefundSettled { .. } => "refundSettled",
            Self::RefundHeldBack { .. } => "refundHeldBack",
            Self::RefundRefused { .. } => "refundRefused",
            Self::RefundMadeByHand { .. } => "refundMadeByHand",
            Self::DisputeOpened { .. } => "disputeOpened",
            Self::DisputeUpdated { .. } => "disputeUpdated",
            Self::DisputeFundsWithdrawn { .. } => "disputeFundsWithdrawn",
            Self::DisputeFundsReinstated { .. } => "disputeFundsReinstated",
            Self::DisputeClosed { .. } => "disputeClosed",
            Self::FraudWarned { .. } => "fraudWarned",
        }
    }

    /// The event as JSON, as it is stored.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
