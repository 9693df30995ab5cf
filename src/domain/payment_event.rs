//! An event of Stripe's, as we keep it: where it stands, and what became of a delivery.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::attempt::AttemptOfBooking;
use super::ids::BookingId;
use super::stripe_report::Change;

/// Where an event stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, Serialize, Deserialize, utoipa::ToSchema,
)]
#[sqlx(type_name = "payment_event_status", rename_all = "snake_case")]
#[serde(rename_all = "camelCase")]
pub enum EventStatus {
    /// Stored, and being decided.
    Received,
    /// Ours, but what it is about is not here yet.
    Deferred,
    /// Its effect is committed.
    Processed,
    /// Nothing is to be done about it.
    Ignored,
    /// It could not be decided; a person looks.
    Failed,
}

impl EventStatus {
    /// Whether nothing is left to do.
    pub fn is_settled(self) -> bool {
        match self {
            Self::Processed | Self::Ignored => true,
            Self::Received | Self::Deferred | Self::Failed => false,
        }
    }
}

/// An event as it is kept, with what became of it.
#[derive(Debug, Clone)]
pub struct PaymentEvent {
    /// `evt_…`
    pub id: String,
    /// Such as `checkout.session.completed`; empty if it could not be read.
    pub kind: String,
    /// Where it stands.
    pub status: EventStatus,
    /// A sentence that says what became of it; none before it is decided.
    pub outcome: Option<String>,
    /// The booking that it is about, if one was found.
    pub booking_id: Option<BookingId>,
    /// How often it came.
    pub deliveries: i32,
    /// When it first came.
    pub received_at: DateTime<Utc>,
    /// When it was settled.
    pub processed_at: Option<DateTime<Utc>>,
    /// The body as it came.
    pub payload: String,
}

/// An event that was decided, with all that is needed to decide it again.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// `evt_…`
    pub id: String,
    /// Such as `checkout.session.completed`; empty if it could not be read.
    pub kind: String,
    /// Whether it speaks of real money, if it says so.
    pub livemode: Option<bool>,
    /// When it happened at Stripe, if it says so.
    pub created_at: Option<DateTime<Utc>>,
    /// The session that it is about.
    pub session_id: Option<String>,
    /// The PaymentIntent that it is about.
    pub payment_intent_id: Option<String>,
    /// The attempt that it was found to be about, if there was one.
    pub attempt: Option<AttemptOfBooking>,
    /// The body as it came.
    pub payload: String,
    /// Where it stands.
    pub status: EventStatus,
    /// A sentence that says what became of it.
    pub outcome: Option<String>,
    /// When it first came.
    pub received_at: DateTime<Utc>,
    /// When it was settled, if it was.
    pub processed_at: Option<DateTime<Utc>>,
}

/// What became of a delivery of an event, and what it has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// What became of it.
    pub outcome: DeliveryOutcome,
    /// What it has changed, if anything.
    pub change: Option<Change>,
}

/// What became of a delivery of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// Decided, and the effect is committed.
    Processed,
    /// It had been decided before.
    Duplicate,
    /// Stored, with the reason why there is nothing to do.
    Ignored,
    /// Ours, but what it is about is not here yet; stored, and to be decided later.
    Deferred,
}
