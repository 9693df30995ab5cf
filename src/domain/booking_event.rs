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

/// An event as it is stored: its kind, and what else there is to say.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Such as `confirmed`.
    pub kind: String,
    /// The rest of it, an object.
    pub payload: Value,
}

impl From<&BookingEvent> for StoredEvent {
    fn from(event: &BookingEvent) -> Self {
        let mut payload = serde_json::to_value(event).unwrap_or_default();
        let kind = payload
            .as_object_mut()
            .and_then(|members| members.remove("kind"));
        Self {
            kind: kind
                .and_then(|kind| kind.as_str().map(str::to_owned))
                .unwrap_or_default(),
            payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_kind_of_an_event_is_stored_beside_its_payload() {
        let attempt_id = AttemptId::new();

        let stored = StoredEvent::from(&BookingEvent::AttemptOpened { attempt_id });

        assert_eq!(stored.kind, "attemptOpened");
        assert_eq!(stored.payload, json!({ "attemptId": attempt_id }));
        let empty = StoredEvent::from(&BookingEvent::Expired);
        assert_eq!((empty.kind.as_str(), empty.payload), ("expired", json!({})));
    }
}
