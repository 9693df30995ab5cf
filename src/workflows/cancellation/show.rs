//! Cancelling a whole show: sales stop at once, and a run ends its bookings, one after the other,
//! and gives all their money back, whatever their policies say.
//!
//! The run itself asks nothing of Stripe. It leaves that to the jobs that close payment pages and
//! make refunds, a few bookings at a time, and looks what has come of it. Whatever breaks it off
//! between two lines, the next job finds each booking as it stands.

use chrono::{DateTime, TimeDelta, Utc};

use super::ending::{ask_back, end};
use super::progress::{find_run, late_failures};
use crate::app::App;
use crate::connection::Connection;
use crate::domain::booking::BookingStatus;
use crate::domain::booking_event::{BookingEvent, NewBookingEvent};
use crate::domain::cancelled_by::CancelledBy;
use crate::domain::ids::{BookingId, RunId, ShowId};
use crate::domain::job::Job;
use crate::domain::refusal::Refusal;
use crate::domain::resolution::Resolution;
use crate::domain::run::{self, Run, RunOutcome, RunPayment, RunStep};
use crate::domain::run_pace;
use crate::error::{Error, Result, explain};
use crate::repositories::cancellations::{self, Cancellation};
use crate::repositories::runs::{self, BookingOfRun, OpenBooking, UnfinishedRun};
use crate::repositories::{attempts, booking_events, bookings, disputes, jobs, refunds, shows};
use crate::settlement::{self, ReviewDecision};

/// Bookings that are looked at in one go, and that are taken on in one go.
const BOOKINGS_OF_A_JOB: i64 = 20;
/// While so many jobs wait for a worker, as when Stripe is slow or away, no run adds any: what
/// buyers wait for would stand behind them.
const WAITING_JOBS_MAX: i64 = 20;
/// A transaction that has seen the show on sale may commit its booking a little after the show is
/// cancelled: longer than any lasts, such bookings are looked for.
const LATE_BOOKINGS_MAX: TimeDelta = TimeDelta::minutes(1);
/// What is said of a booking that could not be ended by a fault of ours.
const FAULT: &str = "It could not be cancelled by a fault of ours; the log says which.";

