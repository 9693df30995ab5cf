//! A session check: Stripe is asked how a session stands, and its answer is settled as an event
//! with the same words would be.

use tokio::sync::watch;
use tracing::Instrument;

use crate::app::{App, AppState};
use crate::domain::attempt::AttemptOfBooking;
use crate::domain::checkout::CheckoutReport;
use crate::domain::stripe_report::{AttemptReference, StripeReport};
use crate::error::Result;
use crate::settlement;

/// Asks in a task of its own, which nobody's impatience breaks off, unless Stripe is being asked
/// about this attempt already. What is returned closes when the answer is settled, or there is
/// none.
pub(super) fn begin(
    app: &AppState,
    attempt: AttemptOfBooking,
    session_id: &str,
) -> watch::Receiver<()> {
    let (check, to_make) = app.session_checks.join(attempt.attempt_id);
    if let Some(under_way) = to_make {
        let (app, session_id) = (AppState::clone(app), session_id.to_owned());
        let work = async move {
            // That Stripe does not answer is not the buyer's concern.
            if let Err(error) = make(&app, attempt, &session_id).await {
                tracing::warn!("cannot ask how a session stands: {error}");
            }
            drop(under_way);
        };
        tokio::spawn(work.in_current_span());
    }
    check
}

/// Asks how a session stands, and settles that. False where Stripe's answer leaves it open.
/// Commits.
pub(super) async fn make(app: &App, attempt: AttemptOfBooking, session_id: &str) -> Result<bool> {
    let session = app.stripe.retrieve_session(session_id).await?;
    let Some(report) = session.report(app.now()) else {
        return Ok(false);
    };
    let reference = AttemptReference {
        session_id: Some(session_id.to_owned()),
        payment_intent_id: session.payment_intent_id().map(str::to_owned),
        ..AttemptReference::default()
    };
    settlement::settle_report(app, attempt, &reference, &StripeReport::Checkout(report)).await?;
    Ok(true)
}

/// Settles that a session can no longer be paid. Commits.
pub(super) async fn settle_expiry(
    app: &App,
    attempt: AttemptOfBooking,
    session_id: Option<&str>,
) -> Result<()> {
    let reference = AttemptReference {
        session_id: session_id.map(str::to_owned),
        ..AttemptReference::default()
    };
    let report = StripeReport::Checkout(CheckoutReport::Expired);
    settlement::settle_report(app, attempt, &reference, &report).await
}
