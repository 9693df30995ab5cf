//! The one way on which a booking ends with what it reserves.

use chrono::{DateTime, Utc};

use super::round::Round;
use crate::connection::Connection;
use crate::domain::booking_event::BookingEvent;
use crate::domain::checkout_state::Ending;
use crate::domain::ids::{BookingId, RefundId};
use crate::domain::job::Job;
use crate::error::Result;
use crate::repositories::refund_requests::NewRefund;
use crate::repositories::{attempts, bookings};

/// A booking that is to be cancelled, and what goes back of it.
#[derive(Debug)]
pub struct CancelledBooking<'a> {
    /// The booking.
    pub id: BookingId,
    /// What it tells of who wants that, if that is told.
    pub wanted: Option<BookingEvent>,
    /// What is asked back.
    pub refunds: &'a [NewRefund<'a>],
}

/// Cancels a booking that has what it reserves, asks back what is owed, and names those refunds.
/// `StillPayable` while a page of it can still be paid. The caller holds the locks of the booking
/// and of its payments, and commits.
pub async fn cancel_booking(
    db: &mut Connection,
    booking: CancelledBooking<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<RefundId>> {
    let mut round = Round::new(now);
    if let Some(wanted) = booking.wanted {
        round.happened(booking.id, wanted);
    }
    round.cancel_booking(db, booking.id).await?;
    let requested = round.request_refunds(db, booking.refunds).await?;
    round.finish(db).await?;
    Ok(requested)
}

impl Round<'_> {
    /// Cancels a booking that is paid, or kept for a person; `StillPayable` while a page of it can
    /// still be paid. The caller holds its lock.
    pub(super) async fn cancel_booking(
        &mut self,
        db: &mut Connection,
        id: BookingId,
    ) -> Result<()> {
        attempts::refuse_payable(db, id).await?;
        self.end_booking(db, id, Ending::Cancelled).await?;
        // What waits for a bank is asked about until it is decided.
        self.jobs.push(Job::EndHold { booking_id: id }.at(self.now));
        Ok(())
    }

    /// Ends a booking: what it reserves is free, and its voucher may be used again. The caller
    /// holds its lock, and has seen that nobody can pay for it any more.
    pub(super) async fn end_booking(
        &mut self,
        db: &mut Connection,
        id: BookingId,
        ending: Ending,
    ) -> Result<()> {
        bookings::end(db, id, ending, self.now).await?;
        let ended = match ending {
            Ending::Expired => BookingEvent::Expired,
            Ending::Cancelled => BookingEvent::Cancelled,
            Ending::Failed => BookingEvent::Failed,
        };
        self.happened(id, ended);
        Ok(())
    }
}
