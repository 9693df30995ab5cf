//! Has a session been paid? For a buyer who has come back before we have heard from Stripe.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::check;
use crate::app::{App, AppState};
use crate::domain::attempt::PaymentPart;
use crate::domain::booking::{BookingDetails, BookingStatus, OpenAttempt};
use crate::domain::refusal::Refusal;
use crate::domain::user::UserId;
use crate::error::{Error, Result};
use crate::repositories::{bookings, sessions};

/// A webhook usually arrives within this; then nobody has to ask.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much longer than they want to a buyer waits for Stripe once it is asked: it usually takes a
/// fraction of this.
const ANSWER_WAIT: Duration = Duration::from_secs(3);

/// Whether Stripe has been asked.
enum Check {
    /// Not before this time: the webhook may come first.
    Due(Instant),
    /// It is being asked; this closes when its answer is settled.
    UnderWay(watch::Receiver<DateTime<Utc>>),
    /// It has said what it had to say, and may be asked again then.
    Over(DateTime<Utc>),
}

/// The booking of a session of the caller's, as soon as it is settled, and else after `wait`, or up
/// to three seconds later if Stripe takes longer: while our record still waits for the payment,
/// Stripe is asked itself, again as often as it may be, and what it says is settled like an event,
/// whether somebody still waits for it or not. Where it was asked a moment ago, by whomever, or has
/// too much to do, and where the process stops, our record is the answer. Refuses with `not_found`.
pub async fn verify(
    app: &AppState,
    session_id: &str,
    owner: &UserId,
    wait: Duration,
) -> Result<BookingDetails> {
    let found = sessions::find_by_session(&mut app.acquire().await?, session_id, owner).await?;
    let attempt = found.ok_or(Refusal::NotFound("payment session"))?;
    let booking_id = attempt.booking_id;
    // Before the first look, so that no change falls between the two.
    let mut follower = app.feed.follow(booking_id);
    let after = |wait: Duration| {
        Instant::now()
            .checked_add(wait)
            .ok_or_else(|| Error::fault("an endless wait"))
    };
    let (until, at_last) = (after(wait)?, after(wait.saturating_add(ANSWER_WAIT))?);
    let mut check = Check::Due(after(PATIENCE.min(wait))?);
    loop {
        let now = Instant::now();
        let details = bookings::find(&mut app.acquire().await?, booking_id).await?;
        let details =
            details.ok_or_else(|| Error::fault(format!("the booking {booking_id} has gone")))?;
        let deadline = match (&check, awaited(&details, session_id)) {
            (Check::Due(at), BookingStatus::Pending) => *at,
            // A delayed payment takes days, so there is nothing to wait for but what Stripe says.
            (Check::Due(_), BookingStatus::Processing) => now,
            (Check::UnderWay(_), BookingStatus::Pending | BookingStatus::Processing)
                if now < at_last =>
            {
                at_last
            }
            (Check::Over(again_at), BookingStatus::Pending) if now < until => {
                until.min(after(wait_until(app, *again_at))?)
            }
            (
                Check::UnderWay(_) | Check::Over(_),
                BookingStatus::Pending | BookingStatus::Processing,
            )
            | (
                _,
                BookingStatus::Confirmed
                | BookingStatus::Expired
                | BookingStatus::Cancelled
                | BookingStatus::Failed
                | BookingStatus::Review,
            ) => return Ok(details),
        };
        tokio::select! {
            () = follower.changed() => {}
            again_at = over(&mut check) => check = Check::Over(again_at),
            () = app.stopping.cancelled() => return Ok(details),
            () = sleep_until(deadline) => {
                let is_due = match check {
                    Check::Due(_) => true,
                    Check::Over(again_at) => wait_until(app, again_at).is_zero(),
                    Check::UnderWay(_) => false,
                };
                if is_due {
                    check = Check::UnderWay(check::begin(app, attempt, session_id));
                }
            }
        }
    }
}

/// Where the booking stands as far as this session pays it: one that waits for the balance is as
/// one that waits for all of it.
fn awaited(details: &BookingDetails, session_id: &str) -> BookingStatus {
    let pays_balance = |open: &OpenAttempt| {
        open.part == PaymentPart::Balance && open.checkout.session_id == session_id
    };
    match details.booking.status {
        BookingStatus::Confirmed if details.open_attempt.as_ref().is_some_and(pays_balance) => {
            BookingStatus::Pending
        }
        status => status,
    }
}

fn wait_until(app: &App, again_at: DateTime<Utc>) -> Duration {
    (again_at - app.now()).to_std().unwrap_or_default()
}

/// Returns when Stripe, which is being asked, has answered: when it may be asked again.
async fn over(check: &mut Check) -> DateTime<Utc> {
    match check {
        Check::UnderWay(answer) => {
            while answer.changed().await.is_ok() {}
            *answer.borrow()
        }
        Check::Due(_) | Check::Over(_) => std::future::pending().await,
    }
}
