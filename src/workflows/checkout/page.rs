//! The payment page of a booking that is held: asked for at Stripe, now or later.

use chrono::TimeDelta;

use super::session::open_session;
use crate::app::{AppState, HeldBooking};
use crate::domain::booking::{Booking, BookingDetails, BookingStatus, OpenAttempt};
use crate::domain::ids::BookingId;
use crate::domain::job::Job;
use crate::domain::refusal::Refusal;
use crate::error::{Error, Result, explain};
use crate::gateways::stripe::Lane;
use crate::repositories::unanswered_attempts::{self, UnansweredAttempt};
use crate::repositories::{bookings, jobs};

/// When Stripe has not answered in a request, the first try in the background comes after this.
const RETRY_SOON: TimeDelta = TimeDelta::seconds(3);

/// Goes on with a booking whose request was cut short, for its buyer: asks Stripe again, under the
/// same key and with the same parameters, if the answer is still missing. The booking must be the
/// caller's.
pub async fn resume(app: &AppState, id: BookingId) -> Result<BookingDetails> {
    go_on(app, id, Lane::Create).await?;
    reload(app, id).await
}

/// The same, for nobody who waits.
pub async fn resume_in_background(app: &AppState, id: BookingId) -> Result<()> {
    go_on(app, id, Lane::Background).await
}

async fn go_on(app: &AppState, id: BookingId, lane: Lane) -> Result<()> {
    let unanswered = unanswered_attempts::find(&mut app.acquire().await?, id).await?;
    if let Some(unanswered) = unanswered {
        open_session(app, unanswered, id, lane).await?;
    }
    Ok(())
}

/// Why nothing can be paid of a booking of which nothing is due.
pub(super) fn nothing_due(booking: &Booking) -> Refusal {
    match booking.status {
        BookingStatus::Confirmed => Refusal::AlreadyPaid,
        BookingStatus::Pending
        | BookingStatus::Processing
        | BookingStatus::Expired
        | BookingStatus::Cancelled
        | BookingStatus::Failed
        | BookingStatus::Review => Refusal::BookingNotPayable {
            booking_status: booking.status,
        },
    }
}

/// The call to Stripe and the second transaction, for a booking that is held.
pub(super) async fn open(app: &AppState, held: HeldBooking) -> Result<BookingDetails> {
    let HeldBooking { details, attempt } = held;
    let Some(attempt) = attempt else {
        return Ok(details);
    };
    let id = details.booking.id;
    let unanswered = UnansweredAttempt {
        id: attempt.id,
        parameters: attempt.parameters,
        expires_at: attempt.expires_at,
        hold_expires_at: details.booking.hold_expires_at,
    };
    match open_session(app, unanswered, id, Lane::Create).await {
        Ok(Some(checkout)) => {
            let open_attempt = Some(OpenAttempt {
                part: attempt.part,
                checkout,
            });
            Ok(BookingDetails {
                open_attempt,
                ..details
            })
        }
        Ok(None) => reload(app, id).await,
        Err(error) => {
            if let Err(lost) = try_again_soon(app, id).await {
                tracing::warn!(booking.id = %id, "left to the sweep: {}", explain(&lost));
            }
            Err(error)
        }
    }
}

async fn try_again_soon(app: &AppState, booking_id: BookingId) -> Result<()> {
    let again = Job::FinishCheckout { booking_id }.at(app.now() + RETRY_SOON);
    jobs::enqueue(&mut app.acquire().await?, &[again]).await
}

async fn reload(app: &AppState, id: BookingId) -> Result<BookingDetails> {
    let found = bookings::find(&mut app.acquire().await?, id).await?;
    found.ok_or_else(|| Error::fault(format!("the booking {id} has gone")))
}
