//! Attempts: one row is one Stripe Checkout Session of ours.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Columns;
use crate::domain::booking::{BookingStatus, OpenCheckout};
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::user::UserId;
use crate::error::Result;

/// What is needed to ask Stripe for the session of an attempt, again and to the letter.
#[derive(Debug, Clone)]
pub struct UnansweredAttempt {
    /// The attempt.
    pub id: AttemptId,
    /// What Stripe is sent.
    pub parameters: String,
}

/// A booking and the attempt that may be paying for it.
#[derive(Debug, Clone)]
pub struct Hold {
    /// Where the booking stands.
    pub status: BookingStatus,
    /// When its hold ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether it has been called off.
    pub cancel_requested: bool,
    /// The attempt that is not closed, if there is one.
    pub unclosed: Option<UnclosedAttempt>,
}

/// An attempt that is not closed.
#[derive(Debug, Clone)]
pub struct UnclosedAttempt {
    /// Its id.
    pub id: AttemptId,
    /// What Stripe was or is sent.
    pub parameters: String,
    /// `cs_…`, once Stripe has answered.
    pub session_id: Option<String>,
    /// When Stripe closes it by itself.
    pub expires_at: DateTime<Utc>,
}

/// The hold of a booking, if there is such a booking. Nothing is locked.
pub async fn find_hold(db: &mut PgConnection, id: BookingId) -> Result<Option<Hold>> {
    let row = sqlx::query!(
        r#"select booking.status as "status: BookingStatus", booking.hold_expires_at, booking.cancel_requested_at,
                  attempt.id as "attempt_id?: AttemptId", attempt.parameters as "parameters?",
                  attempt.stripe_session_id as "session_id?", attempt.expires_at as "expires_at?"
           from bookings as booking
           left join checkout_attempts as attempt
             on attempt.booking_id = booking.id and attempt.status in ('creating', 'open', 'processing')
           where booking.id = $1"#,
        id as _,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| {
        let unclosed = row.attempt_id.zip(row.parameters).zip(row.expires_at);
        Hold {
            status: row.status,
            expires_at: row.hold_expires_at,
            cancel_requested: row.cancel_requested_at.is_some(),
            unclosed: unclosed.map(|((id, parameters), expires_at)| UnclosedAttempt {
                id,
                parameters,
                session_id: row.session_id,
                expires_at,
            }),
        }
    }))
}

/// The attempt of a session whose booking is the owner's.
pub async fn find_by_session(
    db: &mut PgConnection,
    session_id: &str,
    owner: &UserId,
) -> Result<Option<(AttemptId, BookingId)>> {
    let row = sqlx::query!(
        r#"select attempt.id as "attempt_id: AttemptId", attempt.booking_id as "booking_id: BookingId"
           from checkout_attempts as attempt
           join bookings on bookings.id = attempt.booking_id and bookings.user_id = $2
           where attempt.stripe_session_id = $1"#,
        session_id,
        owner.as_str(),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.attempt_id, row.booking_id)))
}

/// Locks a booking that is pending and has no attempt which could be paid; false if it is not so.
pub async fn lock_unpayable(db: &mut PgConnection, id: BookingId) -> Result<bool> {
    let locked = sqlx::query_scalar!(
        "select 1 from bookings where id = $1 and status = 'pending' for update",
        id as _
    )
    .fetch_optional(&mut *db)
    .await?;
    // Asked in a statement of its own, which sees what was committed while the lock was waited for.
    let payable = sqlx::query_scalar!(
        "select 1 from checkout_attempts where booking_id = $1 and status in ('creating', 'open', 'processing')",
        id as _,
    )
    .fetch_optional(&mut *db)
    .await?;
    Ok(locked.is_some() && payable.is_none())
}

