//! Attempts by the session that Stripe has given them.

use chrono::{DateTime, TimeDelta, Utc};

use crate::connection::Connection;
use crate::domain::attempt::{AttemptOfBooking, NewSession};
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::user::UserId;
use crate::error::Result;

/// The attempt of a session whose booking is the owner's.
pub async fn find_by_session(
    db: &mut Connection,
    session_id: &str,
    owner: &UserId,
) -> Result<Option<AttemptOfBooking>> {
    let attempt = sqlx::query_as!(
        AttemptOfBooking,
        r#"select attempt.id as "attempt_id: _", attempt.booking_id as "booking_id: _"
           from checkout_attempts as attempt
           join bookings on bookings.id = attempt.booking_id and bookings.user_id = $2
           where attempt.stripe_session_id = $1"#,
        session_id,
        owner.as_str(),
    )
    .fetch_optional(db)
    .await?;
    Ok(attempt)
}

/// An attempt that Stripe has given a session.
#[derive(Debug, Clone)]
pub struct AttemptWithSession {
    /// The attempt.
    pub id: AttemptId,
    /// `cs_…`
    pub session_id: String,
}

/// The attempts of a booking that have a session, newest first, at most `limit`. One round trip.
pub async fn list_with_session(
    db: &mut Connection,
    id: BookingId,
    limit: i64,
) -> Result<Vec<AttemptWithSession>> {
    let attempts = sqlx::query_as!(
        AttemptWithSession,
        r#"select id as "id: _", stripe_session_id as "session_id!"
           from checkout_attempts
           where booking_id = $1 and stripe_session_id is not null
           order by id desc
           limit $2"#,
        id as _,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(attempts)
}

/// Notes the session of an attempt whose booking does not wait for it any more; what Stripe's
/// reports have named stays. True if nobody has heard yet what has become of it.
pub async fn name_session(db: &mut Connection, session: &NewSession) -> Result<bool> {
    let is_unheard_of = sqlx::query_scalar!(
        r#"update checkout_attempts
           set stripe_session_id = coalesce(stripe_session_id, $2)
           where id = $1
           returning status = 'creating' as "is_unheard_of!""#,
        session.attempt_id as _,
        session.checkout.session_id,
    )
    .fetch_one(db)
    .await?;
    Ok(is_unheard_of)
}

/// Claims the next question to Stripe about an attempt, beside all other processes; `None` if it is
/// the caller's, else when another was asked, after which `pause` is not over. One round trip.
pub async fn claim_question(
    db: &mut Connection,
    id: AttemptId,
    pause: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    let asked_at = sqlx::query_scalar!(
        r#"with claimed as (
             update checkout_attempts
             set asked_at = $2
             where id = $1
               -- Further ahead than any process may be, it was noted by a clock that was ahead.
               and (asked_at is null or asked_at <= $3 or asked_at > $4)
             returning id
           )
           -- Who was faster in this moment is not seen yet.
           select coalesce(asked_at, $2) as "asked_at!"
           from checkout_attempts
           where id = $1 and not exists (select from claimed)"#,
        id as _,
        now,
        now - pause,
        now + pause,
    )
    .fetch_optional(db)
    .await?;
    Ok(asked_at)
}

/// Takes back a question that was claimed at `asked_at`, as it was not asked. One round trip.
pub async fn withdraw_question(
    db: &mut Connection,
    id: AttemptId,
    asked_at: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "update checkout_attempts set asked_at = null where id = $1 and asked_at = $2",
        id as _,
        asked_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that Stripe is asked about an attempt by who must know now.
pub async fn note_question(db: &mut Connection, id: AttemptId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "update checkout_attempts set asked_at = $2 where id = $1",
        id as _,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that Stripe says what nobody can explain of a session that is over; since when it does.
pub async fn note_unexplained(
    db: &mut Connection,
    id: AttemptId,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>> {
    let since = sqlx::query_scalar!(
        r#"update checkout_attempts
           -- A time that is yet to come was noted by a clock that was ahead.
           set unexplained_since = least(unexplained_since, $2)
           where id = $1
           returning unexplained_since as "unexplained_since!""#,
        id as _,
        now,
    )
    .fetch_one(db)
    .await?;
    Ok(since)
}
