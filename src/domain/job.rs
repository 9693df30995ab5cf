//! Work that is done in the background: enqueued in the transaction that makes it necessary, and
//! safe to do twice.

use serde::{Deserialize, Serialize};

use super::ids::{BookingId, RefundId};

/// What there is to do. As JSON it is the payload of the queue: `{"kind": "endHold", "bookingId":
/// "…"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Job {
    /// The hold of a booking ends: fence its session, then free its seats. A booking that has gone
    /// on keeps what it has; only a session that could still be paid beside that is closed.
    EndHold {
        /// The booking.
        booking_id: BookingId,
    },
    /// Stripe has not answered a create call: ask again, under the same key. An attempt that is
    /// open is left alone.
    FinishCheckout {
        /// The booking whose attempt it is.
        booking_id: BookingId,
    },
    /// An event was deferred: settle it now. One that is settled is left alone.
    SettleEvent {
        /// `evt_…`
        event_id: String,
    },
    /// Money goes back: ask Stripe for the refund, under the refund's key. One that Stripe has is
    /// left alone.
    Refund {
        /// The refund.
        refund_id: RefundId,
    },
    /// Once a minute: look for what dead processes have left, and for what is too old to keep.
    Sweep,
}

impl Job {
    /// Jobs with the same key are one job: the later takes the place of the earlier.
    pub fn key(&self) -> String {
        match self {
            Self::EndHold { booking_id } => format!("end-hold-{booking_id}"),
            Self::FinishCheckout { booking_id } => format!("finish-{booking_id}"),
            Self::SettleEvent { event_id } => format!("settle-{event_id}"),
            Self::Refund { refund_id } => format!("refund-{refund_id}"),
            Self::Sweep => "sweep".to_owned(),
        }
    }
}
