//! Attempts: one row is one Stripe Checkout Session of ours.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::ids::{AttemptId, BookingId};
use crate::error::Result;

/// What is needed to ask Stripe for the session of an attempt, again and to the letter.
#[derive(Debug, Clone)]
pub struct Creating {
    /// The attempt.
    pub id: AttemptId,
    /// What Stripe is sent.
    pub parameters: String,
}

/// A session as Stripe gave it.
#[derive(Debug, Clone)]
pub struct Session<'a> {
    /// `cs_…`
    pub id: &'a str,
    /// The payment link, for a hosted page.
    pub url: Option<&'a str>,
    /// What an embedded or custom page needs.
    pub client_secret: Option<&'a str>,
    /// When Stripe closes it.
    pub expires_at: DateTime<Utc>,
}

/// The attempt of a booking that Stripe has not answered yet, if there is one.
pub async fn find_creating(db: &mut PgConnection, booking_id: BookingId) -> Result<Option<Creating>> {
    let creating = sqlx::query_as!(
        Creating,
        r#"select id as "id: _", parameters
           from checkout_attempts
           where booking_id = $1 and status = 'creating'"#,
        booking_id as _,
    )
    .fetch_optional(db)
    .await?;
    Ok(creating)
}

/// Opens an attempt with the session that Stripe gave, if its booking still waits for it; false if not. The booking is
/// locked first, so that this and a webhook for the same session come one after the other. One round trip.
pub async fn open(db: &mut PgConnection, id: AttemptId, session: &Session<'_>, now: DateTime<Utc>) -> Result<bool> {
    let opened = sqlx::query!(
        "with booking as materialized (
           select bookings.id
           from bookings
           join checkout_attempts on checkout_attempts.booking_id = bookings.id
           where checkout_attempts.id = $1 and bookings.status = 'pending'
           for update of bookings
         )
         update checkout_attempts
         set status = 'open', stripe_session_id = $2, url = $3, client_secret = $4, expires_at = $5, updated_at = $6
         from booking
         where checkout_attempts.id = $1 and checkout_attempts.status = 'creating'",
        id as _,
        session.id,
        session.url,
        session.client_secret,
        session.expires_at,
        now,
    )
    .execute(db)
    .await?;
    Ok(opened.rows_affected() == 1)
}

/// Gives up an attempt that can have no session, and puts `next` in its place, under a new key. False if the attempt is
/// not waiting for Stripe any more.
pub async fn replace(db: &mut PgConnection, id: AttemptId, next: &Creating, now: DateTime<Utc>) -> Result<bool> {
    let given_up = sqlx::query!(
        "update checkout_attempts set status = 'failed', updated_at = $2 where id = $1 and status = 'creating'",
        id as _,
        now,
    )
    .execute(&mut *db)
    .await?;
    if given_up.rows_affected() == 0 {
        return Ok(false);
    }
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
    .execute(&mut *db)
    .await?;
    Ok(true)
}
