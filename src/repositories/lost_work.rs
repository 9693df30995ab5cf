//! Work that no job is about to do, because its process has died: found, so that it can be enqueued
//! again.

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::ids::{BookingId, PaymentId, RefundId, RunId};
use crate::domain::job::Job;
use crate::domain::refund_state::RefundStatus;
use crate::error::Result;

/// Bookings with an attempt that has had no answer since `before` and that no job is about to
/// finish, at most `limit`. They may have been paid by another session since; then this one is to
/// be closed.
pub async fn list_unanswered(
    db: &mut Connection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<BookingId>> {
    let unfinished = sqlx::query_scalar!(
        r#"select booking_id as "booking_id: BookingId"
           from checkout_attempts
           where status = 'creating' and stripe_session_id is null and updated_at < $1
             and not exists (
               select from jobs where jobs.key = $3 || checkout_attempts.booking_id
                 and jobs.state <> 'buried'
             )
           order by updated_at
           limit $2"#,
        before,
        limit,
        Job::FINISH_CHECKOUT,
    )
    .fetch_all(db)
    .await?;
    Ok(unfinished)
}

/// Bookings that wait for a payment, whose hold ended before `before`, and that no job is about to
/// end, at most `limit`.
pub async fn list_overdue(
    db: &mut Connection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<BookingId>> {
    let overdue = sqlx::query_scalar!(
        r#"select id as "id: BookingId"
           from bookings
           where status in ('pending', 'processing') and hold_expires_at < $1
             and not exists (
               select from jobs where jobs.key = $3 || bookings.id and jobs.state <> 'buried'
             )
           order by hold_expires_at
           limit $2"#,
        before,
        limit,
        Job::END_HOLD,
    )
    .fetch_all(db)
    .await?;
    Ok(overdue)
}

/// Bookings with an attempt that is not closed although Stripe has closed its session before
/// `before`, and that no job is about to end, at most `limit`.
pub async fn list_left_open(
    db: &mut Connection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<BookingId>> {
    let bookings = sqlx::query_scalar!(
        r#"select booking_id as "booking_id: BookingId"
           from checkout_attempts
           where status in ('creating', 'open') and expires_at < $1
             and not exists (
               select from jobs
               where jobs.key = $3 || checkout_attempts.booking_id and jobs.state <> 'buried'
             )
           limit $2"#,
        before,
        limit,
        Job::END_HOLD,
    )
    .fetch_all(db)
    .await?;
    Ok(bookings)
}

/// Deferred events that came before `before` and that no job is about to settle, at most
/// `limit`.
pub async fn list_deferred(
    db: &mut Connection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<String>> {
    let forgotten = sqlx::query_scalar!(
        "select id
         from payment_events
         where status = 'deferred' and received_at < $1
           and not exists (
             select from jobs where jobs.key = $3 || payment_events.id and jobs.state <> 'buried'
           )
         order by received_at
         limit $2",
        before,
        limit,
        Job::SETTLE_EVENT,
    )
    .fetch_all(db)
    .await?;
    Ok(forgotten)
}

/// A refund that Stripe is to be asked about.
#[derive(Debug, Clone)]
pub struct DueRefund {
    /// The refund.
    pub id: RefundId,
    /// The payment it gives back.
    pub payment_id: PaymentId,
    /// Its booking.
    pub booking_id: BookingId,
    /// Where it stands: requested or pending.
    pub status: RefundStatus,
}

/// Refunds that Stripe is to be asked about by `now`, and that no job is about to ask about, at
/// most `limit`. What was put off further than `latest` was so by a clock that was ahead.
pub async fn list_refunds_due(
    db: &mut Connection,
    now: DateTime<Utc>,
    latest: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<DueRefund>> {
    let due = sqlx::query_as!(
        DueRefund,
        r#"select id as "id!: _", payment_id as "payment_id!: _", booking_id as "booking_id!: _",
                  status as "status!: _"
           from (
             -- Each side along the index: with `or`, all refunds would be read.
             select id, payment_id, booking_id, status, next_look_at
             from refunds
             where next_look_at <= $1
             union all
             select id, payment_id, booking_id, status, next_look_at
             from refunds
             where next_look_at > $2
           ) as due
           where not exists (
             select from jobs
             where jobs.key = case due.status
                 when 'requested' then $4 || due.id else $5 || due.payment_id end
               and jobs.state <> 'buried'
           )
           order by next_look_at
           limit $3"#,
        now,
        latest,
        limit,
        Job::REFUND,
        Job::LOOK_AT_REFUNDS,
    )
    .fetch_all(db)
    .await?;
    Ok(due)
}

/// Runs that were begun before `before`, are not over, and that no job is about to go on with, at
/// most `limit`.
pub async fn list_runs(
    db: &mut Connection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<RunId>> {
    let lost = sqlx::query_scalar!(
        r#"select id as "id: RunId"
           from runs
           where finished_at is null and begun_at < $1
             and not exists (
               select from jobs where jobs.key = $3 || runs.id and jobs.state <> 'buried'
             )
           order by begun_at
           limit $2"#,
        before,
        limit,
        Job::CANCEL_SHOW,
    )
    .fetch_all(db)
    .await?;
    Ok(lost)
}
