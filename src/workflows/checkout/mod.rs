//! Holding seats and opening the payment page for them: a transaction, a call to Stripe, a second
//! transaction.
//!
//! Whatever happens between two lines, the seats are held by a committed booking or not at all, and
//! what Stripe was asked is committed before it is asked.

mod hold;

use std::sync::Weak;

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
pub use hold::HoldSeats;

use crate::app::{App, AppState, BatchHandler, Batched, CreatedSession};
use crate::domain::booking::{
    AttemptStatus, BookingDetails, BookingStatus, NewAttempt, OpenCheckout,
};
use crate::domain::booking_request::BookingRequest;
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::job::Job;
use crate::domain::refusal::Refusal;
use crate::domain::user::UserId;
use crate::error::{Error, Result};
use crate::gateways::stripe::StripeError;
use crate::repositories::attempts::{self, UnansweredAttempt};
use crate::repositories::bookings::{self, REFERENCE_KEY};
use crate::repositories::{idempotency_keys, jobs, settlements};

/// When Stripe has not answered in a request, the first try in the background comes after this.
const RETRY_SOON: TimeDelta = TimeDelta::seconds(3);
/// Keys that one request is sent under in one go.
const KEYS_MAX: usize = 2;
/// An attempt that has had no answer for longer than a request may take was left by a process that
/// died.
const UNFINISHED_AFTER: TimeDelta = TimeDelta::seconds(40);
/// A hold whose end is past by so much has lost its job.
const OVERDUE_AFTER: TimeDelta = TimeDelta::minutes(2);
/// How much is looked at in one sweep.
const SWEEP_MAX: i64 = 500;
/// References are drawn at random, nearly a billion of them; a second draw is rare and a fifth does
/// not happen.
const REFERENCE_DRAWS_MAX: usize = 5;

/// Holds the seats for the buyer and opens the payment page; a booking that costs nothing is
/// confirmed at once.
///
/// Refuses with `show_closed`, `too_many_seats`, `unknown_seat`, `seat_unavailable`,
/// `amount_too_small`, `not_found`, or `idempotency_in_progress`; then nothing is held. Where
/// Stripe cannot be reached, the booking stays and holds its seats, and [`resume`] goes on with it.
///
/// Commits twice. Round trips beside BEGIN and COMMIT: the availability, the hold, the session; one more
/// with a key.
pub async fn book_seats(app: &AppState, request: &BookingRequest) -> Result<BookingDetails> {
    for _ in 0..REFERENCE_DRAWS_MAX {
        match app.batchers.holds.submit(request.clone()).await {
            // In a box: most who come in a rush never get here.
            Ok(held) => return Box::pin(open(app, held)).await,
            Err(error) if error.constraint() == Some(REFERENCE_KEY) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::fault("no reference that is not taken was drawn"))
}

/// Goes on with a booking whose request was cut short: asks Stripe again, under the same key and
/// with the same parameters, if the answer is still missing. The booking must be the caller's.
pub async fn resume(app: &AppState, id: BookingId) -> Result<BookingDetails> {
    let creating = attempts::find_creating(&mut *app.acquire().await?, id).await?;
    if let Some(creating) = creating {
        open_session(app, creating, id).await?;
    }
    reload(app, id).await
}

/// The payment page of a booking again, for its buyer to pay: the open one, or the one that Stripe
/// has not answered yet.
///
/// Refuses with `not_found`, `already_paid`, `booking_expired` or `booking_not_payable`.
pub async fn reopen(app: &AppState, id: BookingId, owner: &UserId) -> Result<BookingDetails> {
    let found = bookings::find(&mut *app.acquire().await?, id)
        .await?
        .map(|details| details.booking);
    let booking = found
        .filter(|booking| booking.user_id == *owner)
        .ok_or(Refusal::NotFound("booking"))?;
    match booking.status {
        BookingStatus::Pending => {}
        BookingStatus::Confirmed => return Err(Refusal::AlreadyPaid.into()),
        BookingStatus::Processing
        | BookingStatus::Expired
        | BookingStatus::Cancelled
        | BookingStatus::Failed
        | BookingStatus::Review => {
            return Err(Refusal::BookingNotPayable {
                booking_status: booking.status,
            }
            .into());
        }
    }
    let now = app.now();
    if booking.hold_expires_at.is_some_and(|end| end <= now) {
        return Err(Refusal::BookingExpired.into());
    }
    let details = resume(app, id).await?;
    if details.payable(now).is_some() || details.booking.status == BookingStatus::Confirmed {
        return Ok(details);
    }
    Err(Refusal::BookingNotPayable {
        booking_status: details.booking.status,
    }
    .into())
}

/// Sees to it that what dead processes have left is finished: attempts without an answer, and holds
/// without an end. And forgets jobs that others have replaced, and idempotency keys that are too
/// old to count.
pub async fn sweep(app: &App) -> Result<()> {
    let now = app.now();
    let mut db = app.acquire().await?;
    for booking_id in attempts::list_unfinished(&mut db, now - UNFINISHED_AFTER, SWEEP_MAX).await? {
        jobs::enqueue(&mut db, &Job::FinishCheckout { booking_id }, now).await?;
    }
    for booking_id in bookings::list_overdue(&mut db, now - OVERDUE_AFTER, SWEEP_MAX).await? {
        jobs::enqueue(&mut db, &Job::EndHold { booking_id }, now).await?;
    }
    jobs::forget_replaced(&mut db).await?;
    idempotency_keys::forget(&mut db, now).await
}

/// The call to Stripe and the second transaction, for a booking that is held.
async fn open(
    app: &AppState,
    held: (BookingDetails, Option<NewAttempt>),
) -> Result<BookingDetails> {
    let (details, Some(attempt)) = held else {
        return Ok(held.0);
    };
    let id = details.booking.id;
    let creating = UnansweredAttempt {
        id: attempt.id,
        parameters: attempt.parameters,
    };
    match open_session(app, creating, id).await {
        Ok(Some(checkout)) => Ok(BookingDetails {
            checkout: Some(checkout),
            ..details
        }),
        Ok(None) => reload(app, id).await,
        Err(error) => {
            let job = Job::FinishCheckout { booking_id: id };
            jobs::enqueue(&mut *app.acquire().await?, &job, app.now() + RETRY_SOON).await?;
            Err(error)
        }
    }
}

async fn reload(app: &AppState, id: BookingId) -> Result<BookingDetails> {
    let found = bookings::find(&mut *app.acquire().await?, id).await?;
    found.ok_or_else(|| Error::fault(format!("the booking {id} has gone")))
}

/// Asks Stripe for the session of an attempt and opens the attempt with it. `None` where the
/// booking has gone on in the meantime: it was paid before Stripe's answer came, or it waits for
/// nothing any more.
///
/// Where Stripe has stored a failure under the attempt's key and replays it for ever, the same request
/// goes out under a new one. If there is a session behind the failure after all, nobody was given
/// its link.
async fn open_session(
    app: &AppState,
    creating: UnansweredAttempt,
    booking_id: BookingId,
) -> Result<Option<OpenCheckout>> {
    let mut creating = creating;
    for _ in 0..KEYS_MAX {
        match app
            .stripe
            .create_session(creating.id, &creating.parameters)
            .await
        {
            Ok(checkout) => return store_session(app, creating.id, booking_id, checkout).await,
            Err(StripeError::ReplayedFailure(_)) => {
                match with_new_key(app, &creating, booking_id).await? {
                    Some(next) => creating = next,
                    None => return Ok(None),
                }
            }
            Err(error) => {
                if error.is_final() {
                    give_up(app, &creating, booking_id).await?;
                }
                return Err(error.into());
            }
        }
    }
    Err(Error::ProviderUnavailable(
        "Stripe answers every key with a stored failure".to_owned(),
    ))
}

/// The attempt that takes the place of one whose key is spent: a new one, or that of another caller
/// who was faster. None where the booking waits for nothing any more, because another of its
/// sessions was paid; then the spent one is closed.
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
    let mut tx = app.begin().await?;
    let standing = settlements::lock(&mut tx, (spent.id, booking_id)).await?;
    if standing.attempt_status != AttemptStatus::Creating {
        return attempts::find_creating(&mut tx, booking_id).await;
    }
    let is_wanted = standing.status == BookingStatus::Pending;
    if is_wanted {
        attempts::replace(&mut tx, spent.id, &next, app.now()).await?;
    } else {
        settlements::close(&mut tx, (spent.id, None), AttemptStatus::Failed, app.now()).await?;
    }
    tx.commit().await?;
    Ok(is_wanted.then_some(next))
}

