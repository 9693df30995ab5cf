//! Refunds that admins ask for: reserved here, and made by a job.

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::booking::BookingStatus;
use crate::domain::ids::{BookingId, RefundId};
use crate::domain::money::Money;
use crate::domain::refund_request::{self, RefundablePayment, WantedRefund};
use crate::domain::refund_state::RefundSource;
use crate::domain::refusal::Refusal;
use crate::error::{Error, Result};
use crate::repositories::bookings;
use crate::repositories::refund_requests::{NewRefund, RefundCause};
use crate::settlement::{self, CancelledBooking};

/// What an admin asks for.
#[derive(Debug, Clone, Copy)]
pub struct RefundRequest<'a> {
    /// Whose money it is.
    pub booking_id: BookingId,
    /// Of which payment, and how much.
    pub wanted: WantedRefund,
    /// Why.
    pub reason: &'a str,
    /// Whether the booking is cancelled, so that what it reserves is free for others.
    pub releases: bool,
}

/// Reserves a refund of one of the booking's payments, newest first, and leaves it to a job to ask
/// Stripe for it. The caller commits.
///
/// Locks the booking, then its payments: of two at once, the second sees what the first has left.
pub async fn request_refund(
    db: &mut Connection,
    request: RefundRequest<'_>,
    now: DateTime<Utc>,
) -> Result<RefundId> {
    let id = request.booking_id;
    let booking = bookings::lock(db, id).await?;
    let booking = booking.ok_or(Refusal::NotFound("booking"))?;
    let payments = settlement::lock_refundable(db, id).await?;
    if request.releases && request.wanted.payment_id.is_none() {
        refuse_several(&payments)?;
    }
    let nothing = Money::new(0, booking.due.currency);
    let granted = refund_request::decide(&payments, request.wanted, nothing)?;
    let refunds = [NewRefund {
        granted,
        cause: RefundCause::Asked {
            source: RefundSource::Admin,
            reason: request.reason,
        },
    }];
    let requested = if request.releases && is_releasable(booking.status)? {
        let booking = CancelledBooking {
            id,
            wanted: None,
            refunds: &refunds,
        };
        settlement::cancel_booking(db, booking, now).await?
    } else {
        settlement::request_refunds(db, &refunds, now).await?
    };
    let requested = requested.into_iter().next();
    requested.ok_or_else(|| Error::fault("a refund was not asked for"))
}

/// Refuses to release a booking of whose payments one is given back and another silently kept.
fn refuse_several(payments: &[RefundablePayment]) -> Result<(), Refusal> {
    let has_money = |one: &&RefundablePayment| one.payment.unreserved_minor() > 0;
    if payments.iter().filter(has_money).count() > 1 {
        let message = "must be given with releaseSeats: more than one payment has money left";
        return Err(Refusal::field("paymentId", message));
    }
    Ok(())
}

/// Whether the booking has something to release; refuses where somebody else has to let go first.
fn is_releasable(status: BookingStatus) -> Result<bool, Refusal> {
    match status {
        BookingStatus::Confirmed => Ok(true),
        BookingStatus::Expired | BookingStatus::Cancelled | BookingStatus::Failed => Ok(false),
        BookingStatus::Pending | BookingStatus::Processing => {
            let message = "cannot be true while the booking can still be paid: cancel it";
            Err(Refusal::field("releaseSeats", message))
        }
        BookingStatus::Review => {
            let message = "cannot be true while the booking is under review: resolve that";
            Err(Refusal::field("releaseSeats", message))
        }
    }
}
