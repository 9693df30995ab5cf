//! What has happened to a booking: one row for each change, written in its transaction, and read by
//! all that follows bookings.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::{AttemptId, BookingId, PaymentId, RefundId};
use super::money::Money;
use super::refund::RefundStatus;

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
        reason: String,
    },
    /// Money came that does not match; a person decides, and the booking keeps what it reserves.
    Review {
        /// In what it differs.
        mismatch: String,
        /// What was asked for.
        ours: Value,
        /// What Stripe says.
        theirs: Value,
    },
    /// Stripe's word differs from what was asked for, and the booking stays as it is.
    PaymentDiffers {
        /// In what it differs.
        mismatch: String,
        /// What was asked for.
        ours: Value,
        /// What Stripe says.
        theirs: Value,
    },
    /// Somebody wants it cancelled; Stripe is asked to close what could pay for it.
    CancellationRequested {
        /// Why, if they said so.
        reason: Option<String>,
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
    },
    /// A refund has come to its end.
    RefundSettled {
        /// The refund.
        refund_id: RefundId,
        /// How it ended.
        status: RefundStatus,
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
    /// Its kind, as in its JSON: stored beside that, so that it can be searched for.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Held { .. } => "held",
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
            Self::CancellationRequested { .. } => "cancellationRequested",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::RefundRequested { .. } => "refundRequested",
            Self::RefundSettled { .. } => "refundSettled",
        }
    }

    /// The event as JSON, as it is stored.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_kind_of_an_event_is_that_of_its_json() {
        let attempt_id = AttemptId::new();
        let opened = BookingEvent::AttemptOpened { attempt_id };
        let payload = json!({ "kind": "attemptOpened", "attemptId": attempt_id });

        assert_eq!(
            serde_json::from_str::<Value>(&opened.json()).unwrap(),
            payload
        );
        assert_eq!(
            serde_json::from_value::<BookingEvent>(payload).unwrap(),
            opened
        );
        for event in [
            opened,
            BookingEvent::Expired,
            BookingEvent::Confirmed { payment_id: None },
        ] {
            let json: Value = serde_json::from_str(&event.json()).unwrap();
            assert_eq!(json["kind"], event.kind());
        }
    }
}
