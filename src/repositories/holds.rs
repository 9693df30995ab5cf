//! New bookings: stored with the seats that they claim and the attempts to pay for them.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use super::{Columns, StoredPolicy};
use crate::connection::Connection;
use crate::domain::attempt::NewAttempt;
use crate::domain::booking::Booking;
use crate::domain::booking_event::BookingEvent;
use crate::domain::catalogue::PolicyStep;
use crate::domain::hold_limits::{Counted, Holder};
use crate::domain::ids::BookingId;
use crate::domain::job::{ScheduledJob, TRIES_MAX};
use crate::domain::skew::SKEW_NOTICED;
use crate::domain::unpaid_hold::UnpaidHold;
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
    /// What is counted of its user, if what they may hold is limited.
    pub counted: Option<Counted>,
}

/// What has become of new holds.
#[derive(Debug, Default)]
pub struct Held {
    /// The seats that could be claimed; if they are fewer than the bookings name, the caller must
    /// roll back.
    pub claimed: HashSet<(BookingId, String)>,
    /// Deferred events that name one of the attempts: they came before it, and can be settled.
    pub deferred_events: Vec<String>,
    /// What the users of limited bookings have beside them. If it is too much, the caller must roll
    /// back.
    pub holders: HashMap<BookingId, Holder>,
}

/// Stores bookings, claims their seats, stores their attempts, and enqueues `jobs`, which end their
/// holds: one round trip.
///
/// Claims are inserted in the order of shows and labels, so that two holds of the same seats never
/// deadlock; a claim that another transaction is just making is waited for. Before that, so is who
/// is just holding something for one of the users.
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
    let events = holds.column(|new| BookingEvent::of_hold(new.booking));
    let limited: Vec<_> = holds
        .iter()
        .filter_map(|new| Some((new.booking, new.counted?)))
        .collect();
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
        &limited.column(|(booking, _)| booking.id) as _,
        &limited.column(|(booking, _)| booking.user_id.as_str()) as _,
        &limited.column(|(booking, _)| booking.reservation.seats().map(|seats| seats.show_id)) as _,
        &limited.column(|(_, counted)| counted.seats),
        &limited.column(|(_, counted)| counted.lapsed_after) as _,
    )
    .fetch_all(db)
    .await?;
    let mut held = Held::default();
    for row in rows {
        held.claimed.extend(row.booking_id.zip(row.label));
        held.deferred_events.extend(row.event_id);
        let counted = row.holds.zip(row.seats).zip(row.lapses);
        let holder =
            counted.map(|((Json(holds), seats), lapses)| Holder::counted(holds, seats, lapses));
        held.holders.extend(row.booking_id.zip(holder));
    }
    Ok(held)
}

/// Until when bookings may hold what they reserve.
#[derive(Debug, Clone, Copy)]
pub struct LatestEnds {
    /// One that nobody has paid.
    pub pending: DateTime<Utc>,
    /// One whose buyer has paid by a method that takes days.
    pub processing: DateTime<Utc>,
}

/// Shortens holds that end noticeably later than `latest`, and were written by a clock that was
/// noticeably ahead, to that, at most `limit`. Those that somebody is at are left for the next
/// time. Returns how many there were.
pub async fn shorten(
    db: &mut Connection,
    latest: LatestEnds,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<i64> {
    let shortened = |until| BookingEvent::HoldShortened { until };
    let (pending, processing) = (shortened(latest.pending), shortened(latest.processing));
    let count = sqlx::query_scalar!(
        r#"with wrong as (
             select id, case status when 'pending' then $1::timestamptz else $2 end as until
             from bookings
             where status in ('pending', 'processing')
               -- Of what is processing there is little, and the index gives all of it.
               and hold_expires_at > $3
               and hold_expires_at > case status when 'pending' then $3 else $4 end
               -- By a clock that was ahead: one with longer holds may have made it lawfully.
               and greatest(created_at, updated_at) > $10
             order by hold_expires_at desc
             limit $9
             for update skip locked
           ), shortened as (
             update bookings
             set hold_expires_at = wrong.until, updated_at = $5
             from wrong
             where bookings.id = wrong.id
             returning bookings.id, bookings.status
           ), happened as (
             insert into booking_events (booking_id, kind, payload, at)
             select id, $6, case status when 'pending' then $7::text else $8 end::json, $5
             from shortened
           )
           select count(*) as "count!" from shortened"#,
        latest.pending,
        latest.processing,
        latest.pending + SKEW_NOTICED,
        latest.processing + SKEW_NOTICED,
        now,
        pending.kind(),
        pending.json(),
        processing.json(),
        limit,
        now + SKEW_NOTICED,
    )
    .fetch_one(db)
    .await?;
    Ok(count)
}
