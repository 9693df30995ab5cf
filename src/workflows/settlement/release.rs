//! Fence, then release: seats go free only after Stripe has confirmed that they can no longer be paid for.
//!
//! Run at the end of a hold, and when a booking is called off. An unsure answer keeps the seats and is asked again.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Word, carry_out};
use crate::app::App;
use crate::domain::booking::BookingStatus;
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::job::Job;
use crate::domain::settlement::{Ending, Fact};
use crate::error::{Error, Result};
use crate::gateways::stripe::StripeError;
use crate::repositories::attempts::{self, Payable, Session};
use crate::repositories::{bookings, jobs, settlements};

/// When Stripe has not confirmed a cancellation in a request, the background asks again after this.
const CANCEL_AGAIN: TimeDelta = TimeDelta::seconds(5);
/// Stripe closes sessions a little late. After its own end of a session, and this, it is asked how the session stands even
/// if it has not answered to the wish to close it.
const AFTER_EXPIRY: TimeDelta = TimeDelta::minutes(5);

/// Ends the hold of a booking whose time has come, or that was called off. Commits. A hold that goes on is an error, so
/// that the queue waits a little: its clock is the database's, which may be ahead of ours.
pub async fn end_hold(app: &App, id: BookingId) -> Result<()> {
    let hold = attempts::find_hold(&mut *app.db.acquire().await?, id).await?;
    let Some(hold) = hold.filter(|hold| hold.status == BookingStatus::Pending) else { return Ok(()) };
    if hold.expires_at.is_some_and(|end| end > app.now()) && !hold.cancel_requested {
        return Err(Error::fault(
            "the hold has not ended yet; are the clocks of this machine and the database's the same?",
        ));
    }
    match release(app, id).await? {
        BookingStatus::Pending => Err(Error::fault("the booking is still held; another attempt has taken its place")),
        _ => Ok(()),
    }
}

/// Calls off a pending booking. Returns where it stands then: it may have been paid in the meantime. `None` if it was not
/// pending at this version any more. Where Stripe does not answer, the intent stays and the background goes on with it.
pub async fn cancel(app: &App, at: (BookingId, Option<i64>), reason: Option<&str>) -> Result<Option<BookingStatus>> {
    let now = app.now();
    let (booking_id, _) = at;
    let mut tx = app.begin().await?;
    if !bookings::request_cancellation(&mut tx, at, reason, now).await? {
        return Ok(None);
    }
    jobs::enqueue(&mut tx, &Job::EndHold { booking_id }, now + CANCEL_AGAIN).await?;
    tx.commit().await?;
    release(app, booking_id).await.map(Some)
}

/// Ends a pending booking if Stripe confirms that nobody can pay for it any more, as cancelled where it was called off,
/// else as expired. Returns where it stands then. An error leaves the seats held.
async fn release(app: &App, id: BookingId) -> Result<BookingStatus> {
    let hold = attempts::find_hold(&mut *app.db.acquire().await?, id).await?;
    let hold = hold.ok_or_else(|| Error::fault(format!("the booking {id} has gone")))?;
    if hold.status != BookingStatus::Pending {
        return Ok(hold.status);
    }
    match hold.payable {
        None => end_unpayable(app, id, hold.cancel_requested).await?,
        Some(attempt) => {
            let session_id = match &attempt.session_id {
                Some(session_id) => Some(session_id.clone()),
                None => learn_session(app, &attempt).await?,
            };
            let subject = (attempt.id, id);
            match session_id {
                Some(session_id) => fence(app, subject, &session_id, attempt.expires_at).await?,
                None => settle(app, subject, (None, None), &Fact::Expired).await?,
            }
        }
    }
    let hold = attempts::find_hold(&mut *app.db.acquire().await?, id).await?;
    Ok(hold.map_or(BookingStatus::Pending, |hold| hold.status))
}

/// The session of an attempt that Stripe has not answered: asked for again under the same key. `None` where Stripe says
/// that there is none, or keeps answering with a stored failure: then nobody was ever given a link.
async fn learn_session(app: &App, attempt: &Payable) -> Result<Option<String>> {
    match app.stripe.create_session(attempt.id, &attempt.parameters).await {
        Ok(session) => {
            let stored = Session {
                id: &session.id,
                url: session.url.as_deref(),
                client_secret: session.client_secret.as_deref(),
                expires_at: session.expires_at,
            };
            attempts::open(&mut *app.db.acquire().await?, attempt.id, &stored, app.now()).await?;
            Ok(Some(session.id))
        }
        Err(StripeError::ReplayedFailure(_)) => Ok(None),
        Err(error) if error.is_final() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Asks Stripe to end the session. If it is not open any more, asks how it stands, and settles that: the buyer may have
/// paid. <https://docs.stripe.com/api/checkout/sessions/expire>
async fn fence(app: &App, subject: (AttemptId, BookingId), session_id: &str, expires_at: DateTime<Utc>) -> Result<()> {
    let long_over = app.now() > expires_at + AFTER_EXPIRY;
    let refused = match app.stripe.expire_session(session_id).await {
        Ok(_) => return settle(app, subject, (Some(session_id), None), &Fact::Expired).await,
        Err(StripeError::Refused { status: 400, .. }) => true,
        Err(_) if long_over => false,
        Err(error) => return Err(error.into()),
    };
    let session = app.stripe.retrieve_session(session_id).await?;
    match session.fact(app.now()) {
        Some(fact) => settle(app, subject, (Some(session_id), session.payment_intent_id()), &fact).await,
        None if refused => Err(Error::ProviderUnavailable("the session is neither open nor over".to_owned())),
        None => Err(Error::ProviderUnavailable("the session is still open".to_owned())),
    }
}

/// Settles what Stripe has said, as an event with the same words would be. Commits.
async fn settle(
    app: &App,
    subject: (AttemptId, BookingId),
    (session_id, payment_intent_id): (Option<&str>, Option<&str>),
    fact: &Fact,
) -> Result<()> {
    let mut tx = app.begin().await?;
    let word = Word { fact, session_id, payment_intent_id, event_id: None };
    let sentence = carry_out(&mut tx, subject, &word, app.now()).await?;
    tx.commit().await?;
    let (_, booking_id) = subject;
    app.changes.tell(booking_id);
    tracing::info!(booking.id = %booking_id, "{sentence}");
    Ok(())
}

/// Ends a booking that has no attempt which could be paid.
async fn end_unpayable(app: &App, id: BookingId, cancel_requested: bool) -> Result<()> {
    let ending = if cancel_requested { Ending::Cancelled } else { Ending::Expired };
    let mut tx = app.begin().await?;
    if attempts::lock_unpayable(&mut tx, id).await? {
        settlements::end(&mut tx, id, ending.booking_status(), app.now()).await?;
    }
    tx.commit().await?;
    Ok(())
}
