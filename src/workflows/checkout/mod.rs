//! Holding what is booked and opening the payment page for it: a transaction, a call to Stripe, a
//! second transaction.
//!
//! Whatever happens between two lines, what is reserved is held by a committed booking or not at
//! all, and what Stripe was asked is committed before it is asked.

mod balance;
mod draft;
mod hold;
mod page;
mod remedy;
mod session;
mod slot;
mod voucher;

pub use balance::Payer;
pub use hold::HoldBookings;
pub use page::{resume, resume_in_background};
pub use session::StoreSessions;

use crate::app::AppState;
use crate::domain::attempt::PaymentPart;
use crate::domain::booking::{Booking, BookingDetails, BookingStatus};
use crate::domain::booking_request::{BookingRequest, Wanted};
use crate::domain::refusal::Refusal;
use crate::error::{Error, Result};
use crate::repositories::holds::REFERENCE_KEY;
use page::{nothing_due, open};

/// References are drawn at random, nearly a billion of them; a second draw is rare and a fifth does
/// not happen.
const REFERENCE_DRAWS_MAX: usize = 5;

/// Holds what the buyer wants and opens the payment page; a booking that costs nothing is confirmed
/// at once.
///
/// Refuses with `show_closed`, `too_many_seats`, `unknown_seat`, `seat_unavailable`,
/// `slot_unavailable`, `too_many_holds`, `rate_limited`, `validation_failed`, `amount_too_small`,
/// `voucher_invalid`, `not_found`, or `idempotency_in_progress`; then nothing is held. Where Stripe
/// cannot be reached, the booking stays and holds what it reserves, and [`resume`] goes on with it.
///
/// Commits twice. Round trips beside BEGIN and COMMIT, for seats: what is available, the hold, the
/// session; one more with a key, three more with a voucher.
pub async fn book(app: &AppState, request: &BookingRequest) -> Result<BookingDetails> {
    for _ in 0..REFERENCE_DRAWS_MAX {
        let held = match &request.wanted {
            Wanted::Seats(_) => app.batchers.holds.submit(request.clone()).await,
            // In a box: seats are the hot path, and do not wait with room for it.
            Wanted::Slot(slot) => Box::pin(slot::hold(app, request, slot)).await,
        };
        match held {
            // In a box: most who come in a rush never get here.
            Ok(held) => return Box::pin(open(app, held)).await,
            Err(error) if error.constraint() == Some(REFERENCE_KEY) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::fault("no reference that is not taken was drawn"))
}

/// The payment page of a booking again, for its buyer to pay what is due: the open one, the one
/// that Stripe has not answered yet, or, for a balance, a new one. `part`, where it is given, must
/// be what is due.
///
/// Refuses with `already_paid`, `booking_expired` or `booking_not_payable`.
pub async fn reopen(
    app: &AppState,
    booking: &Booking,
    part: Option<PaymentPart>,
    payer: &Payer,
) -> Result<BookingDetails> {
    let now = app.now();
    if booking.part_due().is_none() {
        return Err(nothing_due(booking).into());
    }
    if part.is_some() && part != booking.part_due() {
        let booking_status = booking.status;
        return Err(Refusal::BookingNotPayable { booking_status }.into());
    }
    if booking.part_due() == Some(PaymentPart::Balance) {
        return balance::open_balance(app, booking.id, payer).await;
    }
    if booking.hold_expires_at.is_some_and(|end| end <= now) {
        return Err(Refusal::BookingExpired.into());
    }
    let details = resume(app, booking.id).await?;
    let is_paid =
        details.booking.part_due().is_none() && details.booking.status == BookingStatus::Confirmed;
    if details.payable_checkout(now).is_some() || is_paid {
        return Ok(details);
    }
    let booking_status = details.booking.status;
    Err(Refusal::BookingNotPayable { booking_status }.into())
}
