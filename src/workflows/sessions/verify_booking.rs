//! How does a booking stand at Stripe? For an admin who wants to know now.

use super::check;
use crate::app::App;
use crate::domain::attempt::AttemptOfBooking;
use crate::domain::booking::BookingDetails;
use crate::domain::ids::BookingId;
use crate::domain::payment::SettledBy;
use crate::error::{Error, Result};
use crate::repositories::{bookings, sessions};

/// Attempts of one booking that Stripe is asked about, the newest; there are seldom more than two.
const ATTEMPTS_MAX: i64 = 5;

/// Asks Stripe how each session of a booking stands, and settles what it says. What nobody can
/// explain is left to the end of the hold. Commits.
pub async fn verify_booking(app: &App, id: BookingId) -> Result<BookingDetails> {
    let mut db = app.acquire().await?;
    let asked = sessions::list_with_session(&mut db, id, ATTEMPTS_MAX).await?;
    drop(db);
    for attempt in asked {
        let of_booking = AttemptOfBooking {
            attempt_id: attempt.id,
            booking_id: id,
        };
        check::make(app, of_booking, &attempt.session_id, SettledBy::Admin).await?;
    }
    let details = bookings::find(&mut app.acquire().await?, id).await?;
    details.ok_or_else(|| Error::fault(format!("the booking {id} has gone")))
}