/// Bookings with an attempt that has had no answer since `before` and that no job is about to
/// finish, at most `limit`. They may have been paid by another session since; then this one is to
/// be closed.
pub async fn list_unfinished(
    db: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<BookingId>> {
    let unfinished = sqlx::query_scalar!(
        r#"select booking_id as "booking_id: BookingId"
           from checkout_attempts
           where status = 'creating' and stripe_session_id is null and updated_at < $1
             and not exists (select from graphile_worker._private_jobs as job where job.key = 'finish-' || booking_id
                               and job.attempts < job.max_attempts)
           order by updated_at
           limit $2"#,
        before,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(unfinished)
}

/// The attempt of a booking that Stripe has not answered yet, if there is one.
pub async fn find_creating(
    db: &mut PgConnection,
    booking_id: BookingId,
) -> Result<Option<UnansweredAttempt>> {
    let creating = sqlx::query_as!(
        UnansweredAttempt,
        r#"select id as "id: _", parameters
           from checkout_attempts
           where booking_id = $1 and status = 'creating'"#,
        booking_id as _,
    )
    .fetch_optional(db)
    .await?;
    Ok(creating)
}

/// Opens attempts, each named once, with the sessions that Stripe gave, and returns those that
/// could be opened: their bookings still wait for them. The bookings are locked first, in the order
/// of their ids, so that this and a webhook for the same session come one after the other. One
/// round trip.
pub async fn open(
    db: &mut PgConnection,
    sessions: &[(AttemptId, &OpenCheckout)],
    now: DateTime<Utc>,
) -> Result<Vec<AttemptId>> {
    let opened = sqlx::query_scalar!(
        // `is true`: each is looked up by its id, and not among all that are pending or creating.
        r#"with session as materialized (
             select given.*
             from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
               as given (attempt_id, id, url, client_secret, expires_at)
             join checkout_attempts on checkout_attempts.id = given.attempt_id
             join bookings on bookings.id = checkout_attempts.booking_id and (bookings.status = 'pending') is true
             order by bookings.id
             for update of bookings
           )
           update checkout_attempts as attempt
           set status = 'open', stripe_session_id = session.id, url = session.url, client_secret = session.client_secret,
               expires_at = session.expires_at, updated_at = $6
           from session
           where attempt.id = session.attempt_id and (attempt.status = 'creating') is true
           returning attempt.id as "id: AttemptId""#,
        &sessions.column(|(id, _)| *id) as _,
        &sessions.column(|(_, checkout)| checkout.session_id.as_str()) as _,
        &sessions.column(|(_, checkout)| checkout.url.as_deref()) as _,
        &sessions.column(|(_, checkout)| checkout.client_secret.as_deref()) as _,
        &sessions.column(|(_, checkout)| checkout.expires_at),
        now,
    )
    .fetch_all(db)
    .await?;
    Ok(opened)
}

/// Notes the session of an attempt whose booking does not wait for it any more; what words from
/// Stripe have named stays. True if nobody has heard yet what has become of it.
pub async fn name_session(db: &mut PgConnection, id: AttemptId, session_id: &str) -> Result<bool> {
    let unheard = sqlx::query_scalar!(
        r#"update checkout_attempts
           set stripe_session_id = coalesce(stripe_session_id, $2)
           where id = $1
           returning status = 'creating' as "unheard!""#,
        id as _,
        session_id,
    )
    .fetch_one(db)
    .await?;
    Ok(unheard)
}

/// Gives up an attempt whose key is spent, and puts `next` in its place. The caller holds the locks
/// of both.
pub async fn replace(
    db: &mut PgConnection,
    id: AttemptId,
    next: &UnansweredAttempt,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "update checkout_attempts set status = 'failed', updated_at = $2 where id = $1",
        id as _,
        now
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "insert into checkout_attempts (id, booking_id, part, ui, amount_minor, status, parameters, expires_at,
                                        created_at, updated_at)
         select $2, booking_id, part, ui, amount_minor, 'creating', $3, expires_at, $4, $4
         from checkout_attempts
         where id = $1",
        id as _,
        next.id as _,
        next.parameters,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}
