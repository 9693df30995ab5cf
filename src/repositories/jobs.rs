//! The job queue, as seen from a transaction: a job is there if and only if the transaction
//! commits.
//!
//! The queue's own tables are known to `migrations/0012_jobs.sql` alone.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::types::Json;

use super::Columns;
use crate::connection::Connection;
use crate::domain::ids::BookingId;
use crate::domain::job::{
    Job, RETRY_PAUSE_MAX, RecurringJob, ScheduledJob, TRIES_MAX, TroubledJob,
};
use crate::error::Result;

/// The one task of the queue; the payload says what it is.
pub const TASK: &str = "holdfast";

/// Enqueues jobs. One with the same key that has not begun yet is replaced. Nobody is notified:
/// workers look for jobs every second.
pub async fn enqueue(db: &mut Connection, jobs: &[ScheduledJob]) -> Result<()> {
    sqlx::query!(
        "select enqueue_jobs($1, $2::json[], $3, $4)",
        &jobs.column(|scheduled| scheduled.job.key()),
        &jobs.column(|scheduled| Json(scheduled.job.payload())) as _,
        &jobs.column(|scheduled| scheduled.run_at),
        TRIES_MAX,
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// Forgets jobs that were asked for again while they ran, and then failed or lost their worker: the
/// queue has put others in their place, and they would lie there for ever.
pub async fn forget_replaced(db: &mut Connection) -> Result<()> {
    sqlx::query!("select forget_replaced_jobs()")
        .fetch_one(db)
        .await?;
    Ok(())
}

/// Brings jobs forward that have failed and would be tried again only after `latest`.
pub async fn bring_forward(db: &mut Connection, latest: DateTime<Utc>) -> Result<()> {
    sqlx::query!("select bring_jobs_forward($1)", latest)
        .fetch_one(db)
        .await?;
    Ok(())
}

/// One queued job of each kind of which any is to run only after `time`. A kind that this release
/// does not know is left out.
pub async fn list_one_per_kind(db: &mut Connection, time: DateTime<Utc>) -> Result<Vec<Job>> {
    let payloads = sqlx::query_scalar!(
        r#"select distinct on (kind) payload as "payload!: Json<Value>"
           from jobs
           where state = 'queued' and run_at > $1
           order by kind"#,
        time,
    );
    let payloads = payloads.fetch_all(db).await?.into_iter();
    Ok(payloads
        .filter_map(|Json(payload)| serde_json::from_value(payload).ok())
        .collect())
}

/// Until when jobs may have been put off.
#[derive(Debug, Clone)]
pub struct LatestTimes {
    /// By one job of each kind. A kind that is not here is left alone.
    pub by_kind: Vec<ScheduledJob>,
    /// The end of a hold whose bank has not decided: another look.
    pub look: DateTime<Utc>,
    /// The end of a hold that is cancelled: another try.
    pub retry: DateTime<Utc>,
}

/// Brings jobs forward that have been put off for longer, by a clock that was ahead.
pub async fn bring_misdated_forward(db: &mut Connection, latest: &LatestTimes) -> Result<()> {
    let by_kind = &latest.by_kind;
    sqlx::query!(
        "select bring_misdated_jobs_forward($1::json[], $2, $3, $4)",
        &by_kind.column(|scheduled| Json(scheduled.job.payload())) as _,
        &by_kind.column(|scheduled| scheduled.run_at),
        latest.look,
        latest.retry,
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// Has these jobs wait, each for its pause from now on at most, by the clock that the queue goes
/// by. One that waits already keeps its time and its tries, and one that runs is left alone.
pub async fn keep_waiting(db: &mut Connection, jobs: &[RecurringJob]) -> Result<()> {
    sqlx::query!(
        "select keep_jobs_waiting($1, $2::json[], $3, $4)",
        &jobs.column(|recurring| recurring.job.key()),
        &jobs.column(|recurring| Json(recurring.job.payload())) as _,
        &jobs.column(|recurring| recurring.pause.num_seconds()),
        TRIES_MAX,
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// Whether this job runs, has failed and is tried again, or is due by `now`: then there is no need
/// to enqueue it.
pub async fn is_under_way(db: &mut Connection, job: &Job, now: DateTime<Utc>) -> Result<bool> {
    let is_under_way = sqlx::query_scalar!(
        r#"select exists (
             select from jobs
             where key = $1
               and (state in ('running', 'retrying') or state = 'queued' and run_at <= $2)
           ) as "is_under_way!""#,
        job.key(),
        now,
    );
    Ok(is_under_way.fetch_one(db).await?)
}

/// How many jobs wait for a worker, counted up to `limit`: those that are due by `now`, and those
/// that have failed and come again. Those that go on with the cancellation of shows do not count.
pub async fn count_waiting(db: &mut Connection, now: DateTime<Utc>, limit: i64) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!"
           from (
             select from jobs
             where run_at <= $2 and (state = 'retrying' or state = 'queued' and run_at <= $1)
               and kind <> 'cancelShow'
             limit $3
           ) as waiting"#,
        now,
        now + RETRY_PAUSE_MAX,
        limit,
    );
    Ok(count.fetch_one(db).await?)
}

/// A try of a job that has failed.
#[derive(Debug, Clone, Copy)]
pub struct FailedTry {
    /// The job.
    pub job_id: i64,
    /// How many tries it has had.
    pub tries: i16,
}

/// Puts the next try of a job off, by the clock that the queue goes by. One that was asked for
/// again since has had no tries, and keeps its time.
pub async fn put_off(db: &mut Connection, failed: FailedTry, pause: TimeDelta) -> Result<()> {
    sqlx::query!(
        "select put_off_job($1, $2, $3::bigint * interval '1 millisecond')",
        failed.job_id,
        failed.tries,
        pause.num_milliseconds(),
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// The jobs of a booking, and of events about it, that have failed and are not done, newest first,
/// at most `limit`.
pub async fn list_troubled(
    db: &mut Connection,
    id: BookingId,
    limit: i64,
) -> Result<Vec<TroubledJob>> {
    let troubled = sqlx::query_as!(
        TroubledJob,
        r#"select kind as "kind!", attempts as "tries!", state = 'buried' as "is_buried!",
                  last_error, created_at as "created_at!"
           from jobs
           where attempts > 0 and last_error is not null
             and (booking_id = $1 or payload ->> 'eventId' in (
               select payment_events.id from payment_events where payment_events.booking_id = $1
             ))
           order by id desc
           limit $2"#,
        id as _,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(troubled)
}
