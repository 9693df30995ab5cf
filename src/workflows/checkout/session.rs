//! The call to Stripe for the session of an attempt, and the second transaction, which opens the
//! attempt with it.

use std::sync::Weak;

use futures_util::future::BoxFuture;

use super::remedy::remedy;
use crate::app::{App, AppState, BatchHandler, Batched};
use crate::domain::attempt::{AttemptOfBooking, AttemptStatus, NewSession, OpenCheckout};
use crate::domain::booking_event::{BookingEvent, NewBookingEvent};
use crate::domain::checkout::CheckoutReport;
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::job::Job;
use crate::domain::payment::SettledBy;
use crate::domain::stripe_report::{AttemptReference, StripeReport};
use crate::error::{Error, Result};
use crate::gateways::stripe::Lane;
use crate::repositories::attempts;
use crate::repositories::unanswered_attempts::{self, UnansweredAttempt};
use crate::repositories::{booking_events, jobs, sessions};
use crate::settlement::{self, AttemptAnswer};

/// Forms that one request is sent in, each under a key of its own, until Stripe takes one.
const FORMS_MAX: usize = 4;

/// Asks Stripe for the session of an attempt and opens the attempt with it. `None` where the
/// booking has gone on in the meantime: it was paid before Stripe's answer came, or it waits for
/// nothing any more.
///
/// Where there is a remedy, another attempt takes the place of one that comes to nothing. Where
/// Stripe refuses the session for good, what is reserved is free at once.
pub(super) async fn open_session(
    app: &AppState,
    unanswered: UnansweredAttempt,
    booking_id: BookingId,
    lane: Lane,
) -> Result<Option<OpenCheckout>> {
    let mut unanswered = unanswered;
    for _ in 0..FORMS_MAX {
        let (parameters, expires_at) = (&unanswered.parameters, unanswered.expires_at);
        let asked = app
            .stripe
            .create_session(unanswered.id, parameters, expires_at, lane);
        let error = match asked.await {
            Ok(checkout) => {
                let attempt_id = unanswered.id;
                let session = NewSession {
                    attempt_id,
                    checkout,
                };
                return store_session(app, session, booking_id).await;
            }
            Err(error) => error,
        };
        let Some(next) = remedy(&unanswered, &error, app.now()) else {
            if error.is_final() {
                settle_refusal(app, unanswered.id, booking_id).await?;
            }
            return Err(error.into());
        };
        tracing::warn!("asking for the session in another form: {error}");
        match replace(app, &unanswered, next, booking_id).await? {
            Some(next) => unanswered = next,
            None => return Ok(None),
        }
    }
    let sentence = "Stripe takes the request in no form";
    Err(Error::ProviderUnavailable(sentence.to_owned()))
}

/// Puts the attempt `next` in the place of one that has come to nothing, unless another caller was
/// faster: then theirs. None where the booking waits for nothing any more, because another of its
/// sessions was paid; then the spent one is closed. Commits.
async fn replace(
    app: &AppState,
    spent: &UnansweredAttempt,
    next: UnansweredAttempt,
    booking_id: BookingId,
) -> Result<Option<UnansweredAttempt>> {
    let now = app.now();
    let mut tx = app.begin().await?;
    let attempt = AttemptOfBooking {
        attempt_id: spent.id,
        booking_id,
    };
    let state = attempts::lock(&mut tx, &[attempt]).await?.remove(&spent.id);
    let state = state.ok_or_else(|| Error::fault(format!("the attempt {} has gone", spent.id)))?;
    if state.attempt_status != AttemptStatus::Creating {
        return unanswered_attempts::find(&mut tx, booking_id).await;
    }
    if !state.is_waited_for() {
        tx.rollback().await?;
        settle_refusal(app, spent.id, booking_id).await?;
        return Ok(None);
    }
    unanswered_attempts::replace(&mut tx, spent.id, &next, now).await?;
    let event = BookingEvent::AttemptReplaced {
        attempt_id: spent.id,
        next_attempt_id: next.id,
    };
    booking_events::append(&mut tx, &[NewBookingEvent { booking_id, event }], now).await?;
    app.commit(tx).await?;
    Ok(Some(next))
}

async fn store_session(
    app: &AppState,
    session: NewSession,
    booking_id: BookingId,
) -> Result<Option<OpenCheckout>> {
    if app.batchers.sessions.submit(session.clone()).await? {
        return Ok(Some(session.checkout));
    }
    let mut tx = app.begin_payment().await?;
    // The buyer, who may have paid already, will come back with it.
    if sessions::name_session(&mut tx, &session).await? {
        // The booking has gone on while Stripe was asked: its link must not live.
        jobs::enqueue(&mut tx, &[Job::EndHold { booking_id }.at(app.now())]).await?;
    }
    app.commit(tx).await?;
    Ok(None)
}

/// Stripe has refused the session for good, so there is none.
async fn settle_refusal(
    app: &AppState,
    attempt_id: AttemptId,
    booking_id: BookingId,
) -> Result<()> {
    let attempt = AttemptOfBooking {
        attempt_id,
        booking_id,
    };
    let answer = AttemptAnswer {
        attempt,
        reference: AttemptReference::default(),
        report: StripeReport::Checkout(CheckoutReport::Refused),
        settled_by: SettledBy::Release,
    };
    settlement::settle_answer(app, answer).await.map(drop)
}

/// Opens the attempts that wait for their sessions.
pub struct StoreSessions(pub(crate) Weak<App>);

impl BatchHandler for StoreSessions {
    type Request = NewSession;
    /// Whether the attempt waited for it.
    type Answer = bool;

    fn conflict_keys(&self, session: &NewSession) -> Vec<String> {
        vec![session.attempt_id.to_string()]
    }

    fn handle<'a>(
        &'a self,
        batch: &'a [Batched<NewSession>],
    ) -> BoxFuture<'a, Result<Vec<Result<bool>>>> {
        Box::pin(async {
            let app = App::upgrade(&self.0)?;
            let sessions: Vec<_> = batch.iter().map(|batched| &batched.request).collect();
            let mut db = app.pools.payments.acquire().await?;
            let opened = attempts::open(&mut db, &sessions, app.now()).await?;
            let is_opened = |session: &&NewSession| Ok(opened.contains(&session.attempt_id));
            Ok(sessions.iter().map(is_opened).collect())
        })
    }
}
