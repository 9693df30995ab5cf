//! What dead processes have left is finished: attempts without an answer, holds without an end, and
//! events and refunds that wait for nobody.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::App;
use crate::connection::Connection;
use crate::domain::checkout::DELAYED_METHOD_MAX;
use crate::domain::job::{DEFERRED_PAUSE_MAX, Job, RETRY_PAUSE_MAX, UNDECIDED_PAUSE};
use crate::domain::refund_refusal;
use crate::domain::refund_state::RefundStatus;
use crate::domain::skew::SKEW_NOTICED;
use crate::error::{Error, Result};
use crate::repositories::holds::{self, LatestEnds};
use crate::repositories::jobs::{self, LatestTimes};
use crate::repositories::{idempotency_keys, lost_work};

/// An attempt that has had no answer for longer than a request may take was left by a process that
/// died.
const UNFINISHED_AFTER: TimeDelta = TimeDelta::seconds(40);
/// A hold whose end is past by so much has lost its job.
const OVERDUE_AFTER: TimeDelta = TimeDelta::minutes(2);
/// Stripe closes sessions by itself, a little late, and says so. An attempt that is open for so
/// long after its end has not heard of it.
const LEFT_OPEN_AFTER: TimeDelta = TimeDelta::minutes(10);
/// A deferred event that has come so long ago has had its first look, or has lost its job.
const DEFERRED_AFTER: TimeDelta = TimeDelta::minutes(2);
/// How much is looked at in one sweep.
const SWEEP_MAX: i64 = 500;

/// Enqueues what no job is about to finish, and has what has failed tried again soon. Sets right
/// what was put off by a clock that was ahead. And forgets jobs that others have replaced, and
/// idempotency keys that are too old to count.
///
/// A process whose clock is wrong leaves all that to others: it would end holds before their time.
pub async fn sweep(app: &App) -> Result<()> {
    let mut db = app.acquire().await?;
    let skew = app.database_skew(&mut db).await?;
    if skew.is_too_large() {
        tracing::error!("nothing is swept: our clock is {skew} that of Postgres");
        return Ok(());
    }
    let now = app.now();
    if !skew.is_noticeable() {
        correct_times(app, &mut db, now).await?;
    }
    enqueue_lost_work(&mut db, now).await?;
    jobs::bring_forward(&mut db, now + RETRY_PAUSE_MAX).await?;
    jobs::forget_replaced(&mut db).await?;
    idempotency_keys::forget(&mut db, now).await
}

/// Enqueues what no job is about to do.
async fn enqueue_lost_work(db: &mut Connection, now: DateTime<Utc>) -> Result<()> {
    let unanswered = lost_work::list_unanswered(db, now - UNFINISHED_AFTER, SWEEP_MAX).await?;
    let overdue = lost_work::list_overdue(db, now - OVERDUE_AFTER, SWEEP_MAX).await?;
    let left_open = lost_work::list_left_open(db, now - LEFT_OPEN_AFTER, SWEEP_MAX).await?;
    let deferred = lost_work::list_deferred(db, now - DEFERRED_AFTER, SWEEP_MAX).await?;
    let finish = unanswered
        .into_iter()
        .map(|booking_id| Job::FinishCheckout { booking_id });
    let end: BTreeSet<_> = overdue.into_iter().chain(left_open).collect();
    let end = end
        .into_iter()
        .map(|booking_id| Job::EndHold { booking_id });
    let settle = deferred
        .into_iter()
        .map(|event_id| Job::SettleEvent { event_id });
    let refund = due_refunds(db, now).await?;
    let lost: Vec<_> = finish
        .chain(end)
        .chain(settle)
        .chain(refund)
        .map(|job| job.at(now))
        .collect();
    jobs::enqueue(db, &lost).await
}

/// What is to be asked of Stripe about refunds: to make them, or how they stand.
async fn due_refunds(db: &mut Connection, now: DateTime<Utc>) -> Result<Vec<Job>> {
    let latest = now + refund_refusal::PAUSE_MAX + SKEW_NOTICED;
    let due = lost_work::list_refunds_due(db, now, latest, SWEEP_MAX).await?;
    let (ask, look): (Vec<_>, Vec<_>) = due
        .into_iter()
        .partition(|due| due.status == RefundStatus::Requested);
    let ask = ask.into_iter().map(|due| Job::Refund { refund_id: due.id });
    // A payment may have several.
    let look: BTreeSet<_> = look.into_iter().map(|due| due.payment_id).collect();
    let look = look
        .into_iter()
        .map(|payment_id| Job::LookAtRefunds { payment_id });
    Ok(ask.chain(look).collect())
}

/// Shortens the holds, and brings the jobs forward, that a clock which was ahead has put off
/// further than any right clock would. The holds come first: their ends are when the jobs are due.
async fn correct_times(app: &App, db: &mut Connection, now: DateTime<Utc>) -> Result<()> {
    let hold =
        TimeDelta::from_std(app.config.hold).map_err(|error| Error::fault(error.to_string()))?;
    let ends = LatestEnds {
        pending: now + hold,
        processing: now + DELAYED_METHOD_MAX,
    };
    let shortened = holds::shorten(db, ends, SWEEP_MAX, now).await?;
    if shortened > 0 {
        tracing::warn!("{shortened} holds are shortened: a clock was ahead when they were made");
    }
    let times = LatestTimes {
        end: ends.pending + SKEW_NOTICED,
        look: now + UNDECIDED_PAUSE + SKEW_NOTICED,
        event: now + DEFERRED_PAUSE_MAX + SKEW_NOTICED,
        other: now + RETRY_PAUSE_MAX,
    };
    jobs::bring_misdated_forward(db, times).await
}
