//! What buyers want to be cancelled.

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::booking_event::BookingEvent;
use crate::domain::ids::BookingId;
use crate::error::Result;

/// Which booking is to be cancelled, and why.
#[derive(Debug, Clone, Copy)]
pub struct Cancellation<'a> {
    /// The booking.
    pub booking_id: BookingId,
    /// The version that the caller has seen, if it matters to them.
    pub version: Option<i64>,
    /// Why, if they said so.
    pub reason: Option<&'a str>,
}

/// Notes that a pending booking is to be cancelled, and why; what was noted before stays. False if
/// it is not pending, or not at that version any more.
pub async fn request_cancellation(
    db: &mut Connection,
    cancellation: Cancellation<'_>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let reason = cancellation.reason.map(str::to_owned);
    let event = BookingEvent::CancellationRequested { reason };
    let noted = sqlx::query_scalar!(
        r#"with wanted as (
             select id
             from bookings
             where id = $1 and status = 'pending'
               and ($2::bigint is null or version = $2 or cancel_requested_at is not null)
             for update
           ), noted as (
             update bookings
             set cancel_requested_at = $4, cancel_reason = $3, updated_at = $4
             from wanted
             where bookings.id = wanted.id and cancel_requested_at is null
             returning bookings.id
           ), happened as (
             insert into booking_events (booking_id, kind, payload, at)
             select id, $5, $6::text::json, $4 from noted
           )
           select count(*) as "count!" from wanted"#,
        cancellation.booking_id as _,
        cancellation.version,
        cancellation.reason,
        now,
        event.kind(),
        event.json(),
    )
    .fetch_one(db)
    .await?;
    Ok(noted == 1)
}
