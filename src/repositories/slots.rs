//! New bookings of slots.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use super::{Columns, StoredPolicy};
use crate::connection::Connection;
use crate::domain::attempt::NewAttempt;
use crate::domain::booking::{Booking, ReservedSlot};
use crate::domain::booking_event::BookingEvent;
use crate::domain::catalogue::PolicyStep;
use crate::domain::job::{ScheduledJob, TRIES_MAX};
use crate::error::Result;

/// A booking of a slot, to be stored with its claim and the attempt to pay for it.
#[derive(Debug, Clone, Copy)]
pub struct NewSlotHold<'a> {
    /// The booking: pending, or confirmed if it costs nothing.
    pub booking: &'a Booking,
    /// What it reserves.
    pub slot: &'a ReservedSlot,
    /// The first instant at which its resource is free again.
    pub taken_until: DateTime<Utc>,
    /// What the buyer wants the service to know.
    pub details: Option<&'a Value>,
    /// The policy that is frozen at sale.
    pub cancellation_policy: &'a [PolicyStep],
    /// The attempt, unless nothing is to be paid.
    pub attempt: Option<&'a NewAttempt>,
}

/// Stores a booking, claims its slot, stores its attempt, and enqueues `jobs`, which end its hold:
/// one round trip. Returns the deferred events that name the attempt, or `None` if somebody else
/// has the slot: then the caller must roll back.
pub async fn insert(
    db: &mut Connection,
    new: NewSlotHold<'_>,
    jobs: &[ScheduledJob],
    now: DateTime<Utc>,
) -> Result<Option<Vec<String>>> {
    let NewSlotHold {
        booking,
        slot,
        attempt,
        ..
    } = new;
    let event = BookingEvent::of_hold(booking);
    let row = sqlx::query_file!(
        "src/repositories/hold_slot.sql",
        booking.id as _,
        booking.reference,
        booking.user_id.as_str(),
        slot.service_id as _,
        slot.resource_id as _,
        slot.starts_at,
        slot.ends_at,
        new.details,
        booking.status as _,
        booking.payment_option as _,
        booking.total.currency.as_str(),
        booking.total.amount_minor,
        booking.due.amount_minor,
        StoredPolicy::from(new.cancellation_policy) as _,
        booking.hold_expires_at,
        booking.confirmed_at,
        now,
        attempt.map(|attempt| attempt.id) as _,
        attempt.map(|attempt| attempt.part) as _,
        attempt.map(|attempt| attempt.ui.as_str()),
        attempt.map(|attempt| attempt.amount_minor),
        attempt.map(|attempt| attempt.parameters.as_str()),
        attempt.map(|attempt| attempt.expires_at),
        event.kind(),
        event.json(),
        new.taken_until,
        &jobs.column(|scheduled| scheduled.job.key()),
        &jobs.column(|scheduled| Json(scheduled.job.payload())) as _,
        &jobs.column(|scheduled| scheduled.run_at),
        TRIES_MAX,
    )
    .fetch_one(db)
    .await?;
    Ok(row.is_claimed.then_some(row.deferred_events))
}
