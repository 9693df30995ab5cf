//! Cancellations of bookings: what decides about them, and that somebody wants one.

use chrono::{DateTime, Utc};

use super::StoredPolicy;
use crate::connection::Connection;
use crate::domain::attempt::PaymentPart;
use crate::domain::booking::BookingStatus;
use crate::domain::booking_event::BookingEvent;
use crate::domain::cancellation::{CancellationTerms, PaidPart};
use crate::domain::cancelled_by::CancelledBy;
use crate::domain::ids::{BookingId, PaymentId};
use crate::domain::money::Money;
use crate::error::{Error, Result};

/// Which booking is to be cancelled, and why.
#[derive(Debug, Clone, Copy)]
pub struct Cancellation<'a> {
    /// The booking.
    pub booking_id: BookingId,
    /// Who wants it.
    pub by: CancelledBy,
    /// The version that the caller has seen, if it matters to them.
    pub version: Option<i64>,
    /// Why, if they said so.
    pub reason: Option<&'a str>,
}

/// What decides about the cancellation of a booking, but for what is disputed; `None` if there is
/// no such booking. Two round trips. Who cancels holds the locks of the booking and its payments.
pub async fn find_terms(db: &mut Connection, id: BookingId) -> Result<Option<CancellationTerms>> {
    let row = sqlx::query!(
        r#"select booking.status as "status: BookingStatus", version, booking.currency,
                  booking.cancellation_policy as "policy: StoredPolicy",
                  coalesce(shows.starts_at, slot_starts_at) as "starts_at!",
                  coalesce(shows.status = 'cancelled', false) as "is_called_off!"
           from bookings as booking
           left join shows on shows.id = booking.show_id
           where booking.id = $1"#,
        id as _,
    )
    .fetch_optional(&mut *db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let currency = row.currency.parse().map_err(Error::Fault)?;
    let payments = sqlx::query!(
        r#"select id as "id: PaymentId", part as "part: PaymentPart", amount_minor,
                  (select coalesce(sum(refunds.amount_minor), 0)::bigint
                   from refunds
                   where payment_id = payments.id
                     and status in ('requested', 'pending', 'succeeded')) as "asked_back_minor!"
           from payments
           where booking_id = $1 and disposition = 'applied'
           order by id desc"#,
        id as _,
    )
    .fetch_all(db)
    .await?;
    let payments = payments.into_iter().map(|row| PaidPart {
        payment_id: row.id,
        part: row.part,
        paid: Money::new(row.amount_minor, currency),
        asked_back_minor: row.asked_back_minor,
        block: None,
        given_back_minor: 0,
    });
    Ok(Some(CancellationTerms {
        status: row.status,
        version: row.version,
        currency,
        policy: row.policy.into(),
        starts_at: row.starts_at,
        is_called_off: row.is_called_off,
        payments: payments.collect(),
    }))
}

/// Notes that a confirmed booking is cancelled, and why. The caller holds its lock, and ends it.
pub async fn note_immediate(
    db: &mut Connection,
    cancellation: Cancellation<'_>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "update bookings
         set cancel_requested_at = $3, cancel_reason = $2, updated_at = $3
         where id = $1",
        cancellation.booking_id as _,
        cancellation.reason,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that a pending booking is to be cancelled, and why; what was noted before stays. False if
/// it is not pending, or not at that version any more.
pub async fn request_cancellation(
    db: &mut Connection,
    cancellation: Cancellation<'_>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let reason = cancellation.reason.map(str::to_owned);
    let by = cancellation.by;
    let event = BookingEvent::CancellationRequested { by, reason };
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
