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
use crate::repositories::{jobs, settlements};

/// After Stripe's own end of a session, and this, its absence counts as its end: Stripe closes sessions a little late.
const AFTER_EXPIRY: TimeDelta = TimeDelta::minutes(5);

/// Ends the hold of a booking whose time has come; one whose hold goes on longer is put off. Commits.
pub async fn end_hold(app: &App, id: BookingId) -> Result<()> {
    let now = app.now();
    let hold = attempts::find_hold(&mut *app.db.acquire().await?, id).await?;
    match hold.filter(|hold| hold.status == BookingStatus::Pending).and_then(|hold| hold.expires_at) {
        Some(end) if end > now => {
            jobs::enqueue(&mut *app.db.acquire().await?, &Job::EndHold { booking_id: id }, end).await
        }
        Some(_) => release(app, id, Ending::Expired).await.map(drop),
        None => Ok(()),
    }
}

/// Ends a pending booking as `ending`, if Stripe confirms that nobody can pay for it any more. Returns where the booking
/// stands then: it may have been paid in the meantime. An error leaves the seats held.
pub async fn release(app: &App, id: BookingId, ending: Ending) -> Result<BookingStatus> {
    let hold = attempts::find_hold(&mut *app.db.acquire().await?, id).await?;
    let hold = hold.ok_or_else(|| Error::fault(format!("the booking {id} has gone")))?;
    if hold.status != BookingStatus::Pending {
        return Ok(hold.status);
    }
    match hold.payable {
        None => end_unpayable(app, id, ending).await?,
        Some(attempt) => {
            let session_id = match &attempt.session_id {
                Some(session_id) => Some(session_id.clone()),
                None => learn_session(app, &attempt).await?,
            };
            let subject = (attempt.id, id);
            match session_id {
                Some(session_id) => fence(app, subject, &session_id, (ending, attempt.expires_at)).await?,
                None => settle(app, subject, (None, None), (Fact::Expired, ending)).await?,
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
async fn fence(
    app: &App,
    subject: (AttemptId, BookingId),
    session_id: &str,
    (ending, expires_at): (Ending, DateTime<Utc>),
) -> Result<()> {
    let long_over = app.now() > expires_at + AFTER_EXPIRY;
    let refused = match app.stripe.expire_session(session_id).await {
        Ok(_) => return settle(app, subject, (Some(session_id), None), (Fact::Expired, ending)).await,
        Err(StripeError::Refused { status: 400, .. }) => true,
        Err(_) if long_over => false,
        Err(error) => return Err(error.into()),
    };
    let session = match app.stripe.retrieve_session(session_id).await {
        // After its end, and only when Stripe itself says so, a session that is not there is one that cannot be paid.
        Err(StripeError::Refused { status: 404, .. }) if long_over => {
            return settle(app, subject, (Some(session_id), None), (Fact::Expired, ending)).await;
        }
        session => session?,
    };
    match session.fact(app.now()) {
        Some(fact) => settle(app, subject, (Some(session_id), session.payment_intent_id()), (fact, ending)).await,
        None if refused => Err(Error::ProviderUnavailable("the session is neither open nor over".to_owned())),
        None => Err(Error::ProviderUnavailable("the session is still open".to_owned())),
    }
}

/// Settles what Stripe has said, as an event with the same words would be; an end counts as `ending`. Commits.
async fn settle(
    app: &App,
    (attempt_id, booking_id): (AttemptId, BookingId),
    (session_id, payment_intent_id): (Option<&str>, Option<&str>),
    (fact, ending): (Fact, Ending),
) -> Result<()> {
    let now = app.now();
    let fact = if fact == Fact::Expired && ending == Ending::Cancelled { Fact::Cancelled } else { fact };
    let mut tx = app.db.begin().await?;
    let word = Word { fact: &fact, session_id, payment_intent_id, event_id: None };
    let sentence = carry_out(&mut tx, (attempt_id, booking_id), &word, now).await?;
    tx.commit().await?;
    tracing::info!(booking.id = %booking_id, "{sentence}");
    Ok(())
}

/// Ends a booking that has no attempt which could be paid.
async fn end_unpayable(app: &App, id: BookingId, ending: Ending) -> Result<()> {
    let mut tx = app.db.begin().await?;
    if attempts::lock_unpayable(&mut tx, id).await? {
        settlements::end(&mut tx, id, ending.booking_status(), app.now()).await?;
    }
    tx.commit().await?;
    Ok(())
}
