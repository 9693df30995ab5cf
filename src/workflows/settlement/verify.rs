//! Has a session been paid? For a buyer who has come back before we have heard from Stripe.

use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::{Word, carry_out};
use crate::app::App;
use crate::domain::booking::{BookingDetails, BookingStatus};
use crate::domain::ids::{AttemptId, BookingId};
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
        let over = Instant::now() >= until && ask_at.is_none();
        if over || details.booking.status != BookingStatus::Pending {
            return Ok(details);
        }
        let deadline = ask_at.unwrap_or(until).min(until);
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
            ask(app, subject, session_id).await?;
        }
    }
}

/// Asks Stripe how the session stands, and settles it. That Stripe does not answer is not the buyer's concern.
async fn ask(app: &App, subject: (AttemptId, BookingId), session_id: &str) -> Result<()> {
    let now = app.now();
    let session = match app.stripe.retrieve_session(session_id).await {
        Ok(session) => session,
        Err(error) => {
            tracing::warn!("cannot ask how a session stands: {error}");
            return Ok(());
        }
    };
    let Some(fact) = session.fact(now) else { return Ok(()) };
    let word = Word {
        fact: &fact,
        session_id: Some(session_id),
        payment_intent_id: session.payment_intent_id(),
        event_id: None,
    };
    let mut tx = app.begin().await?;
    let sentence = carry_out(&mut tx, subject, &word, now).await?;
    tx.commit().await?;
    let (_, booking_id) = subject;
    tracing::info!(booking.id = %booking_id, "asked by the buyer: {sentence}");
    app.changes.tell(booking_id);
    Ok(())
}
