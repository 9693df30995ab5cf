//! Has a session been paid? For a buyer who has come back before we have heard from Stripe.

use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::inquiry;
use crate::app::App;
use crate::domain::booking::{BookingDetails, BookingStatus};
use crate::domain::refusal::Refusal;
use crate::domain::user::UserId;
use crate::error::{Error, Result};
use crate::repositories::{attempts, bookings};

/// A webhook usually arrives within this; then nobody has to ask.
const PATIENCE: Duration = Duration::from_secs(2);

/// The booking of a session of the caller's, as soon as it is settled, and else after `wait`, or when Stripe has answered
/// if that takes longer: while our record still waits for the payment, Stripe is asked itself, and what it says is settled
/// like an event. Refuses with `not_found`.
pub async fn verify(app: &App, session_id: &str, owner: &UserId, wait: Duration) -> Result<BookingDetails> {
    // Before the first look, so that no change falls between the two.
    let mut changes = app.changes.subscribe();
    let found = attempts::find_by_session(&mut *app.db.acquire().await?, session_id, owner).await?;
    let subject = found.ok_or(Refusal::NotFound("payment session"))?;
    let (_, booking_id) = subject;
    let until = Instant::now().checked_add(wait).ok_or_else(|| Error::fault("an endless wait"))?;
    let mut ask_at = Instant::now().checked_add(PATIENCE.min(wait));
    loop {
        let details = bookings::find(&mut *app.db.acquire().await?, booking_id, None).await?;
        let details = details.ok_or_else(|| Error::fault(format!("the booking {booking_id} has gone")))?;
        let deadline = match details.booking.status {
            BookingStatus::Pending if ask_at.is_some() || Instant::now() < until => ask_at.unwrap_or(until).min(until),
            // A delayed payment takes days, so there is nothing to wait for but Stripe's word.
            BookingStatus::Processing if ask_at.is_some() => Instant::now(),
            _ => return Ok(details),
        };
        let heard = async {
            loop {
                match changes.recv().await {
                    Ok(id) if id != booking_id => {}
                    // Having missed some news, or all, is a reason to look.
                    Ok(_) | Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => return std::future::pending().await,
                }
            }
        };
        if timeout_at(deadline, heard).await.is_err() && ask_at.take().is_some() {
            // That Stripe does not answer is not the buyer's concern.
            if let Err(error) = inquiry::ask(app, subject, session_id).await {
                tracing::warn!("cannot ask how a session stands: {error}");
            }
        }
    }
}
