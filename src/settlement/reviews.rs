//! What a person decides about a booking under review.

use chrono::{DateTime, Utc};

use super::refund_requests::lock_refundable;
use super::round::Round;
use crate::connection::Connection;
use crate::domain::booking::{BookingStatus, LockedBooking};
use crate::domain::booking_event::BookingEvent;
use crate::domain::funds::Mismatch;
use crate::domain::ids::BookingId;
use crate::domain::job::Job;
use crate::domain::refund_state::{RefundSource, RefundedPayment};
use crate::domain::refusal::Refusal;
use crate::domain::resolution::Resolution;
use crate::domain::review::{self, Awaited, Price};
use crate::error::Result;
use crate::repositories::refund_requests::{NewRefund, RefundCause};
use crate::repositories::{bookings, discrepancies, payments};

/// A person's decision.
#[derive(Debug, Clone, Copy)]
pub struct ReviewDecision<'a> {
    /// The booking.
    pub booking_id: BookingId,
    /// What they decide.
    pub resolution: Resolution,
    /// Why.
    pub reason: &'a str,
}

/// Confirms a booking under review for the money that came, or cancels it; what is not accepted
/// goes back, and what was open about it is dismissed. One that was confirmed before, and whose
/// balance is odd, stays confirmed also where that cannot be accepted. The caller commits. Refuses
/// a booking that is not under review, and to confirm where no money could be accepted.
pub async fn resolve_review(
    db: &mut Connection,
    decision: ReviewDecision<'_>,
    now: DateTime<Utc>,
) -> Result<()> {
    let (id, reason) = (decision.booking_id, decision.reason);
    let booking = bookings::lock(db, id).await?;
    let booking = booking.ok_or(Refusal::NotFound("booking"))?;
    if booking.status != BookingStatus::Review {
        let booking_status = booking.status;
        return Err(Refusal::NotUnderReview { booking_status }.into());
    }
    let kept = lock_refundable(db, id).await?;
    let is_balance = booking.was_confirmed;
    let money = if is_balance {
        booking.balance
    } else {
        booking.due
    };
    let awaited = Awaited { money, is_balance };
    let outcome = review::decide(decision.resolution, awaited, &kept)?;
    let mut round = Round::new(now);
    let resolved = BookingEvent::ReviewResolved {
        resolution: decision.resolution,
        reason: reason.to_owned(),
    };
    round.happened(id, resolved);
    if decision.resolution == Resolution::Confirm {
        // What could still be paid of it is closed.
        round.jobs.push(Job::EndHold { booking_id: id }.at(now));
    }
    match (decision.resolution, outcome.accepted) {
        (Resolution::Confirm, Some(payment_id)) => {
            let mut kept = kept.iter().map(|refundable| &refundable.payment);
            let accepted = kept.find(|payment| payment.id == payment_id);
            let conceded_minor = accepted.map_or(0, |payment| conceded_minor(&booking, payment));
            payments::accept(db, payment_id, conceded_minor, now).await?;
            let accepted = if is_balance {
                BookingEvent::BalancePaid { payment_id }
            } else {
                let payment_id = Some(payment_id);
                BookingEvent::Confirmed { payment_id }
            };
            round.happened(id, accepted);
        }
        (Resolution::Confirm, None) => bookings::confirm_again(db, id, now).await?,
        (Resolution::Cancel, _) => round.cancel_booking(db, id).await?,
    }
    let source = RefundSource::Admin;
    for granted in outcome.refunds {
        let cause = RefundCause::Asked { source, reason };
        round
            .request_refund(db, NewRefund { granted, cause })
            .await?;
    }
    let kinds = Mismatch::ALL.map(Mismatch::as_str);
    discrepancies::dismiss_of_booking(db, id, &kinds, reason).await?;
    round.finish(db).await
}

/// By how much less than is met the buyer has paid, once this payment is accepted.
fn conceded_minor(booking: &LockedBooking, payment: &RefundedPayment) -> i64 {
    let price = Price {
        total: booking.total,
        due_minor: booking.due.amount_minor,
    };
    let paid_minor = booking.paid.amount_minor;
    let paid_minor = paid_minor.saturating_add(payment.money.amount_minor);
    let met_minor = price.met_minor(payment.part, paid_minor);
    met_minor.saturating_sub(paid_minor)
}
