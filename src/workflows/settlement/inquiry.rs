//! Asking Stripe itself how a session stands, and settling its answer as an event with the same
//! words would be.

use tokio::sync::watch;
use tracing::Instrument;

use super::{Word, carry_out};
use crate::app::{App, AppState};
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::settlement::Fact;
use crate::error::Result;

/// Asks in a task of its own, which nobody's impatience breaks off, unless Stripe is being asked
/// about this attempt already. What is returned closes when the answer is settled, or there is
/// none.
pub(super) fn begin(
    app: &AppState,
    subject: (AttemptId, BookingId),
    session_id: &str,
) -> watch::Receiver<()> {
    let (attempt_id, _) = subject;
    let (inquiry, to_make) = app.session_checks.join(attempt_id);
    if let Some(under_way) = to_make {
        let (app, session_id) = (AppState::clone(app), session_id.to_owned());
        let work = async move {
            // That Stripe does not answer is not the buyer's concern.
            if let Err(error) = ask(&app, subject, &session_id).await {
                tracing::warn!("cannot ask how a session stands: {error}");
            }
            drop(under_way);
        };
        tokio::spawn(work.in_current_span());
    }
    inquiry
}

/// Asks how a session stands, and settles that. False where Stripe's answer leaves it open.
/// Commits.
pub(super) async fn ask(
    app: &App,
    subject: (AttemptId, BookingId),
    session_id: &str,
) -> Result<bool> {
    let session = app.stripe.retrieve_session(session_id).await?;
    let Some(fact) = session.fact(app.now()) else {
        return Ok(false);
    };
    settle(
        app,
        subject,
        (Some(session_id), session.payment_intent_id()),
        &fact,
    )
    .await?;
    Ok(true)
}

/// Settles what Stripe has said. Commits.
pub(super) async fn settle(
    app: &App,
    subject: (AttemptId, BookingId),
    (session_id, payment_intent_id): (Option<&str>, Option<&str>),
    fact: &Fact,
) -> Result<()> {
    let mut tx = app.begin_payment().await?;
    let word = Word {
        fact,
        session_id,
        payment_intent_id,
        event_id: None,
    };
    let sentence = carry_out(&mut tx, subject, &word, app.now()).await?;
    tx.commit().await?;
    let (_, booking_id) = subject;
    app.changes.tell(booking_id);
    tracing::info!(booking.id = %booking_id, "asked: {sentence}");
    Ok(())
}
