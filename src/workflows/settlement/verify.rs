//! Has a session been paid? For a buyer who has come back before we have heard from Stripe.

use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::inquiry;
use crate::app::AppState;
use crate::domain::booking::{BookingDetails, BookingStatus};
use crate::domain::ids::BookingId;
use crate::domain::refusal::Refusal;
use crate::domain::user::UserId;
use crate::error::{Error, Result};
use crate::repositories::{attempts, bookings};

/// A webhook usually arrives within this; then nobody has to ask.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much longer than he wants to a buyer waits for Stripe once it is asked: it usually takes a
/// fraction of this.
const ANSWER_WAIT: Duration = Duration::from_secs(3);

/// Whether Stripe has been asked.
enum Inquiry {
    /// Not before this time: the news may come first.
    Due(Instant),
    /// It is being asked; this closes when its answer is settled.
    UnderWay(watch::Receiver<()>),
    /// It has said what it had to say.
    Over,
}

/// The booking of a session of the caller's, as soon as it is settled, and else after `wait`, or up
/// to three seconds later if Stripe takes longer: while our record still waits for the payment,
/// Stripe is asked itself, and what it says is settled like an event, whether somebody still waits
/// for it or not. Refuses with `not_found`.
pub async fn verify(
    app: &AppState,
    session_id: &str,
    owner: &UserId,
    wait: Duration,
) -> Result<BookingDetails> {
    // Before the first look, so that no change falls between the two.
    let mut changes = app.changes.subscribe();
    let found = attempts::find_by_session(&mut *app.acquire().await?, session_id, owner).await?;
    let subject = found.ok_or(Refusal::NotFound("payment session"))?;
    let (_, booking_id) = subject;
    let after = |wait: Duration| {
        Instant::now()
            .checked_add(wait)
            .ok_or_else(|| Error::fault("an endless wait"))
    };
    let (until, at_last) = (after(wait)?, after(wait.saturating_add(ANSWER_WAIT))?);
    let mut inquiry = Inquiry::Due(after(PATIENCE.min(wait))?);
    loop {
        let now = Instant::now();
        let details = bookings::find(&mut *app.acquire().await?, booking_id).await?;
        let details =
            details.ok_or_else(|| Error::fault(format!("the booking {booking_id} has gone")))?;
        let deadline = match (&inquiry, details.booking.status) {
            (Inquiry::Due(at), BookingStatus::Pending) => *at,
            // A delayed payment takes days, so there is nothing to wait for but Stripe's word.
            (Inquiry::Due(_), BookingStatus::Processing) => now,
            (Inquiry::UnderWay(_), BookingStatus::Pending | BookingStatus::Processing)
                if now < at_last =>
            {
                at_last
            }
            (Inquiry::Over, BookingStatus::Pending) if now < until => until,
            _ => return Ok(details),
        };
        tokio::select! {
            () = news(&mut changes, booking_id) => {}
            () = over(&mut inquiry) => inquiry = Inquiry::Over,
            () = sleep_until(deadline) => {
                if let Inquiry::Due(_) = inquiry {
                    inquiry = Inquiry::UnderWay(inquiry::begin(app, subject, session_id));
                }
            }
        }
    }
}

/// Returns when something may have changed about the booking.
async fn news(changes: &mut broadcast::Receiver<BookingId>, booking_id: BookingId) {
    loop {
        match changes.recv().await {
            Ok(id) if id != booking_id => {}
            // Having missed some news, or all, is a reason to look.
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

/// Returns when Stripe, which is being asked, has answered.
async fn over(inquiry: &mut Inquiry) {
    match inquiry {
        Inquiry::UnderWay(answer) => while answer.changed().await.is_ok() {},
        Inquiry::Due(_) | Inquiry::Over => std::future::pending().await,
    }
}
