//! The balance of a booking whose deposit is paid: an attempt of its own, and the payment page for
//! it.

use super::page::{nothing_due, open, resume};
use super::remedy::session_end;
use crate::app::{AppState, HeldBooking};
use crate::domain::attempt::{NewAttempt, PaymentPart, Ui};
use crate::domain::booking::BookingDetails;
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::job::Job;
use crate::domain::refusal::Refusal;
use crate::domain::slots;
use crate::domain::user::User;
use crate::error::{Error, Result};
use crate::gateways::stripe::checkout::SessionRequest;
use crate::repositories::{attempts, bookings, jobs};

/// Who pays a balance, and where.
#[derive(Debug, Clone)]
pub struct Payer {
    /// The buyer.
    pub user: User,
    /// The front end that they come from.
    pub origin: String,
    /// Where they pay.
    pub ui: Ui,
}

/// Opens the payment page for the balance, unless an attempt at it is under way. Commits.
///
/// Refuses with `already_paid` or `booking_not_payable`.
pub(super) async fn open_balance(
    app: &AppState,
    id: BookingId,
    payer: &Payer,
) -> Result<BookingDetails> {
    let now = app.now();
    let mut tx = app.begin_payment().await?;
    bookings::lock(&mut tx, id).await?;
    let details = bookings::find(&mut tx, id).await?;
    let details = details.ok_or(Refusal::NotFound("booking"))?;
    let booking = &details.booking;
    if booking.part_due() != Some(PaymentPart::Balance) {
        return Err(nothing_due(booking).into());
    }
    let hold = attempts::find_hold(&mut tx, id).await?;
    if hold.is_some_and(|hold| hold.unclosed.is_some()) {
        tx.rollback().await?;
        return under_way(app, id).await;
    }
    let attempt = new_attempt(app, &details, payer)?;
    attempts::insert(&mut tx, id, &attempt, now).await?;
    // Whoever leaves the page can ask for another one when this is closed for good.
    let end = Job::EndHold { booking_id: id }.at(attempt.expires_at);
    jobs::enqueue(&mut tx, &[end]).await?;
    app.commit(tx).await?;
    let attempt = Some(attempt);
    open(app, HeldBooking { details, attempt }).await
}

/// Somebody has asked for the page before: it is theirs that is given, unless it cannot be paid
/// any more.
async fn under_way(app: &AppState, id: BookingId) -> Result<BookingDetails> {
    let details = resume(app, id).await?;
    if details.payable_checkout(app.now()).is_some() {
        return Ok(details);
    }
    let booking = &details.booking;
    if booking.part_due() != Some(PaymentPart::Balance) {
        return Err(nothing_due(booking).into());
    }
    if details.open_attempt.is_some() {
        let sentence = "the last payment page is being closed";
        return Err(Error::ProviderUnavailable(sentence.to_owned()));
    }
    let booking_status = booking.status;
    Err(Refusal::BookingNotPayable { booking_status }.into())
}

fn new_attempt(app: &AppState, details: &BookingDetails, payer: &Payer) -> Result<NewAttempt> {
    let booking = &details.booking;
    let balance = booking.balance();
    let of_service = booking.reservation.slot().zip(details.service.as_ref());
    let (slot, service) = of_service.ok_or_else(|| Error::fault("only slots have a balance"))?;
    let timezone = service
        .timezone
        .parse()
        .map_err(|_| Error::Fault(format!("{} is no time zone", service.timezone)))?;
    let part = PaymentPart::Balance;
    let items = [slots::item(&service.title, timezone, slot, part, balance)];
    let id = AttemptId::new();
    let expires_at = session_end(app.now(), None);
    let session = SessionRequest {
        config: &app.config,
        booking_id: booking.id,
        reservation: &booking.reservation,
        attempt_id: id,
        part,
        ui: payer.ui,
        items: &items,
        email: payer.user.email.as_deref(),
        origin: &payer.origin,
        expires_at,
        // It is the buyer's whatever they do.
        held_until: None,
        delayed_methods: false,
    };
    Ok(NewAttempt {
        id,
        part,
        ui: payer.ui,
        amount_minor: balance.amount_minor,
        parameters: session.parameters(),
        expires_at,
    })
}
