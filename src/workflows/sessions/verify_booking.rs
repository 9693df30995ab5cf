//! How does a booking stand at Stripe? For an admin who wants to know now.

use futures_util::future::join_all;

use super::check::{self, Asker};
use super::release;
use crate::app::App;
use crate::domain::attempt::AttemptOfBooking;
use crate::domain::booking::BookingDetails;
use crate::domain::ids::BookingId;
use crate::error::{Error, Result};
use crate::repositories::{attempts, bookings, sessions};

/// Attempts of one booking that Stripe is asked about, the newest. There are seldom more than two;
/// a balance that is paid late may have brought some dozens.
const ATTEMPTS_MAX: i64 = 200;
/// So many at once, but one after the other is settled.
const ASKED_AT_ONCE: usize = 10;

/// A booking after Stripe was asked how it stands.
pub struct VerifiedBooking {
    /// How it stands.
    pub details: BookingDetails,
    /// Whether what Stripe has said has changed anything that is stored of it.
    pub is_changed: bool,
}

/// Asks Stripe how each session of a booking stands, that of an attempt of which Stripe has not
/// answered included, and settles what it says. What nobody can explain is left to the end of the
/// hold. Where Stripe does not say how one stands, that is an error, once all others are settled.
/// Commits.
pub async fn verify_booking(app: &App, id: BookingId) -> Result<VerifiedBooking> {
    let mut is_changed = false;
    let mut failures = Vec::new();
    match learn_open_session(app, id).await {
        Ok(is_learnt) => is_changed = is_learnt,
        Err(error) => failures.push(error),
    }
    let mut db = app.acquire().await?;
    let asked = sessions::list_with_session(&mut db, id, ATTEMPTS_MAX).await?;
    drop(db);
    for some in asked.chunks(ASKED_AT_ONCE) {
        let checks = some.iter().map(|attempt| {
            let of_booking = AttemptOfBooking {
                attempt_id: attempt.id,
                booking_id: id,
            };
            check::make_and_tell(app, of_booking, &attempt.session_id, Asker::Admin)
        });
        for checked in join_all(checks).await {
            match checked {
                Ok(checked) => {
                    is_changed |= checked.change.is_some();
                    failures.extend(checked.refusal);
                }
                Err(error) => failures.push(error),
            }
        }
    }
    if let Some(error) = failures.into_iter().next() {
        return Err(error);
    }
    let details = bookings::find(&mut app.acquire().await?, id).await?;
    let details = details.ok_or_else(|| Error::fault(format!("the booking {id} has gone")))?;
    Ok(VerifiedBooking {
        details,
        is_changed,
    })
}

/// Learns the session of the attempt that Stripe has not answered, if there is one: it may have
/// been paid. True if there is one.
async fn learn_open_session(app: &App, id: BookingId) -> Result<bool> {
    let hold = attempts::find_hold(&mut app.acquire().await?, id).await?;
    let unclosed = hold.and_then(|hold| hold.unclosed);
    match unclosed.filter(|attempt| attempt.session_id.is_none()) {
        Some(attempt) => Ok(release::learn_session(app, &attempt, Asker::Admin)
            .await?
            .is_some()),
        None => Ok(false),
    }
}
