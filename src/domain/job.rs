//! Work that is done in the background: enqueued in the transaction that makes it necessary, and
//! safe to do twice.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::{BookingId, PaymentId, ReconciliationId, RefundId, RunId};

/// The longest pause between two tries of a job. The queue's own grow to hours, and meanwhile seats
/// or money wait.
pub const RETRY_PAUSE_MAX: TimeDelta = TimeDelta::minutes(1);
/// How often Stripe is asked about an attempt whose bank has not decided when it should have.
pub const UNDECIDED_PAUSE: TimeDelta = TimeDelta::hours(6);
/// The longest pause between two looks at an event that was deferred.
pub const DEFERRED_PAUSE_MAX: TimeDelta = TimeDelta::hours(1);
/// How often what dead processes have left is looked for.
pub const SWEEP_PAUSE: TimeDelta = TimeDelta::minutes(1);
/// How often what Stripe has is compared with our records.
pub const RECONCILIATION_PAUSE: TimeDelta = TimeDelta::minutes(5);
/// With such pauses, about two days of tries. Then the job is buried: it
/// stays, with its last error, until somebody looks. Only where seats or sessions wait, the sweep
/// puts another in its place.
pub const TRIES_MAX: i32 = 4_000;

/// What there is to do. As JSON it is the payload of the queue:
/// `{"kind": "endHold", "bookingId": "…"}`.
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
        /// The booking whose money it is, for the story of that; none of jobs that an earlier
        /// release has enqueued.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        booking_id: Option<BookingId>,
    },
    /// How the refunds of a payment stand at Stripe is settled. What is known already stays.
    LookAtRefunds {
        /// The payment.
        payment_id: PaymentId,
        /// Its booking, as of a refund.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        booking_id: Option<BookingId>,
    },
    /// Every five minutes: what Stripe has is compared with our records.
    BeginReconciliation,
    /// A reconciliation goes on where it stopped. One that is over is left alone.
    Reconcile {
        /// The reconciliation.
        reconciliation_id: ReconciliationId,
    },
    /// The cancellation of a show goes on: its next bookings end, and it is looked where the money
    /// of the others is. One that is over is left alone.
    CancelShow {
        /// The run.
        run_id: RunId,
    },
    /// Once a minute: look for what dead processes have left, and for what is too old to keep.
    Sweep,
}

/// A job and when it is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledJob {
    /// What there is to do.
    pub job: Job,
    /// Not before this.
    pub run_at: DateTime<Utc>,
}

/// A job that is done again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecurringJob {
    /// What there is to do.
    pub job: Job,
    /// For how long it waits at most before it is done; whole seconds.
    pub pause: TimeDelta,
}

/// A job that has failed at least once.
#[derive(Debug, Clone)]
pub struct TroubledJob {
    /// What there is to do, as in the payload.
    pub kind: String,
    /// How often it was tried.
    pub tries: i16,
    /// Whether it will not be tried again by itself.
    pub is_buried: bool,
    /// What went wrong the last time.
    pub last_error: Option<String>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
}

impl Job {
    /// How the key of a job that ends a hold begins; the booking's id follows.
    pub const END_HOLD: &'static str = "end-hold-";
    /// How the key of a job that finishes a checkout begins; the booking's id follows.
    pub const FINISH_CHECKOUT: &'static str = "finish-";

    /// How the key of a job that settles a deferred event begins; the event's id follows.
    pub const SETTLE_EVENT: &'static str = "settle-";

    /// How the key of a job that asks for a refund begins; the refund's id follows.
    pub const REFUND: &'static str = "refund-";
    /// How the key of a job that looks at refunds begins; the payment's id follows.
    pub const LOOK_AT_REFUNDS: &'static str = "refunds-of-";
    /// How the key of a job that goes on with the cancellation of a show begins; the run's id
    /// follows.
    pub const CANCEL_SHOW: &'static str = "cancel-show-";

    /// Jobs with the same key are one job: the later takes the place of the earlier.
    pub fn key(&self) -> String {
        match self {
            Self::EndHold { booking_id } => format!("{}{booking_id}", Self::END_HOLD),
            Self::FinishCheckout { booking_id } => format!("{}{booking_id}", Self::FINISH_CHECKOUT),
            Self::SettleEvent { event_id } => format!("{}{event_id}", Self::SETTLE_EVENT),
            Self::Refund { refund_id, .. } => format!("{}{refund_id}", Self::REFUND),
            Self::LookAtRefunds { payment_id, .. } => {
                format!("{}{payment_id}", Self::LOOK_AT_REFUNDS)
            }
            Self::BeginReconciliation => "begin-reconciliation".to_owned(),
            Self::Reconcile { reconciliation_id } => format!("reconcile-{reconciliation_id}"),
            Self::CancelShow { run_id } => format!("{}{run_id}", Self::CANCEL_SHOW),
            Self::Sweep => "sweep".to_owned(),
        }
    }

    /// The payload of the queue.
    pub fn payload(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// For how long it may wait where no clock is wrong and holds last for `hold`. The end of a
    /// hold may wait for longer, as its booking says.
    pub fn wait_max(&self, hold: TimeDelta) -> TimeDelta {
        match self {
            Self::EndHold { .. } => hold,
            Self::SettleEvent { .. } => DEFERRED_PAUSE_MAX,
            Self::FinishCheckout { .. }
            | Self::Refund { .. }
            | Self::LookAtRefunds { .. }
            | Self::Reconcile { .. }
            | Self::CancelShow { .. } => RETRY_PAUSE_MAX,
            Self::BeginReconciliation => RECONCILIATION_PAUSE,
            Self::Sweep => SWEEP_PAUSE,
        }
    }

    /// This job, due at `run_at`.
    pub fn at(self, run_at: DateTime<Utc>) -> ScheduledJob {
        ScheduledJob { job: self, run_at }
    }
}
