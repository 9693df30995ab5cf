//! New bookings: stored with the seats that they claim and the attempts to pay for them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use super::{Columns, StoredPolicy};
use crate::connection::Connection;
use crate::domain::attempt::NewAttempt;
use crate::domain::booking::Booking;
use crate::domain::booking_event::BookingEvent;
use crate::domain::catalogue::PolicyStep;
use crate::domain::ids::BookingId;
use crate::domain::job::{ScheduledJob, TRIES_MAX};
use crate::error::Result;

/// The constraint that keeps references unique.
pub const REFERENCE_KEY: &str = "bookings_reference_key";

/// Stands between the labels of one booking where those of many travel in one array; no label has
/// it.
const SEPARATOR: &str = ",";

/// A booking to be stored with its claims, and with the attempt to pay for it.
#[derive(Debug, Clone)]
pub struct NewHold<'a> {
    /// The booking: pending, or confirmed if it costs nothing.
    pub booking: &'a Booking,
    /// The policy that is frozen at sale.
    pub cancellation_policy: &'a [PolicyStep],
    /// The attempt, unless nothing is to be paid.
    pub attempt: Option<&'a NewAttempt>,
}

/// What has become of new holds.
#[derive(Debug, Default)]
pub struct Held {
    /// The seats that could be claimed; if they are fewer than the bookings name, the caller must
    /// roll back.
    pub claimed: HashSet<(BookingId, String)>,
    /// Deferred events that name one of the attempts: they came before it, and can be settled.
    pub deferred_events: Vec<String>,
}

/// Stores bookings, claims their seats, stores their attempts, and enqueues `jobs`, which end their
/// holds: one round trip.
///
/// Claims are inserted in the order of shows and labels, so that two holds of the same seats never
/// deadlock; a claim that another transaction is just making is waited for.
pub async fn insert(
    db: &mut Connection,
    holds: &[NewHold<'_>],
    jobs: &[ScheduledJob],
    now: DateTime<Utc>,
) -> Result<Held> {
    let attempts: Vec<_> = holds
        .iter()
        .filter_map(|new| Some((new.booking.id, new.attempt?)))
        .collect();
    let seats = holds.column(|new| new.booking.reservation.seats());
    let events = holds.column(|new| event_of(new.booking));
    let rows = sqlx::query_file!(
        "src/repositories/hold.sql",
        &holds.column(|new| new.booking.id) as _,
        &holds.column(|new| new.booking.reference.as_str()) as _,
        &holds.column(|new| new.booking.user_id.as_str()) as _,
        &seats.column(|seats| seats.map(|seats| seats.show_id)) as _,
        &seats.column(|seats| seats.map_or_else(String::new, |seats| seats.labels.join(SEPARATOR))),
        &holds.column(|new| new.booking.status) as _,
        &holds.column(|new| new.booking.payment_option) as _,
        &holds.column(|new| new.booking.total.currency.as_str()) as _,
        &holds.column(|new| new.booking.total.amount_minor),
        &holds.column(|new| new.booking.due.amount_minor),
        &holds.column(|new| StoredPolicy::from(new.cancellation_policy)) as _,
        &holds.column(|new| new.booking.hold_expires_at) as _,
        &holds.column(|new| new.booking.confirmed_at) as _,
        now,
        &attempts.column(|(_, attempt)| attempt.id) as _,
        &attempts.column(|(booking_id, _)| *booking_id) as _,
        &attempts.column(|(_, attempt)| attempt.part) as _,
        &attempts.column(|(_, attempt)| attempt.ui.as_str()) as _,
        &attempts.column(|(_, attempt)| attempt.amount_minor),
        &attempts.column(|(_, attempt)| attempt.parameters.as_str()) as _,
        &attempts.column(|(_, attempt)| attempt.expires_at),
        SEPARATOR,
        &holds.column(|new| new.booking.reservation.kind()) as _,
        &events.column(BookingEvent::kind) as _,
        &events.column(BookingEvent::json),
        &jobs.column(|scheduled| scheduled.job.key()),
        &jobs.column(|scheduled| Json(scheduled.job.payload())) as _,
        &jobs.column(|scheduled| scheduled.run_at),
        TRIES_MAX,
    )
    .fetch_all(db)
    .await?;
    let mut held = Held::default();
    for row in rows {
        held.claimed.extend(row.booking_id.zip(row.label));
        held.deferred_events.extend(row.event_id);
    }
    Ok(held)
}

fn event_of(booking: &Booking) -> BookingEvent {
    match booking.hold_expires_at {
        Some(until) => BookingEvent::Held { until },
        None => BookingEvent::Confirmed { payment_id: None },
    }
}
