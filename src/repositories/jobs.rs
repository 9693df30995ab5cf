//! The job queue, as seen from a transaction: a job is there if and only if the transaction
//! commits.
//!
//! The queue's own tables are known to `migrations/0012_jobs.sql` alone.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::types::Json;

use super::Columns;
use crate::connection::Connection;
use crate::domain::ids::BookingId;
use crate::domain::job::{ScheduledJob, TRIES_MAX, TroubledJob};
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

/// Until when the jobs of each kind may have been put off.
#[derive(Debug, Clone, Copy)]
pub struct LatestTimes {
    /// The end of a hold.
    pub end: DateTime<Utc>,
    /// Another look at an attempt whose bank has not decided.
    pub look: DateTime<Utc>,
    /// A deferred event.
    pub event: DateTime<Utc>,
    /// Any other.
    pub other: DateTime<Utc>,
}

/// Brings jobs forward that have been put off for longer, by a clock that was ahead.
pub async fn bring_misdated_forward(db: &mut Connection, latest: LatestTimes) -> Result<()> {
    sqlx::query!(
        "select bring_misdated_jobs_forward($1, $2, $3, $4)",
        latest.end,
        latest.look,
        latest.event,
        latest.other,
    )
    .fetch_one(db)
    .await?;
    Ok(())
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

/// The jobs of a booking that have failed and are not done, newest first, at most `limit`.
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
           where booking_id = $1 and attempts > 0 and last_error is not null
           order by id desc
           limit $2"#,
        id as _,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(troubled)
}