/// Cancels a show, and begins the run that ends its bookings. One that is cancelled already keeps
/// its run and its reason; what has failed in it is tried again. The caller commits.
pub async fn begin_run(
    db: &mut Connection,
    show_id: ShowId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<Run> {
    if !shows::cancel(db, show_id).await? {
        return Err(Refusal::NotFound("show").into());
    }
    let run_id = match runs::lock_of_show(db, show_id).await? {
        Some(run_id) => {
            let late = late_failures(db, run_id).await?;
            let done: Vec<_> = late.iter().map(|failure| failure.booking_id).collect();
            runs::try_failed_again(db, run_id, &done, now).await?;
            run_id
        }
        None => runs::insert(db, show_id, reason, now).await?,
    };
    runs::add_live_bookings(db, run_id, now).await?;
    jobs::enqueue(db, &[Job::CancelShow { run_id }.at(now)]).await?;
    let begun = find_run(db, run_id).await?;
    begun.ok_or_else(|| Error::fault(format!("the run {run_id} has gone")))
}

/// Goes on with a run: looks at some of its bookings, each in a transaction of its own, and leaves
/// the others to the next job. One that is over is left alone. A booking that cannot be ended holds
/// up no other. Commits.
pub async fn go_on_with_run(app: &App, id: RunId) -> Result<()> {
    let now = app.now();
    let mut tx = app.begin().await?;
    let Some(run) = runs::find_unfinished(&mut tx, id).await? else {
        return Ok(());
    };
    runs::add_live_bookings(&mut tx, id, now).await?;
    let mut due = runs::list_under_way(&mut tx, id, now, BOOKINGS_OF_A_JOB).await?;
    due.extend(take_on(&mut tx, id, now).await?);
    app.commit(tx).await?;
    for booking_id in due {
        go_on_with_booking(app, &run, booking_id).await?;
    }
    finish_or_wait(app, &run).await
}

/// Bookings of a run to begin with now: as many as the pace of all runs allows, and fewer the more
/// jobs wait. Whoever takes some on, and dies, has taken them from others for a moment only.
async fn take_on(db: &mut Connection, id: RunId, now: DateTime<Utc>) -> Result<Vec<BookingId>> {
    let mut waiting = runs::list_waiting(db, id, BOOKINGS_OF_A_JOB).await?;
    if waiting.is_empty() {
        return Ok(waiting);
    }
    let pace = runs::lock_pace(db).await?;
    let waiting_jobs = jobs::count_waiting(db, now, WAITING_JOBS_MAX).await?;
    let room = WAITING_JOBS_MAX.saturating_sub(waiting_jobs);
    let wanted = waiting.len().min(usize::try_from(room).unwrap_or_default());
    let taken = run_pace::take(pace, wanted, now);
    runs::keep_pace(db, taken.lasts_until).await?;
    waiting.truncate(taken.bookings);
    Ok(waiting)
}

/// A run is over when none of its bookings is open, and none can come any more.
async fn finish_or_wait(app: &App, run: &UnfinishedRun) -> Result<()> {
    let now = app.now();
    let mut tx = app.begin().await?;
    if !runs::lock_unfinished(&mut tx, run.id).await? {
        return Ok(());
    }
    let complete_at = run.created_at + LATE_BOOKINGS_MAX;
    let next = match runs::next_look(&mut tx, run.id).await? {
        None if now >= complete_at => None,
        None => Some(complete_at),
        Some(next) => Some(next),
    };
    match next {
        None => runs::finish(&mut tx, run.id, now).await?,
        Some(next) => {
            let job = Job::CancelShow { run_id: run.id };
            let next = run::next_go_at(next, now);
            jobs::enqueue(&mut tx, &[job.at(next)]).await?;
        }
    }
    app.commit(tx).await
}

/// Takes a booking a step on, or notes why that cannot be: also where the database refuses it only
/// at the commit. What may go better another time is an error, so that the queue tries again.
async fn go_on_with_booking(app: &App, run: &UnfinishedRun, booking_id: BookingId) -> Result<()> {
    let of = BookingOfRun {
        run_id: run.id,
        booking_id,
    };
    let Err(error) = take_and_note_step(app, run, of).await else {
        return Ok(());
    };
    let failed = RunStep {
        begun_at: None,
        outcome: RunOutcome::Failed(sentence_of(booking_id, error)?),
    };
    let mut tx = app.begin_payment().await?;
    runs::note(&mut tx, of, &failed, app.now()).await?;
    app.commit(tx).await
}

async fn take_and_note_step(app: &App, run: &UnfinishedRun, of: BookingOfRun) -> Result<()> {
    let now = app.now();
    let mut tx = app.begin_payment().await?;
    let Some(step) = take_step(&mut tx, run, of.booking_id, now).await? else {
        return Ok(());
    };
    runs::note(&mut tx, of, &step, now).await?;
    app.commit(tx).await
}

/// Why a booking cannot be ended, for people; the error itself, where it may go better another
/// time.
fn sentence_of(id: BookingId, error: Error) -> Result<String> {
    match error {
        Error::Refusal(refusal) => Ok(refusal.to_string()),
        error @ (Error::Fault(_) | Error::Database(_))
            if !error.is_database_unavailable() && !error.is_connection_broken() =>
        {
            tracing::error!(
                booking.id = %id,
                "the booking of a cancelled show does not end: {}",
                explain(&error)
            );
            Ok(FAULT.to_owned())
        }
        error @ (Error::Fault(_)
        | Error::Database(_)
        | Error::Unavailable(_)
        | Error::OutcomeUnknown(_)
        | Error::ProviderUnavailable(_)
        | Error::StillPayable
        | Error::ProviderRefused { .. }
        | Error::IdentityUnavailable(_)) => Err(error),
    }
}

/// Does what can be done about a booking now; `None` if somebody else has brought it to its end.
async fn take_step(
    db: &mut Connection,
    run: &UnfinishedRun,
    booking_id: BookingId,
    now: DateTime<Utc>,
) -> Result<Option<RunStep>> {
    let booking = bookings::lock(db, booking_id).await?;
    let booking = booking.ok_or_else(|| Error::fault("a booking of a run has gone"))?;
    let of = BookingOfRun {
        run_id: run.id,
        booking_id,
    };
    let Some(OpenBooking { begun_at }) = runs::lock_open(db, of).await? else {
        return Ok(None);
    };
    let is_new = begun_at.is_none();
    let cancellation = Cancellation {
        booking_id,
        by: CancelledBy::Admin,
        version: None,
        reason: Some(&run.reason),
    };
    let outcome = if booking.status.is_live() {
        if is_new {
            note_show_cancelled(db, run, booking_id, now).await?;
        }
        end_live(db, cancellation, booking.status, now).await?;
        RunOutcome::Ending
    } else {
        give_back(db, cancellation, is_new, now).await?
    };
    Ok(Some(RunStep { begun_at, outcome }))
}

/// Ends a booking that has what it reserves, or sees to it that it can be ended.
///
/// One that waits for its buyer, or has a payment page that is open, is closed at Stripe first.
/// What a bank has still to decide is cancelled at once: if its money comes, it is surplus, and
/// goes back by itself.
async fn end_live(
    db: &mut Connection,
    cancellation: Cancellation<'_>,
    status: BookingStatus,
    now: DateTime<Utc>,
) -> Result<()> {
    let booking_id = cancellation.booking_id;
    if status == BookingStatus::Pending {
        cancellations::request_cancellation(db, cancellation, now).await?;
        return close_pages(db, booking_id, now).await;
    }
    if attempts::is_payable(db, booking_id).await? {
        return close_pages(db, booking_id, now).await;
    }
    if status == BookingStatus::Review {
        let decision = ReviewDecision {
            booking_id,
            resolution: Resolution::Cancel,
            reason: cancellation.reason.unwrap_or_default(),
        };
        return settlement::resolve_review(db, decision, now).await;
    }
    let owed = run::owed(&lock_payments(db, booking_id).await?, true);
    end(db, cancellation, &owed, now).await
}

/// Asks back what is owed of a booking that has ended, and says how it stands. What has failed
/// before is asked for again only if somebody `insists`.
async fn give_back(
    db: &mut Connection,
    cancellation: Cancellation<'_>,
    insists: bool,
    now: DateTime<Utc>,
) -> Result<RunOutcome> {
    let payments = lock_payments(db, cancellation.booking_id).await?;
    let owed = run::owed(&payments, insists);
    if owed.is_empty() {
        return Ok(run::judge(&payments));
    }
    ask_back(db, cancellation, &owed, now).await?;
    Ok(RunOutcome::Refunding)
}

async fn note_show_cancelled(
    db: &mut Connection,
    run: &UnfinishedRun,
    booking_id: BookingId,
    now: DateTime<Utc>,
) -> Result<()> {
    let reason = run.reason.clone();
    let event = BookingEvent::ShowCancelled { reason };
    let cancelled = NewBookingEvent { booking_id, event };
    booking_events::append_once(db, &cancelled, now).await
}

/// Has what can still be paid of a booking closed at Stripe, in the background. A job that is at it
/// keeps its pauses.
async fn close_pages(db: &mut Connection, booking_id: BookingId, now: DateTime<Utc>) -> Result<()> {
    let close = Job::EndHold { booking_id };
    if jobs::is_under_way(db, &close, now).await? {
        return Ok(());
    }
    jobs::enqueue(db, &[close.at(now)]).await
}

/// The payments of a booking, newest first, under their locks.
async fn lock_payments(db: &mut Connection, booking_id: BookingId) -> Result<Vec<RunPayment>> {
    let mut payments = Vec::new();
    for payment in refunds::lock_payments_of(db, booking_id).await? {
        let disputes = disputes::list_of_payment(db, payment.id).await?;
        payments.push(RunPayment { payment, disputes });
    }
    Ok(payments)
}
