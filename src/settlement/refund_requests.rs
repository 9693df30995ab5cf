//! The one way on which money is asked back, whoever wants it: it is reserved, the booking tells
//! it, and a job asks Stripe for it.

use chrono::{DateTime, Utc};

use super::round::Round;
use crate::connection::Connection;
use crate::domain::booking_event::BookingEvent;
use crate::domain::ids::{BookingId, RefundId};
use crate::domain::job::Job;
use crate::domain::refund_block;
use crate::domain::refund_request::RefundablePayment;
use crate::domain::refund_state::RefundSource;
use crate::error::Result;
use crate::repositories::refund_requests::{self, NewRefund};
use crate::repositories::{disputes, refunds};

/// The payments of a booking, newest first, under their locks, and which of them a bank has.
pub async fn lock_refundable(
    db: &mut Connection,
    booking_id: BookingId,
) -> Result<Vec<RefundablePayment>> {
    let mut payments = Vec::new();
    for payment in refunds::lock_payments_of(db, booking_id).await? {
        let disputes = disputes::list_of_payment(db, payment.id).await?;
        let block = refund_block::of_disputes(&disputes);
        payments.push(RefundablePayment { payment, block });
    }
    Ok(payments)
}

/// Asks refunds back, and names them. The caller holds the locks of their bookings and payments,
/// and commits.
pub async fn request_refunds(
    db: &mut Connection,
    refunds: &[NewRefund<'_>],
    now: DateTime<Utc>,
) -> Result<Vec<RefundId>> {
    let mut round = Round::new(now);
    let requested = round.request_refunds(db, refunds).await?;
    round.finish(db).await?;
    Ok(requested)
}

impl Round<'_> {
    pub(super) async fn request_refunds(
        &mut self,
        db: &mut Connection,
        refunds: &[NewRefund<'_>],
    ) -> Result<Vec<RefundId>> {
        let mut requested = Vec::new();
        for new in refunds {
            requested.push(self.request_refund(db, *new).await?);
        }
        Ok(requested)
    }

    /// Reserves a refund, and notes what follows from that. The caller holds the lock of its
    /// payment, or has stored that in this transaction.
    pub(super) async fn request_refund(
        &mut self,
        db: &mut Connection,
        new: NewRefund<'_>,
    ) -> Result<RefundId> {
        let reserved = refund_requests::reserve(db, new, self.now).await?;
        let refund_id = reserved.id;
        let refund = Job::Refund {
            refund_id,
            booking_id: Some(reserved.booking_id),
        };
        self.jobs.push(refund.at(self.now));
        // Why money is not owed, or is by a policy, what happened before says.
        let reason = match reserved.source {
            RefundSource::Admin => Some(reserved.reason),
            RefundSource::Surplus | RefundSource::Policy | RefundSource::Dashboard => None,
        };
        let requested = BookingEvent::RefundRequested {
            refund_id,
            amount: new.granted.amount,
            reason,
        };
        self.happened(reserved.booking_id, requested);
        Ok(refund_id)
    }
}