async fn store_session(
    app: &AppState,
    attempt_id: AttemptId,
    booking_id: BookingId,
    checkout: OpenCheckout,
) -> Result<Option<OpenCheckout>> {
    let created = CreatedSession {
        attempt_id,
        checkout: checkout.clone(),
    };
    if app.batchers.sessions.submit(created).await? {
        return Ok(Some(checkout));
    }
    let mut tx = app.begin_payment().await?;
    // The buyer, who may have paid already, will come back with it.
    if attempts::name_session(&mut tx, attempt_id, &checkout.session_id).await? {
        // The booking has gone on while Stripe was asked: its link must not live.
        jobs::enqueue(&mut tx, &Job::EndHold { booking_id }, app.now()).await?;
    }
    tx.commit().await?;
    Ok(None)
}

/// Stripe has refused the session for good, so there is none, and the seats are free at once.
async fn give_up(
    app: &AppState,
    creating: &UnansweredAttempt,
    booking_id: BookingId,
) -> Result<()> {
    let now = app.now();
    let mut tx = app.begin().await?;
    let standing = settlements::lock(&mut tx, (creating.id, booking_id)).await?;
    if standing.attempt_status == AttemptStatus::Creating {
        settlements::close(&mut tx, (creating.id, None), AttemptStatus::Failed, now).await?;
        if standing.status == BookingStatus::Pending {
            let ended = if standing.cancel_requested {
                BookingStatus::Cancelled
            } else {
                BookingStatus::Failed
            };
            settlements::end(&mut tx, booking_id, ended, now).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// Opens the attempts that wait for their sessions.
pub struct StoreSessions(pub(super) Weak<App>);

impl BatchHandler for StoreSessions {
    type Request = CreatedSession;
    /// Whether the attempt waited for it.
    type Answer = bool;

    fn conflict_keys(&self, created: &CreatedSession) -> Vec<String> {
        vec![created.attempt_id.to_string()]
    }

    fn handle<'a>(
        &'a self,
        batch: &'a [Batched<CreatedSession>],
    ) -> BoxFuture<'a, Result<Vec<Result<bool>>>> {
        Box::pin(async {
            let app = App::upgrade(&self.0)?;
            let created = batch.iter().map(|batched| &batched.request);
            let sessions: Vec<_> = created
                .clone()
                .map(|created| (created.attempt_id, &created.checkout))
                .collect();
            let mut db = app.pools.payments.acquire().await?;
            let opened = attempts::open(&mut db, &sessions, app.now()).await?;
            Ok(created
                .map(|created| Ok(opened.contains(&created.attempt_id)))
                .collect())
        })
    }
}
