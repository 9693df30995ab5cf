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
use crate::domain::hold_limits::{Counted, Holder};
use crate::domain::job::{ScheduledJob, TRIES_MAX};
use crate::domain::unpaid_hold::UnpaidHold;
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
    /// What is counted of its user, if what they may hold is limited.
    pub counted: Option<Counted>,
}

/// What has become of a new hold of a slot.
#[derive(Debug)]
pub struct HeldSlot {
    /// Deferred events that name the attempt: they came before it, and can be settled.
    pub deferred_events: Vec<String>,
    /// What the user of a limited booking has beside it. If it is too much, the caller must roll
    /// back.
    pub holder: Option<Holder>,
}

/// Stores a booking, claims its slot, stores its attempt, and enqueues `jobs`, which end its hold:
/// one round trip. `None` if somebody else has the slot: then the caller must roll back. Who is
/// just holding something for the user is waited for.
pub async fn insert(
    db: &mut Connection,
    new: NewSlotHold<'_>,
    jobs: &[ScheduledJob],
    now: DateTime<Utc>,
) -> Result<Option<HeldSlot>> {
    let NewSlotHold {
        booking,
        slot,
        attempt,
        ..
    } = new;
    let event = BookingEvent::of_hold(booking);
    let limited: Vec<_> = new.counted.into_iter().collect();
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
        &limited.column(|_| booking.id) as _,
        &limited.column(|_| booking.user_id.as_str()) as _,
        &limited.column(|counted| counted.lapsed_after) as _,
    )
    .fetch_one(db)
    .await?;
    let counted = row.holds.zip(row.seats).zip(row.lapses);
    let holder =
        counted.map(|((Json(holds), seats), lapses)| Holder::counted(holds, seats, lapses));
    Ok(row.is_claimed.then_some(HeldSlot {
        deferred_events: row.deferred_events,
        holder,
    }))
}
