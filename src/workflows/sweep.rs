//! What dead processes have left is finished: attempts without an answer, holds without an end, and
//! events, refunds and cancellations of shows that wait for nobody.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::app::App;
use crate::connection::Connection;
use crate::domain::checkout::DELAYED_METHOD_MAX;
use crate::domain::job::{Job, RETRY_PAUSE_MAX, UNDECIDED_PAUSE};
use crate::domain::refund_refusal;
use crate::domain::refund_state::RefundStatus;
use crate::domain::skew::SKEW_NOTICED;
use crate::error::{Error, Result, explain};
use crate::repositories::holds::{self, LatestEnds};
use crate::repositories::jobs::{self, LatestTimes};
use crate::repositories::{idempotency_keys, lost_work, runs};

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
/// A run that was begun so long ago has lost its job, if it has none.
const RUN_LOST_AFTER: TimeDelta = TimeDelta::minutes(2);
/// How much is looked at in one sweep.
const SWEEP_MAX: i64 = 500;

/// Enqueues what no job is about to finish, and has what has failed tried again soon. Sets right
/// what was put off by a clock that was ahead. And forgets jobs that others have replaced, and
/// idempotency keys that are too old to count. Each of these is done although another fails; the
/// first failure is returned.
///
/// A process whose clock is wrong leaves all that to others: it would end holds before their time.
pub async fn sweep(app: &App) -> Result<()> {
    let postgres = app.database_skew(&mut app.acquire().await?).await?;
    let skews = [
        ("Postgres", Some(postgres)),
        ("Stripe", app.stripe_skew.known()),
    ];
    let skews = || {
        skews
            .into_iter()
            .filter_map(|(whose, skew)| Some((whose, skew?)))
    };
    if let Some((whose, skew)) = skews().find(|(_, skew)| skew.is_too_large()) {
        tracing::error!("nothing is swept: our clock is {skew} that of {whose}");
        return Ok(());
    }
    let now = app.now();
    let mut done = vec![];
    if !skews().any(|(_, skew)| skew.is_noticeable()) {
        // The holds come first: their ends are when the jobs are due.
        done.push(shorten_holds(app, now).await);
        done.push(bring_misdated_forward(app, now).await);
        done.push(set_runs_right(app, now).await);
    }
    done.push(finish_unanswered(app, now).await);
    done.push(end_overdue(app, now).await);
    done.push(close_left_open(app, now).await);
    done.push(settle_deferred(app, now).await);
    done.push(ask_about_refunds(app, now).await);
    done.push(go_on_with_runs(app, now).await);
    done.push(bring_failed_forward(app, now).await);
    done.push(forget(app, now).await);
    let mut failures = done.into_iter().filter_map(Result::err);
    let first = failures.next();
    for error in failures {
        tracing::warn!("another part of the sweep has failed: {}", explain(&error));
    }
    first.map_or(Ok(()), Err)
}

/// Shortens the holds that a clock which was ahead has made longer than any right clock would.
async fn shorten_holds(app: &App, now: DateTime<Utc>) -> Result<()> {
    let mut db = app.acquire().await?;
    let ends = LatestEnds {
        pending: now + hold(app)?,
        processing: now + DELAYED_METHOD_MAX,
    };
    loop {
        let shortened = holds::shorten(&mut db, ends, SWEEP_MAX, now).await?;
        if shortened > 0 {
            tracing::warn!(
                "{shortened} holds are shortened: a clock was ahead when they were made"
            );
        }
        if shortened < SWEEP_MAX {
            return Ok(());
        }
    }
}

/// Brings the jobs forward that a clock which was ahead has put off further than any right clock
/// would.
async fn bring_misdated_forward(app: &App, now: DateTime<Utc>) -> Result<()> {
    let mut db = app.acquire().await?;
    let hold = hold(app)?;
    let waiting = jobs::list_one_per_kind(&mut db, now).await?;
    let latest = |job: Job| {
        let until = now + job.wait_max(hold);
        job.at(until)
    };
    let latest = LatestTimes {
        by_kind: waiting.into_iter().map(latest).collect(),
        look: now + UNDECIDED_PAUSE,
        retry: now + RETRY_PAUSE_MAX,
    };
    jobs::bring_misdated_forward(&mut db, &latest).await
}

