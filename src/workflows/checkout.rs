//! Holding seats and opening the payment page for them: a transaction, a call to Stripe, a second transaction.
//!
//! Whatever happens between two lines, the seats are held by a committed booking or not at all, and what Stripe was asked
//! is committed before it is asked.

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::App;
use crate::domain::booking::{
    AttemptStatus, Booking, BookingDetails, BookingKind, BookingStatus, OpenCheckout, PaymentOption, PaymentPart,
    reference_of,
};
use crate::domain::ids::{AttemptId, BookingId, ShowId};
use crate::domain::job::Job;
use crate::domain::money::Money;
use crate::domain::offer::{Offer, Quote};
use crate::domain::refusal::Refusal;
use crate::domain::settlement::Fact;
use crate::domain::user::{User, UserId};
use crate::error::{Error, Result};
use crate::gateways::stripe::checkout::{Line, SessionRequest, Ui};
use crate::gateways::stripe::{CheckoutSession, StripeError};
use crate::repositories::attempts::{self, Creating, Session};
use crate::repositories::bookings::{self, NewAttempt, NewHold, REFERENCE_KEY};
use crate::repositories::idempotency_keys::{self, Use};
use crate::repositories::{jobs, settlements, shows};

/// A session lives 35 minutes: Stripe's minimum of 30 is counted on its clock, and a call may be slow.
const SESSION_LIFE: TimeDelta = TimeDelta::minutes(35);
/// A session outlives the hold at least by this.
const SESSION_AFTER_HOLD: TimeDelta = TimeDelta::minutes(5);
/// When Stripe has not answered in a request, the first try in the background comes after this.
const RETRY_SOON: TimeDelta = TimeDelta::seconds(3);
/// Keys that one wish is sent under in one go.
const KEYS_MAX: usize = 2;
/// An attempt that has had no answer for longer than a request may take was left by a process that died.
const UNFINISHED_AFTER: TimeDelta = TimeDelta::seconds(40);
/// A hold whose end is past by so much has lost its job.
const OVERDUE_AFTER: TimeDelta = TimeDelta::minutes(2);
/// How much is looked at in one sweep.
const SWEEP_MAX: i64 = 500;
/// References are drawn at random, nearly a billion of them; a second draw is rare and a fifth does not happen.
const REFERENCE_DRAWS_MAX: usize = 5;

/// Who wants which seats, and how he comes to pay.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The buyer.
    pub user: User,
    /// The show.
    pub show_id: ShowId,
    /// Labels, each named once.
    pub seats: Vec<String>,
    /// Where he pays.
    pub ui: Ui,
    /// The front end that he comes from.
    pub origin: String,
    /// The idempotency key of his request.
    pub key: Option<Use>,
}

