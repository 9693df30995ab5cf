//! The job queue, as seen from a transaction: a job is there if and only if the transaction
//! commits.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use crate::domain::job::Job;
use crate::error::{Error, Result};

/// The one task of the queue; the payload says what it is.
pub const TASK: &str = "holdfast";
/// Tries are at most a minute apart, so this is about two days of them. Then the job is buried: it
/// stays, with its last error, until somebody looks. Only where seats or sessions wait, the sweep
/// puts another in its place.
const ATTEMPTS_MAX: i32 = 4_000;

/// Enqueues a job for `run_at`. One with the same key that has not begun yet is replaced.
pub async fn enqueue(db: &mut PgConnection, job: &Job, run_at: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "select id from graphile_worker.add_job($1, $2::json, run_at => $3, max_attempts => $4, job_key => $5)",
        TASK,
        payload(job)?,
        run_at,
        ATTEMPTS_MAX,
        job.key(),
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// A job as the queue keeps it.
pub fn payload(job: &Job) -> Result<Value> {
    serde_json::to_value(job)
        .map_err(|error| Error::fault(format!("a job cannot be written: {error}")))
}

/// Forgets jobs that were asked for again while they ran, and then failed or lost their worker: the
/// queue has taken their keys and their tries away, and put others in their place. They would lie
/// there for ever.
pub async fn forget_replaced(db: &mut PgConnection) -> Result<()> {
    sqlx::query!(
        "delete from graphile_worker._private_jobs
         where key is null and attempts >= max_attempts and locked_at is null",
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Puts the next try of a job off that has failed after so many tries, by the clock that the queue
/// goes by. One that was asked for again since has had no tries, and keeps its time.
pub async fn put_off(
    db: &mut PgConnection,
    (id, attempts): (i64, i16),
    pause: TimeDelta,
) -> Result<()> {
    sqlx::query!(
        "with failed as (
           select id from graphile_worker._private_jobs where id = $1 and attempts = $2 for update
         )
         select rescheduled.id
         from failed,
              graphile_worker.reschedule_jobs(
                array[failed.id], run_at => now() + $3::bigint * interval '1 millisecond') as rescheduled",
        id,
        attempts,
        pause.num_milliseconds(),
    )
    .fetch_all(db)
    .await?;
    Ok(())
}
