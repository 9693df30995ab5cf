//! New bookings: stored with the seats that they claim and the attempts to pay for them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

use super::{Columns, StoredPolicy};
use crate::domain::attempt::NewAttempt;
use crate::domain::booking::Booking;
use crate::domain::booking_event::{BookingEvent, StoredEvent};
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
/// Claims are inserted in the order of shows and labels, so that two who want the same seats never
/// deadlock; a claim that another transaction is just making is waited for.
pub async fn insert(
    db: &mut PgConnection,
    holds: &[NewHold<'_>],
    jobs: &[ScheduledJob],
    now: DateTime<Utc>,
) -> Result<Held> {
    let attempts: Vec<_> = holds
        .iter()
        .filter_map(|new| Some((new.booking.id, new.attempt?)))
        .collect();
    let seats = holds.column(|new| new.booking.reservation.seats());
    let events = holds.column(|new| StoredEvent::from(&event_of(new.booking)));
    let rows = sqlx::query!(
        r#"with wanted as (
             select *, string_to_array(joined_seats, $22) as seats
             from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[],
                         $6::booking_status[], $7::payment_option[], $8::text[], $9::bigint[],
                         $10::bigint[], $11::jsonb[], $12::timestamptz[], $13::timestamptz[],
                         $23::booking_kind[], $24::text[], $25::jsonb[])
               as booking (id, reference, user_id, show_id, joined_seats, status, payment_option,
                           currency, total_minor, due_minor, cancellation_policy, hold_expires_at,
                           confirmed_at, kind, event_kind, event_payload)
           ), booking as (
             insert into bookings (id, reference, user_id, kind, show_id, seats, status,
                                   payment_option, currency, total_minor, due_minor,
                                   cancellation_policy, hold_expires_at, confirmed_at, created_at,
                                   updated_at)
             select id, reference, user_id, kind, show_id, seats, status, payment_option, currency,
                    total_minor, due_minor, cancellation_policy, hold_expires_at, confirmed_at, $14,
                    $14
             from wanted
           ), attempt as (
             insert into checkout_attempts (id, booking_id, part, ui, amount_minor, status,
                                            parameters, expires_at, created_at, updated_at)
             select id, booking_id, part, ui, amount_minor, 'creating', parameters, expires_at, $14,
                    $14
             from unnest($15::uuid[], $16::uuid[], $17::payment_part[], $18::text[], $19::bigint[],
                         $20::text[], $21::timestamptz[])
               as attempt (id, booking_id, part, ui, amount_minor, parameters, expires_at)
           ), happened as (
             insert into booking_events (booking_id, kind, payload, at)
             select id, event_kind, event_payload, $14
             from wanted
           ), claim as (
             insert into seat_claims (show_id, label, booking_id)
             select wanted.show_id, seat.label, wanted.id
             from wanted, unnest(wanted.seats) as seat (label)
             order by wanted.show_id, seat.label collate "C"
             on conflict (show_id, label) do nothing
             returning booking_id, label
           )
           select booking_id as "booking_id?: BookingId", label as "label?", null as "event_id?"
           from claim
           union all
           select null, null, id
           from payment_events
           where status = 'deferred' and attempt_id = any($15)
           union all
           -- The ends of the holds are enqueued here; a count below zero adds no row.
           select null, null, null where enqueue_jobs($26, $27::json[], $28, $29) < 0"#,
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
        &events.column(|event| event.kind.as_str()) as _,
        &events.column(|event| Json(&event.payload)) as _,
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
