//! The end of a booking that is cancelled with what it reserves, and what goes back of it.

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::booking_event::BookingEvent;
use crate::domain::run::OwedRefund;
use crate::error::Result;
use crate::repositories::cancellations::{self, Cancellation};
use crate::repositories::refund_requests::{NewRefund, RefundCause};
use crate::settlement::{self, CancelledBooking};

/// The reason of a refund, if who cancels has given none.
const NO_REASON: &str = "cancelled";

/// Ends a booking that has what it reserves, which is free then, and asks back what is owed.
/// `StillPayable` while a page of it can still be paid. The caller holds the locks of the booking
/// and of its payments, and commits.
pub(super) async fn end(
    db: &mut Connection,
    cancellation: Cancellation<'_>,
    owed: &[OwedRefund],
    now: DateTime<Utc>,
) -> Result<()> {
    cancellations::note_immediate(db, cancellation, now).await?;
    let booking = CancelledBooking {
        id: cancellation.booking_id,
        wanted: Some(BookingEvent::CancellationRequested {
            by: cancellation.by,
            reason: cancellation.reason.map(str::to_owned),
        }),
        refunds: &refunds(cancellation, owed),
    };
    settlement::cancel_booking(db, booking, now).await.map(drop)
}

/// Asks back what is owed of a booking that has ended. The caller holds the locks of its payments,
/// and commits.
pub(super) async fn ask_back(
    db: &mut Connection,
    cancellation: Cancellation<'_>,
    owed: &[OwedRefund],
    now: DateTime<Utc>,
) -> Result<()> {
    let refunds = refunds(cancellation, owed);
    settlement::request_refunds(db, &refunds, now)
        .await
        .map(drop)
}

fn refunds<'a>(cancellation: Cancellation<'a>, owed: &[OwedRefund]) -> Vec<NewRefund<'a>> {
    let refunds = owed.iter().map(|one| NewRefund {
        granted: one.granted,
        cause: RefundCause::Asked {
            source: one.source,
            reason: cancellation.reason.unwrap_or(NO_REASON),
        },
    });
    refunds.collect()
}
