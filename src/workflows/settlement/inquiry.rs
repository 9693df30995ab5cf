//! Asking Stripe itself how a session stands, and settling its answer as an event with the same words would be.

use super::{Word, carry_out};
use crate::app::App;
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::settlement::Fact;
use crate::error::Result;

/// Asks how a session stands, and settles that. False where Stripe's answer leaves it open. Commits.
pub(super) async fn ask(app: &App, subject: (AttemptId, BookingId), session_id: &str) -> Result<bool> {
    let session = app.stripe.retrieve_session(session_id).await?;
    let Some(fact) = session.fact(app.now()) else { return Ok(false) };
    settle(app, subject, (Some(session_id), session.payment_intent_id()), &fact).await?;
    Ok(true)
}

/// Settles what Stripe has said. Commits.
pub(super) async fn settle(
    app: &App,
    subject: (AttemptId, BookingId),
    (session_id, payment_intent_id): (Option<&str>, Option<&str>),
    fact: &Fact,
) -> Result<()> {
    let mut tx = app.begin_settling().await?;
    let word = Word { fact, session_id, payment_intent_id, event_id: None };
    let sentence = carry_out(&mut tx, subject, &word, app.now()).await?;
    tx.commit().await?;
    let (_, booking_id) = subject;
    app.changes.tell(booking_id);
    tracing::info!(booking.id = %booking_id, "asked: {sentence}");
    Ok(())
}
