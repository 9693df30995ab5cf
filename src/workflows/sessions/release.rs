//! Fence, then release: seats go free only after Stripe has confirmed that they can no longer be
//! paid for.
//!
//! Run at the end of a hold, and when a booking is cancelled. An unsure answer keeps the seats and
//! is asked again.

use chrono::TimeDelta;

use super::check::{self, AFTER_EXPIRY, Asker, OverdueSession};
use crate::app::App;
use crate::domain::attempt::{AttemptOfBooking, NewSession};
use crate::domain::audit::NewAuditEntry;
use crate::domain::booking::BookingStatus;
use crate::domain::checkout::CheckoutReport;
use crate::domain::ids::BookingId;
use crate::domain::job::{Job, UNDECIDED_PAUSE};
use crate::error::{Error, Result};
use crate::gateways::stripe::{SessionLook, StripeError};
use crate::repositories::attempts::{self, UnclosedAttempt};
use crate::repositories::cancellations::{self, Cancellation};
use crate::repositories::{audit_log, jobs};
use crate::settlement;

/// When Stripe has not confirmed a cancellation in a request, the background asks again after this.
const CANCEL_AGAIN: TimeDelta = TimeDelta::seconds(5);

/// Ends the hold of a booking whose time has come, or that is to be cancelled. One that has been
/// paid or has ended is left alone, but nobody may pay it through another session. Commits. A hold
/// that goes on is an error, so that the queue waits a little: its clock is the database's, which
/// may be ahead of ours.
pub async fn end_hold(app: &App, id: BookingId) -> Result<()> {
    let hold = attempts::find_hold(&mut app.acquire().await?, id).await?;
    let Some(hold) = hold else { return Ok(()) };
    let is_over = hold.expires_at.is_none_or(|end| end <= app.now()) || hold.cancel_requested;
    match hold.status {
        BookingStatus::Pending | BookingStatus::Processing if !is_over => Err(Error::fault(
            "the hold has not ended yet; do the clocks of this machine and the database agree?",
        )),
        BookingStatus::Pending => {
            if release(app, id).await? == BookingStatus::Pending {
                return Err(Error::fault(
                    "the booking is still held; another attempt has taken its place",
                ));
            }
            Ok(())
        }
        BookingStatus::Processing => end_processing(app, id, hold.unclosed).await,
        BookingStatus::Confirmed
        | BookingStatus::Expired
        | BookingStatus::Cancelled
        | BookingStatus::Failed
        | BookingStatus::Review => match hold.unclosed {
            Some(attempt) => {
                close(app, id, &attempt).await?;
                ask_again(app, id).await
            }
            None => Ok(()),
        },
    }
}

/// Closes the attempt of a booking whose session's time is over, so that another can take its
/// place: nobody may have heard yet that Stripe has closed it. Commits.
pub async fn close_lapsed(app: &App, id: BookingId) -> Result<()> {
    let hold = attempts::find_hold(&mut app.acquire().await?, id).await?;
    let unclosed = hold.and_then(|hold| hold.unclosed);
    match unclosed.filter(|attempt| attempt.expires_at <= app.now()) {
        Some(attempt) => close(app, id, &attempt).await,
        None => Ok(()),
    }
}

/// Closes the page of a booking where that is all that has kept something from being done, which is
/// to be done again then: true. What was refused for another reason leaves the page open. Commits.
pub async fn close_if_still_payable<T>(app: &App, id: BookingId, done: &Result<T>) -> Result<bool> {
    match done {
        Err(Error::StillPayable) => close_payable(app, id).await.map(|()| true),
        Ok(_) | Err(_) => Ok(false),
    }
}

/// Closes what could still be paid of a booking that is about to be cancelled, and that is not
/// waiting for its first payment. Commits.
pub async fn close_payable(app: &App, id: BookingId) -> Result<()> {
    let hold = attempts::find_hold(&mut app.acquire().await?, id).await?;
    let cancellable = [BookingStatus::Confirmed, BookingStatus::Review];
    let hold = hold.filter(|hold| cancellable.contains(&hold.status));
    match hold.and_then(|hold| hold.unclosed) {
        Some(attempt) => close(app, id, &attempt).await,
        None => Ok(()),
    }
}

/// Asks Stripe what has become of a delayed payment, of which we have not heard in all the time
/// that it may take. While its bank has not decided, what is reserved is kept.
async fn end_processing(app: &App, id: BookingId, attempt: Option<UnclosedAttempt>) -> Result<()> {
    let without = || Error::fault(format!("{id} is processing without a session"));
    let unclosed = attempt.ok_or_else(without)?;
    let session = OverdueSession {
        id: unclosed.session_id.as_deref().ok_or_else(without)?,
        expires_at: unclosed.expires_at,
    };
    let attempt = AttemptOfBooking {
        attempt_id: unclosed.id,
        booking_id: id,
    };
    let report = match check::make(app, attempt, session.id, Asker::Background).await? {
        SessionLook::Unexplained(report) => Some(report),
        // Then there was nothing to wait for.
        SessionLook::Settled(CheckoutReport::Expired) => Some(CheckoutReport::Unexplained(
            "it has expired, although the buyer had paid by a delayed method",
        )),
        SessionLook::Settled(_) | SessionLook::Open => None,
    };
    if let Some(report) = report {
        check::settle_unexplained(app, attempt, &session, report).await?;
    }
    ask_again(app, id).await
}

