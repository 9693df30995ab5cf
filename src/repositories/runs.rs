//! Runs: the bookings of cancelled shows, and what has become of each.

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::ids::{BookingId, RunId, ShowId};
use crate::domain::run::{
    FAILURES_MAX, Run, RunFailure, RunOutcome, RunState, RunStep, latest_look_at,
};
use crate::error::Result;

/// Begins the run of a show that is cancelled; nothing is in it yet.
pub async fn insert(
    db: &mut Connection,
    show_id: ShowId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<RunId> {
    let id = RunId::new();
    sqlx::query!(
        "insert into runs (id, show_id, reason, created_at, begun_at) values ($1, $2, $3, $4, $4)",
        id as _,
        show_id as _,
        reason,
        now,
    )
    .execute(db)
    .await?;
    Ok(id)
}

/// Locks the run of a show, if there is one.
pub async fn lock_of_show(db: &mut Connection, show_id: ShowId) -> Result<Option<RunId>> {
    let id = sqlx::query_scalar!(
        r#"select id as "id: RunId" from runs where show_id = $1 for no key update"#,
        show_id as _,
    )
    .fetch_optional(db)
    .await?;
    Ok(id)
}

/// Puts the live bookings of its show into a run that is not over; those that are in it stay as
/// they are. There are never more than the show has seats: each live booking has at least one.
pub async fn add_live_bookings(db: &mut Connection, id: RunId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "with run as (
           select id, show_id from runs where id = $1 and finished_at is null for share
         )
         insert into run_bookings (run_id, booking_id, look_at)
         select distinct run.id, claim.booking_id, $2::timestamptz
         from run
         join seat_claims as claim on claim.show_id = run.show_id
         where not exists (
           select from run_bookings
           where run_id = run.id and run_bookings.booking_id = claim.booking_id
         )
         on conflict do nothing",
        id as _,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Has what has failed in a run tried again, and with it bookings that were done, of which money
/// has come back or came beside. The caller holds its lock.
pub async fn try_failed_again(
    db: &mut Connection,
    id: RunId,
    done: &[BookingId],
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "with again as (
           update run_bookings
           set state = 'waiting', error = null, begun_at = null, look_at = $2
           where run_id = $1 and (state = 'failed' or state = 'done' and booking_id = any($3))
           returning booking_id
         )
         update runs
         set begun_at = $2, finished_at = null
         where id = $1 and exists (select from again)",
        id as _,
        now,
        done as _,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The run as it was left, if there is one. Two round trips.
pub async fn find(db: &mut Connection, id: RunId) -> Result<Option<Run>> {
    let row = sqlx::query!(
        r#"select finished_at,
                  (select count(*) from run_bookings where run_id = runs.id) as "total!",
                  (select count(*) from run_bookings where run_id = runs.id and state = 'done')
                    as "done!",
                  (select count(*) from run_bookings where run_id = runs.id and state = 'failed')
                    as "failed!"
           from runs
           where id = $1"#,
        id as _,
    )
    .fetch_optional(&mut *db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let failures = sqlx::query_as!(
        RunFailure,
        r#"select booking_id as "booking_id: _", error as "error!"
           from run_bookings
           where run_id = $1 and state = 'failed'
           order by booking_id
           limit $2"#,
        id as _,
        i64::from(FAILURES_MAX),
    )
    .fetch_all(db)
    .await?;
    let is_running = row.finished_at.is_none();
    Ok(Some(Run {
        id,
        state: if is_running {
            RunState::Running
        } else {
            RunState::Done
        },
        total: row.total,
        done: row.done,
        failed: row.failed,
        failures,
    }))
}

/// The bookings of a run that are done, and of whose money something is here that nobody has asked
/// back: a bank has sent it back, or it came later. Never more than the show has seats.
pub async fn list_done_with_money(db: &mut Connection, id: RunId) -> Result<Vec<BookingId>> {
    let found = sqlx::query_scalar!(
        r#"select booking_id as "booking_id: BookingId"
           from run_bookings
           where run_id = $1 and state = 'done'
             and exists (
               select from payments
               where payments.booking_id = run_bookings.booking_id
                 and amount_minor > (
                   select coalesce(sum(refunds.amount_minor), 0)
                   from refunds
                   where payment_id = payments.id and status not in ('failed', 'canceled')
                 )
             )
           order by booking_id"#,
        id as _,
    )
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// A run that is not over.
#[derive(Debug, Clone)]
pub struct UnfinishedRun {
    /// The run.
    pub id: RunId,
    /// Why the show was cancelled.
    pub reason: String,
    /// When it was.
    pub created_at: DateTime<Utc>,
}

/// The run, if there is one and it is not over.
pub async fn find_unfinished(db: &mut Connection, id: RunId) -> Result<Option<UnfinishedRun>> {
    let run = sqlx::query_as!(
        UnfinishedRun,
        // A clock that was ahead may have made it; the time since which it is tried is set right.
        r#"select id as "id: _", reason, least(created_at, begun_at) as "created_at!"
           from runs
           where id = $1 and finished_at is null"#,
        id as _,
    )
    .fetch_optional(db)
    .await?;
    Ok(run)
}

/// The bookings of a run that are under way and to be looked at, at most `limit`: those that are
/// due by `now`, that have changed since they were looked at, or that were put off further than any
/// may be, by a clock that was ahead.
pub async fn list_under_way(
    db: &mut Connection,
    id: RunId,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<BookingId>> {
    let due = sqlx::query_scalar!(
        r#"select booking_id as "booking_id: BookingId"
           from run_bookings
           join bookings on bookings.id = booking_id
           where run_id = $1 and state = 'under_way'
             and (look_at <= $2 or look_at > $3 or seen_version is distinct from version)
           order by look_at, booking_id
           limit $4"#,
        id as _,
        now,
        latest_look_at(now),
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(due)
}

/// Bookings of a run of which nothing was done yet, or that are to be tried again, at most `limit`.
pub async fn list_waiting(db: &mut Connection, id: RunId, limit: i64) -> Result<Vec<BookingId>> {
    let waiting = sqlx::query_scalar!(
        r#"select booking_id as "booking_id: BookingId"
           from run_bookings
           where run_id = $1 and state = 'waiting'
           order by look_at, booking_id
           limit $2"#,
        id as _,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(waiting)
}

/// Until when lasts what all runs have taken on: locked until the transaction ends, so that of two
/// runs the second sees what the first has taken.
pub async fn lock_pace(db: &mut Connection) -> Result<DateTime<Utc>> {
    let pace = sqlx::query_scalar!("select lasts_until from run_pace for update");
    Ok(pace.fetch_one(db).await?)
}

/// Keeps until when lasts what all runs have taken on. The caller holds the lock.
pub async fn keep_pace(db: &mut Connection, lasts_until: DateTime<Utc>) -> Result<()> {
    sqlx::query!("update run_pace set lasts_until = $1", lasts_until)
        .execute(db)
        .await?;
    Ok(())
}

/// A booking of a run.
#[derive(Debug, Clone, Copy)]
pub struct BookingOfRun {
    /// The run.
    pub run_id: RunId,
    /// The booking.
    pub booking_id: BookingId,
}

/// An open booking of a run under its lock.
#[derive(Debug, Clone, Copy)]
pub struct OpenBooking {
    /// When something was first done about it; `None` if nothing was yet, or it is to be tried
    /// again.
    pub begun_at: Option<DateTime<Utc>>,
}

/// Locks what a run knows of a booking; `None` if it is not open any more. The caller holds the
/// lock of the booking.
pub async fn lock_open(db: &mut Connection, of: BookingOfRun) -> Result<Option<OpenBooking>> {
    let open = sqlx::query_as!(
        OpenBooking,
        "select begun_at
         from run_bookings
         where run_id = $1 and booking_id = $2 and state in ('waiting', 'under_way')
         for update",
        of.run_id as _,
        of.booking_id as _,
    )
    .fetch_optional(db)
    .await?;
    Ok(open)
}

/// Notes how an open booking of a run stands; if it stays open, it is looked at again later and
/// later, or as soon as it is not at this version any more.
pub async fn note(
    db: &mut Connection,
    of: BookingOfRun,
    step: &RunStep,
    now: DateTime<Utc>,
) -> Result<()> {
    let (state, error) = match &step.outcome {
        RunOutcome::Ending | RunOutcome::Refunding => ("under_way", None),
        RunOutcome::Done => ("done", None),
        RunOutcome::Failed(error) => ("failed", Some(error.as_str())),
    };
    sqlx::query!(
        "update run_bookings
         set state = $3, error = $4, begun_at = $5, look_at = $6,
             seen_version = (select version from bookings where id = $2)
         where run_id = $1 and booking_id = $2 and state in ('waiting', 'under_way')",
        of.run_id as _,
        of.booking_id as _,
        state,
        error,
        step.begun_at(now),
        step.next_look_at(now),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Locks a run that is not over; false if it is, or there is none.
pub async fn lock_unfinished(db: &mut Connection, id: RunId) -> Result<bool> {
    let unfinished = sqlx::query_scalar!(
        "select 1 from runs where id = $1 and finished_at is null for no key update",
        id as _,
    )
    .fetch_optional(db)
    .await?;
    Ok(unfinished.is_some())
}

/// When an open booking of a run is to be looked at next; `None` if none is open.
pub async fn next_look(db: &mut Connection, id: RunId) -> Result<Option<DateTime<Utc>>> {
    let next = sqlx::query_scalar!(
        "select min(look_at)
         from run_bookings
         where run_id = $1 and state in ('waiting', 'under_way')",
        id as _,
    );
    Ok(next.fetch_one(db).await?)
}

/// Ends a run. The caller holds its lock, and has seen that none of its bookings is open.
pub async fn finish(db: &mut Connection, id: RunId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "update runs set finished_at = $2 where id = $1",
        id as _,
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Sets right when runs that are not over were begun, where that is later than `latest`: a clock
/// was ahead, and they would count as begun only when that time has come.
pub async fn set_begun_right(
    db: &mut Connection,
    latest: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "update runs set begun_at = $2 where finished_at is null and begun_at > $1",
        latest,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}