/// Holds the seats for the buyer and opens the payment page; a booking that costs nothing is confirmed at once.
///
/// Refuses with `show_closed`, `too_many_seats`, `unknown_seat`, `seat_unavailable`, `amount_too_small`, `not_found`, or
/// `idempotency_in_progress`; then nothing is held. Where Stripe cannot be reached, the booking stays and holds its
/// seats, and [`resume`] goes on with it.
///
/// Commits twice. Round trips beside BEGIN and COMMIT: the offer, the hold, the session; one more with a key.
pub async fn book_seats(app: &App, wish: &Wish) -> Result<BookingDetails> {
    for _ in 0..REFERENCE_DRAWS_MAX {
        match hold(app, wish).await {
            // In a box: most who come in a rush never get here.
            Ok(held) => return Box::pin(held.open(app)).await,
            Err(error) if error.constraint() == Some(REFERENCE_KEY) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::fault("no reference that is not taken was drawn"))
}

/// Goes on with a booking whose request was cut short: asks Stripe again, under the same key and with the same
/// parameters, if the answer is still missing. The booking must be the caller's.
pub async fn resume(app: &App, id: BookingId) -> Result<BookingDetails> {
    let creating = attempts::find_creating(&mut *app.acquire().await?, id).await?;
    if let Some(creating) = creating {
        open_session(app, creating, id).await?;
    }
    reload(app, id).await
}

/// The payment page of a booking again, for its buyer to pay: the open one, or the one that Stripe has not answered yet.
///
/// Refuses with `not_found`, `already_paid`, `booking_expired` or `booking_not_payable`.
pub async fn reopen(app: &App, id: BookingId, owner: &UserId) -> Result<BookingDetails> {
    let found = bookings::find(&mut *app.acquire().await?, id, Some(owner)).await?;
    let booking = found.ok_or(Refusal::NotFound("booking"))?.booking;
    match booking.status {
        BookingStatus::Pending => {}
        BookingStatus::Confirmed => return Err(Refusal::AlreadyPaid.into()),
        BookingStatus::Processing
        | BookingStatus::Expired
        | BookingStatus::Cancelled
        | BookingStatus::Failed
        | BookingStatus::Review => {
            return Err(Refusal::BookingNotPayable { booking_status: booking.status }.into());
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
    Err(Refusal::BookingNotPayable { booking_status: details.booking.status }.into())
}

/// The first transaction. The offer is read before it begins: in a rush most buyers learn from it that they are too late, and
/// that costs one round trip.
async fn hold(app: &App, wish: &Wish) -> Result<Held> {
    let id = BookingId::new();
    let now = app.now();
    let (offer, quote) = quote(app, wish).await?;
    let hold = TimeDelta::from_std(app.config.hold).unwrap_or(SESSION_LIFE);
    let booking = new_booking(id, wish, &quote, (now, hold));
    let expires_at = now + SESSION_LIFE.max(hold + SESSION_AFTER_HOLD);
    let is_free = quote.total.amount_minor == 0;
    let attempt = (!is_free).then(|| new_attempt(id, wish, (&offer, &quote), expires_at));
    let new = NewHold {
        booking: &booking,
        show_id: offer.show_id,
        cancellation_policy: &offer.cancellation_policy,
        attempt: attempt.as_ref(),
    };
    let mut tx = app.begin().await?;
    if let Some(using) = &wish.key
        && !idempotency_keys::claim(&mut tx, using, Some(id), now).await?
    {
        return Err(Refusal::IdempotencyInProgress.into());
    }
    let claimed = bookings::hold(&mut tx, &new).await?;
    let lost: Vec<String> = booking.seats.iter().filter(|label| !claimed.contains(label)).cloned().collect();
    if !lost.is_empty() {
        tx.rollback().await?;
        return Err(seats_lost(app, wish, lost).await);
    }
    tx.commit().await?;
    tracing::info!(booking.id = %id, "holds {} seats for {}", booking.seats.len(), booking.reference);
    Ok(Held { details: BookingDetails { booking, show: Some(offer.into()), checkout: None }, attempt })
}

/// Sees to it that what dead processes have left is finished: attempts without an answer, and holds without an end. And
/// forgets jobs that others have replaced, and idempotency keys that are too old to count.
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

async fn quote(app: &App, wish: &Wish) -> Result<(Offer, Quote)> {
    let offer = shows::offer(&mut *app.acquire().await?, wish.show_id, &wish.seats).await?;
    let offer = offer.ok_or(Refusal::NotFound("show"))?;
    let quote = offer.quote(&wish.seats, &wish.user.id, app.now())?;
    Ok((offer, quote))
}

/// Somebody was faster. A second look says whether it was the buyer himself, in another tab.
async fn seats_lost(app: &App, wish: &Wish, lost: Vec<String>) -> Error {
    match quote(app, wish).await {
        Err(error) => error,
        Ok(_) => Refusal::SeatUnavailable { seats: lost, own_booking: None }.into(),
    }
}

fn new_booking(id: BookingId, wish: &Wish, quote: &Quote, (now, hold): (DateTime<Utc>, TimeDelta)) -> Booking {
    let is_free = quote.total.amount_minor == 0;
    Booking {
        id,
        reference: reference_of(rand::random()),
        user_id: wish.user.id.clone(),
        kind: BookingKind::Show,
        status: if is_free { BookingStatus::Confirmed } else { BookingStatus::Pending },
        seats: quote.seats.clone(),
        payment_option: PaymentOption::Full,
        total: quote.total,
        due: quote.total,
        paid: Money::new(0, quote.total.currency),
        hold_expires_at: (!is_free).then_some(now + hold),
        confirmed_at: is_free.then_some(now),
        cancelled_at: None,
        version: 1,
        created_at: now,
    }
}

/// A committed booking whose payment page is still to be opened.
struct Held {
    details: BookingDetails,
    attempt: Option<NewAttempt>,
}

impl Held {
    /// The call to Stripe and the second transaction.
    async fn open(mut self, app: &App) -> Result<BookingDetails> {
        let Some(attempt) = self.attempt else {
            return Ok(self.details);
        };
        let id = self.details.booking.id;
        let creating = Creating { id: attempt.id, parameters: attempt.parameters };
        match open_session(app, creating, id).await {
            Ok(Some(session)) => {
                self.details.checkout = Some(open_checkout(session));
                Ok(self.details)
            }
            Ok(None) => reload(app, id).await,
            Err(error) => {
                let job = Job::FinishCheckout { booking_id: id };
                jobs::enqueue(&mut *app.acquire().await?, &job, app.now() + RETRY_SOON).await?;
                Err(error)
            }
        }
    }
}

async fn reload(app: &App, id: BookingId) -> Result<BookingDetails> {
    let found = bookings::find(&mut *app.acquire().await?, id, None).await?;
    found.ok_or_else(|| Error::fault(format!("the booking {id} has gone")))
}

fn new_attempt(
    booking_id: BookingId,
    wish: &Wish,
    (offer, quote): (&Offer, &Quote),
    expires_at: DateTime<Utc>,
) -> NewAttempt {
    let id = AttemptId::new();
    let part = PaymentPart::Full;
    let lines = quote.lines.iter().map(|line| Line {
        name: format!("{} · {} · {}", offer.title, line.tier, line.seats.join(", ")),
        unit: line.unit,
        quantity: u64::try_from(line.seats.len()).unwrap_or_default(),
    });
    let request = SessionRequest {
        booking_id,
        attempt_id: id,
        part,
        ui: wish.ui,
        lines: lines.collect(),
        email: wish.user.email.as_deref(),
        origin: &wish.origin,
        expires_at,
    };
    let parameters = request.parameters();
    NewAttempt { id, part, ui: wish.ui.as_str(), amount_minor: quote.total.amount_minor, parameters, expires_at }
}

/// Asks Stripe for the session of an attempt and opens the attempt with it. `None` where the booking has gone on in the
/// meantime: it was paid before Stripe's answer came, or it waits for nothing any more.
///
/// Where Stripe has stored a failure under the attempt's key and replays it for ever, the same wish goes out under a new
/// one. If there is a session behind the failure after all, nobody was given its link.
async fn open_session(app: &App, creating: Creating, booking_id: BookingId) -> Result<Option<CheckoutSession>> {
    let mut creating = creating;
    for _ in 0..KEYS_MAX {
        match app.stripe.create_session(creating.id, &creating.parameters).await {
            Ok(session) => return store_session(app, creating.id, booking_id, session).await,
            Err(StripeError::ReplayedFailure(_)) => match with_new_key(app, &creating, booking_id).await? {
                Some(next) => creating = next,
                None => return Ok(None),
            },
            Err(error) => {
                if error.is_final() {
                    give_up(app, &creating, booking_id).await?;
                }
                return Err(error.into());
            }
        }
    }
    Err(Error::ProviderUnavailable("Stripe answers every key with a stored failure".to_owned()))
}

/// The attempt that takes the place of one whose key is spent: a new one, or that of another caller who was faster.
async fn with_new_key(app: &App, spent: &Creating, booking_id: BookingId) -> Result<Option<Creating>> {
    let id = AttemptId::new();
    let parameters = spent.parameters.replace(&spent.id.to_string(), &id.to_string());
    let next = Creating { id, parameters };
    let mut tx = app.begin().await?;
    let standing = settlements::lock(&mut tx, (spent.id, booking_id)).await?;
    if standing.status == BookingStatus::Pending && standing.attempt_status == AttemptStatus::Creating {
        attempts::replace(&mut tx, spent.id, &next, app.now()).await?;
        tx.commit().await?;
        return Ok(Some(next));
    }
    attempts::find_creating(&mut tx, booking_id).await
}

async fn store_session(
    app: &App,
    attempt_id: AttemptId,
    booking_id: BookingId,
    session: CheckoutSession,
) -> Result<Option<CheckoutSession>> {
    let now = app.now();
    let opened = {
        let mut db = app.settling_db.acquire().await?;
        let stored = Session {
            id: &session.id,
            url: session.url.as_deref(),
            client_secret: session.client_secret.as_deref(),
            expires_at: session.expires_at,
        };
        let opened = attempts::open(&mut db, attempt_id, &stored, now).await?;
        if !opened {
            // The buyer, who may have paid already, will come back with it.
            attempts::name_session(&mut db, attempt_id, &session.id).await?;
        }
        opened
    };
    if opened {
        return Ok(Some(session));
    }
    let creating = attempts::find_creating(&mut *app.acquire().await?, booking_id).await?;
    if creating.is_some_and(|creating| creating.id == attempt_id) {
        // The booking has ended while Stripe was asked: its link must not live. If the buyer cannot have paid, close the
        // attempt; else his payment arrives as an event.
        match app.stripe.expire_session(&session.id).await {
            Ok(_) => {}
            // It was not open: paid, or closed by an earlier try whose answer was lost.
            Err(StripeError::Refused { status: 400, .. }) => {
                if app.stripe.retrieve_session(&session.id).await?.fact(now) != Some(Fact::Expired) {
                    return Err(Error::ProviderUnavailable("the session is neither open nor expired".to_owned()));
                }
            }
            Err(error) => return Err(error.into()),
        }
        let subject = (attempt_id, Some(session.id.as_str()));
        settlements::close(&mut *app.acquire().await?, subject, AttemptStatus::Expired, now).await?;
    }
    Ok(None)
}

/// Stripe has refused the session for good, so there is none, and the seats are free at once.
async fn give_up(app: &App, creating: &Creating, booking_id: BookingId) -> Result<()> {
    let now = app.now();
    let mut tx = app.begin().await?;
    let standing = settlements::lock(&mut tx, (creating.id, booking_id)).await?;
    if standing.attempt_status == AttemptStatus::Creating {
        settlements::close(&mut tx, (creating.id, None), AttemptStatus::Failed, now).await?;
        if standing.status == BookingStatus::Pending {
            let ended = if standing.cancel_requested { BookingStatus::Cancelled } else { BookingStatus::Failed };
            settlements::end(&mut tx, booking_id, ended, now).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

fn open_checkout(session: CheckoutSession) -> OpenCheckout {
    OpenCheckout {
        session_id: session.id,
        url: session.url,
        client_secret: session.client_secret,
        expires_at: session.expires_at,
    }
}