/// Sets right when runs were begun, by which it is known whether their jobs are lost.
async fn set_runs_right(app: &App, now: DateTime<Utc>) -> Result<()> {
    runs::set_begun_right(&mut app.acquire().await?, now + SKEW_NOTICED, now).await
}

fn hold(app: &App) -> Result<TimeDelta> {
    TimeDelta::from_std(app.config.hold).map_err(|error| Error::fault(error.to_string()))
}

async fn finish_unanswered(app: &App, now: DateTime<Utc>) -> Result<()> {
    let mut db = app.acquire().await?;
    let lost = lost_work::list_unanswered(&mut db, now - UNFINISHED_AFTER, SWEEP_MAX).await?;
    let job = |booking_id| Job::FinishCheckout { booking_id };
    enqueue(&mut db, lost.into_iter().map(job), now).await
}

async fn end_overdue(app: &App, now: DateTime<Utc>) -> Result<()> {
    let mut db = app.acquire().await?;
    let lost = lost_work::list_overdue(&mut db, now - OVERDUE_AFTER, SWEEP_MAX).await?;
    let job = |booking_id| Job::EndHold { booking_id };
    enqueue(&mut db, lost.into_iter().map(job), now).await
}

async fn close_left_open(app: &App, now: DateTime<Utc>) -> Result<()> {
    let mut db = app.acquire().await?;
    let lost = lost_work::list_left_open(&mut db, now - LEFT_OPEN_AFTER, SWEEP_MAX).await?;
    // A booking may have several attempts.
    let lost: BTreeSet<_> = lost.into_iter().collect();
    let job = |booking_id| Job::EndHold { booking_id };
    enqueue(&mut db, lost.into_iter().map(job), now).await
}

async fn settle_deferred(app: &App, now: DateTime<Utc>) -> Result<()> {
    let mut db = app.acquire().await?;
    let lost = lost_work::list_deferred(&mut db, now - DEFERRED_AFTER, SWEEP_MAX).await?;
    let job = |event_id| Job::SettleEvent { event_id };
    enqueue(&mut db, lost.into_iter().map(job), now).await
}

/// Has Stripe asked to make refunds, or how they stand.
async fn ask_about_refunds(app: &App, now: DateTime<Utc>) -> Result<()> {
    let mut db = app.acquire().await?;
    let latest = now + refund_refusal::PAUSE_MAX + SKEW_NOTICED;
    let due = lost_work::list_refunds_due(&mut db, now, latest, SWEEP_MAX).await?;
    let (ask, look): (Vec<_>, Vec<_>) = due
        .into_iter()
        .partition(|due| due.status == RefundStatus::Requested);
    let ask = ask.into_iter().map(|due| Job::Refund {
        refund_id: due.id,
        booking_id: Some(due.booking_id),
    });
    // A payment may have several.
    let look = look.into_iter().map(|due| (due.payment_id, due.booking_id));
    let look: BTreeSet<_> = look.collect();
    let look = look
        .into_iter()
        .map(|(payment_id, booking_id)| Job::LookAtRefunds {
            payment_id,
            booking_id: Some(booking_id),
        });
    enqueue(&mut db, ask.chain(look), now).await
}

async fn go_on_with_runs(app: &App, now: DateTime<Utc>) -> Result<()> {
    let mut db = app.acquire().await?;
    let lost = lost_work::list_runs(&mut db, now - RUN_LOST_AFTER, SWEEP_MAX).await?;
    let job = |run_id| Job::CancelShow { run_id };
    enqueue(&mut db, lost.into_iter().map(job), now).await
}

async fn enqueue(
    db: &mut Connection,
    lost: impl Iterator<Item = Job>,
    now: DateTime<Utc>,
) -> Result<()> {
    let lost: Vec<_> = lost.map(|job| job.at(now)).collect();
    jobs::enqueue(db, &lost).await
}

async fn bring_failed_forward(app: &App, now: DateTime<Utc>) -> Result<()> {
    jobs::bring_forward(&mut app.acquire().await?, now + RETRY_PAUSE_MAX).await
}

async fn forget(app: &App, now: DateTime<Utc>) -> Result<()> {
    let mut db = app.acquire().await?;
    let jobs = jobs::forget_replaced(&mut db).await;
    idempotency_keys::forget(&mut db, now).await.and(jobs)
}
