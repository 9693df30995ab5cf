//! Attempts that Stripe has not answered yet.

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::ids::{AttemptId, BookingId};
use crate::error::Result;

/// What is needed to ask Stripe for the session of an attempt, again and to the letter.
#[derive(Debug, Clone)]
pub struct UnansweredAttempt {
    /// The attempt.
    pub id: AttemptId,
    /// What Stripe is sent.
    pub parameters: String,
    /// When the session is to end.
    pub expires_at: DateTime<Utc>,
    /// When the hold of its booking ends, if it does.
    pub hold_expires_at: Option<DateTime<Utc>>,
}

impl UnansweredAttempt {
    /// Whether the buyer may still be waiting for it.
    pub fn is_wanted(&self, now: DateTime<Utc>) -> bool {
        self.hold_expires_at.is_none_or(|end| now < end)
    }
}

/// The attempt of a booking that Stripe has not answered yet, if there is one.
pub async fn find(db: &mut Connection, booking_id: BookingId) -> Result<Option<UnansweredAttempt>> {
    let unanswered = sqlx::query_as!(
        UnansweredAttempt,
        r#"select attempt.id as "id: _", attempt.parameters, attempt.expires_at,
                  booking.hold_expires_at
           from checkout_attempts as attempt
           join bookings as booking on booking.id = attempt.booking_id
           where attempt.booking_id = $1 and attempt.status = 'creating'"#,
        booking_id as _,
    )
    .fetch_optional(db)
    .await?;
    Ok(unanswered)
}

/// Gives up an attempt whose key is spent, and puts `next` in its place. The caller holds the locks
/// of both.
pub async fn replace(
    db: &mut Connection,
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
        "insert into checkout_attempts (id, booking_id, part, ui, amount_minor, status, parameters,
                                        expires_at, created_at, updated_at)
         select $2, booking_id, part, ui, amount_minor, 'creating', $3, $5, $4, $4
         from checkout_attempts
         where id = $1",
        id as _,
        next.id as _,
        next.parameters,
        now,
        next.expires_at,
    )
    .execute(db)
    .await?;
    Ok(())
}
