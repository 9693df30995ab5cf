//! The call to Stripe for the session of an attempt, and the second transaction, which opens the
//! attempt with it.

use std::sync::Weak;

use futures_util::future::BoxFuture;

use crate::app::{App, AppState, BatchHandler, Batched};
use crate::domain::attempt::{AttemptOfBooking, AttemptStatus, NewSession, OpenCheckout};
use crate::domain::booking_event::{BookingEvent, NewBookingEvent};
use crate::domain::checkout::CheckoutReport;
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::job::Job;
use crate::domain::stripe_report::{AttemptReference, StripeReport};
use crate::error::{Error, Result};
use crate::gateways::stripe::StripeError;
use crate::repositories::attempts::{self, UnansweredAttempt};
use crate::repositories::{booking_events, jobs};
use crate::settlement;

/// Keys that one request is sent under in one go.
const KEYS_MAX: usize = 2;

/// Asks Stripe for the session of an attempt and opens the attempt with it. `None` where the
/// booking has gone on in the meantime: it was paid before Stripe's answer came, or it waits for
/// nothing any more.
///
/// Where Stripe has stored a failure under the attempt's key and replays it for ever, the same
/// request goes out under a new one. If there is a session behind the failure after all, nobody was
/// given its link. Where Stripe refuses the session for good, what is reserved is free at once.
pub(super) async fn open_session(
    app: &AppState,
    unanswered: UnansweredAttempt,
    booking_id: BookingId,
) -> Result<Option<OpenCheckout>> {
    let mut unanswered = unanswered;
    for _ in 0..KEYS_MAX {
        match app
            .stripe
            .create_session(unanswered.id, &unanswered.parameters)
            .await
        {
            Ok(checkout) => {
                let attempt_id = unanswered.id;
                return store_session(
                    app,
                    NewSession {
                        attempt_id,
                        checkout,
                    },
                    booking_id,
                )
                .await;
            }
            Err(StripeError::ReplayedFailure(_)) => {
                match with_new_key(app, &unanswered, booking_id).await? {
                    Some(next) => unanswered = next,
                    None => return Ok(None),
                }
            }
            Err(error) => {
                if error.is_final() {
                    settle_refusal(app, unanswered.id, booking_id).await?;
                }
                return Err(error.into());
            }
        }
    }
    let sentence = "Stripe answers every key with a stored failure";
    Err(Error::ProviderUnavailable(sentence.to_owned()))
}

/// The attempt that takes the place of one whose key is spent: a new one, or that of another caller
/// who was faster. None where the booking waits for nothing any more, because another of its
/// sessions was paid; then the spent one is closed. Commits.
async fn with_new_key(
    app: &AppState,
    spent: &UnansweredAttempt,
    booking_id: BookingId,
) -> Result<Option<UnansweredAttempt>> {
    let id = AttemptId::new();
    let parameters = spent
        .parameters
        .replace(&spent.id.to_string(), &id.to_string());
    let next = UnansweredAttempt { id, parameters };
    let now = app.now();
    let mut tx = app.begin().await?;
    let attempt = AttemptOfBooking {
        attempt_id: spent.id,
        booking_id,
    };
    let state = attempts::lock(&mut tx, &[attempt]).await?.remove(&spent.id);
    let state = state.ok_or_else(|| Error::fault(format!("the attempt {} has gone", spent.id)))?;
    if state.attempt_status != AttemptStatus::Creating {
        return attempts::find_unanswered(&mut tx, booking_id).await;
    }
    if !state.is_waited_for() {
        tx.rollback().await?;
        settle_refusal(app, spent.id, booking_id).await?;
        return Ok(None);
    }
    attempts::replace(&mut tx, spent.id, &next, now).await?;
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
    if attempts::name_session(&mut tx, &session).await? {
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
    let report = StripeReport::Checkout(CheckoutReport::Refused);
    settlement::settle_report(app, attempt, &AttemptReference::default(), &report).await
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
