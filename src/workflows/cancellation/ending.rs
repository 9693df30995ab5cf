//! The end of a booking that is cancelled with what it reserves, and what goes back of it.

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::booking_event::{BookingEvent, NewBookingEvent};
use crate::domain::checkout_state::Ending;
use crate::domain::job::Job;
use crate::domain::run::OwedRefund;
use crate::error::Result;
use crate::repositories::cancellations::{self, Cancellation};
use crate::repositories::refund_requests::{self, NewRefund};
use crate::repositories::{booking_events, bookings, jobs};

/// The reason of a refund, if who cancels has given none.
const NO_REASON: &str = "cancelled";

/// Ends a booking that has what it reserves, which is free then, and asks back what is owed. The
/// caller holds the locks of the booking and of its payments, has seen that no page of it can be
/// paid any more, and commits.
pub(super) async fn end(
    db: &mut Connection,
    cancellation: Cancellation<'_>,
    owed: &[OwedRefund],
    now: DateTime<Utc>,
) -> Result<()> {
    let booking_id = cancellation.booking_id;
    cancellations::note_immediate(db, cancellation, now).await?;
    bookings::end(db, booking_id, Ending::Cancelled, now).await?;
    let reason = cancellation.reason.map(str::to_owned);
    let ended = [
        BookingEvent::CancellationRequested {
            by: cancellation.by,
            reason,
        },
        BookingEvent::Cancelled,
    ];
    let ended = ended.map(|event| NewBookingEvent { booking_id, event });
    booking_events::append(db, &ended, now).await?;
    // What waits for a bank is asked about until it is decided.
    jobs::enqueue(db, &[Job::EndHold { booking_id }.at(now)]).await?;
    ask_back(db, cancellation, owed, now).await
}

/// Reserves what is owed of a booking that has ended, and leaves it to jobs to ask Stripe for it.
/// The caller holds the locks of its payments, and commits.
pub(super) async fn ask_back(
    db: &mut Connection,
    cancellation: Cancellation<'_>,
    owed: &[OwedRefund],
    now: DateTime<Utc>,
) -> Result<()> {
    if owed.is_empty() {
        return Ok(());
    }
    let booking_id = cancellation.booking_id;
    let (mut events, mut jobs) = (Vec::new(), Vec::new());
    for refund in owed {
        let new = NewRefund {
            granted: refund.granted,
            source: refund.source,
            reason: cancellation.reason.unwrap_or(NO_REASON),
        };
        let refund_id = refund_requests::request(db, new, now).await?;
        jobs.push(Job::Refund { refund_id }.at(now));
        let event = BookingEvent::RefundRequested {
            refund_id,
            amount: refund.granted.amount,
            reason: None,
        };
        events.push(NewBookingEvent { booking_id, event });
    }
    booking_events::append(db, &events, now).await?;
    jobs::enqueue(db, &jobs).await
}
