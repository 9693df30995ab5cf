//! How far the cancellation of a show has come, whenever somebody looks: what was done may have
//! come back since then.

use std::collections::BTreeMap;

use crate::connection::Connection;
use crate::domain::ids::{BookingId, RunId};
use crate::domain::run::{self, Run, RunFailure, RunOutcome, RunPayment};
use crate::error::Result;
use crate::repositories::{disputes, refunds, runs};

/// The run as it stands now, if there is one: what was done, and has come back, is among its
/// failures.
pub async fn find_run(db: &mut Connection, id: RunId) -> Result<Option<Run>> {
    let Some(run) = runs::find(db, id).await? else {
        return Ok(None);
    };
    let late = late_failures(db, id).await?;
    Ok(Some(run.with_late_failures(late)))
}

/// Bookings of a run that were done, and that a person has to look at now: a bank has sent their
/// refund back, or money came later that fits nothing.
pub(super) async fn late_failures(db: &mut Connection, id: RunId) -> Result<Vec<RunFailure>> {
    let doubtful = runs::list_done_with_money(db, id).await?;
    if doubtful.is_empty() {
        return Ok(Vec::new());
    }
    let mut of_bookings: BTreeMap<BookingId, Vec<RunPayment>> = BTreeMap::new();
    for payment in refunds::list_of_bookings(db, &doubtful).await? {
        let disputes = disputes::list_of_payment(db, payment.id).await?;
        let of_booking = of_bookings.entry(payment.booking_id).or_default();
        of_booking.push(RunPayment { payment, disputes });
    }
    let failures = of_bookings.into_iter();
    let failures = failures.filter_map(|(booking_id, payments)| match run::judge(&payments) {
        RunOutcome::Failed(error) => Some(RunFailure { booking_id, error }),
        RunOutcome::Ending | RunOutcome::Refunding | RunOutcome::Done => None,
    });
    Ok(failures.collect())
}