/// While an attempt is not closed, Stripe is asked about it now and then: its bank has not decided.
async fn ask_again(app: &App, id: BookingId) -> Result<()> {
    let mut db = app.acquire().await?;
    let hold = attempts::find_hold(&mut db, id).await?;
    if hold.is_some_and(|hold| hold.unclosed.is_some()) {
        tracing::warn!(booking.id = %id, "a payment is still undecided");
        let again = Job::EndHold { booking_id: id }.at(app.now() + UNDECIDED_PAUSE);
        jobs::enqueue(&mut db, &[again]).await?;
    }
    Ok(())
}

/// Cancels a pending booking. Returns where it stands then: it may have been paid in the meantime.
/// `None` if it was not pending at this version any more. Where Stripe does not answer, the intent
/// stays and the background goes on with it; `entry` is logged with it. Commits.
pub async fn cancel(
    app: &App,
    cancellation: Cancellation<'_>,
    entry: Option<&NewAuditEntry>,
) -> Result<Option<BookingStatus>> {
    let now = app.now();
    let booking_id = cancellation.booking_id;
    let mut tx = app.begin().await?;
    if !cancellations::request_cancellation(&mut tx, cancellation, now).await? {
        return Ok(None);
    }
    if let Some(entry) = entry {
        audit_log::append(&mut tx, entry, now).await?;
    }
    let again = Job::EndHold { booking_id }.at(now + CANCEL_AGAIN);
    jobs::enqueue(&mut tx, &[again]).await?;
    app.commit(tx).await?;
    release(app, booking_id).await.map(Some)
}

/// Ends a pending booking if Stripe confirms that nobody can pay for it any more, as cancelled
/// where that was asked for, else as expired. Returns where it stands then. An error leaves what it
/// reserves held.
async fn release(app: &App, id: BookingId) -> Result<BookingStatus> {
    let hold = attempts::find_hold(&mut app.acquire().await?, id).await?;
    let hold = hold.ok_or_else(|| Error::fault(format!("the booking {id} has gone")))?;
    if hold.status != BookingStatus::Pending {
        return Ok(hold.status);
    }
    match hold.unclosed {
        None => settlement::end_unpayable(app, id).await?,
        Some(attempt) => close(app, id, &attempt).await?,
    }
    let hold = attempts::find_hold(&mut app.acquire().await?, id).await?;
    Ok(hold.map_or(BookingStatus::Pending, |hold| hold.status))
}

/// Sees to it that an attempt can be paid no more, and settles that, or what else Stripe says of
/// it.
async fn close(app: &App, id: BookingId, unclosed: &UnclosedAttempt) -> Result<()> {
    let session_id = match &unclosed.session_id {
        Some(session_id) => Some(session_id.clone()),
        None => learn_session(app, unclosed, Asker::Fence).await?,
    };
    let attempt = AttemptOfBooking {
        attempt_id: unclosed.id,
        booking_id: id,
    };
    match session_id {
        Some(session_id) => {
            let session = OverdueSession {
                id: &session_id,
                expires_at: unclosed.expires_at,
            };
            fence(app, attempt, &session).await
        }
        None => check::settle_expiry(app, attempt, None).await,
    }
}

/// The session of an attempt that Stripe has not answered: asked for again under the same key.
/// `None` where Stripe says that there is none, or keeps answering with a stored failure, or with
/// what cannot be used after the time of the session: then nobody was ever given a link.
pub(super) async fn learn_session(
    app: &App,
    attempt: &UnclosedAttempt,
    asker: Asker,
) -> Result<Option<String>> {
    let (parameters, expires_at) = (&attempt.parameters, attempt.expires_at);
    let session = app
        .stripe
        .create_session(attempt.id, parameters, expires_at, asker.lane());
    match session.await {
        Ok(checkout) => {
            let session = NewSession {
                attempt_id: attempt.id,
                checkout,
            };
            attempts::open(&mut app.acquire().await?, &[&session], app.now()).await?;
            Ok(Some(session.checkout.session_id))
        }
        Err(StripeError::ReplayedFailure(_)) => Ok(None),
        Err(error) if error.is_final() => Ok(None),
        Err(StripeError::Refused { .. } | StripeError::Unusable { .. })
            if app.now() > attempt.expires_at + AFTER_EXPIRY =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Asks Stripe to end the session. If it is not open any more, asks how it stands, and settles
/// that: the buyer may have paid. <https://docs.stripe.com/api/checkout/sessions/expire>
async fn fence(app: &App, attempt: AttemptOfBooking, session: &OverdueSession<'_>) -> Result<()> {
    match app.stripe.expire_session(session.id).await {
        Ok(()) => return check::settle_expiry(app, attempt, Some(session.id)).await,
        Err(StripeError::Refused {
            status: 400 | 404, ..
        }) => {}
        // It closes sessions by itself, too.
        Err(_) if app.now() > session.expires_at + AFTER_EXPIRY => {}
        Err(error) => return Err(error.into()),
    }
    let report = match check::make(app, attempt, session.id, Asker::Fence).await? {
        SessionLook::Settled(_) => return Ok(()),
        SessionLook::Unexplained(report) => report,
        SessionLook::Open => CheckoutReport::Unexplained("it is open, and cannot be ended"),
    };
    check::settle_unexplained(app, attempt, session, report).await
}
