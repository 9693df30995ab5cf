//! Work that no job is about to do, because its process has died: found, so that it can be enqueued
//! again.

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::ids::BookingId;
use crate::domain::job::Job;
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
/// `before`, and that no job is about
/// to end, at most `limit`.
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
