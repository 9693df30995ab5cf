//! The workers of this process: they take jobs from the queue, as those of other processes do.

use std::fmt;
use std::time::Duration;

use chrono::TimeDelta;
use graphile_worker::worker_utils::types::RescheduleJobOptions;
use graphile_worker::{
    IntoTaskHandlerResult, JobFail, JobPermanentlyFail, TaskHandler, WorkerContext, WorkerOptions, WorkerUtils,
};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::perform;
use crate::app::AppState;
use crate::domain::job::Job;
use crate::error::{Error, Result};
use crate::repositories::database::QUEUE_SCHEMA;
use crate::repositories::jobs::TASK;

/// Jobs at once in one process. They wait for Stripe, and each needs a connection now and then.
const CONCURRENCY: usize = 4;
/// A worker says this often that it lives …
const HEARTBEAT: Duration = Duration::from_secs(10);
/// … and one that has not for so long is dead: its jobs run again elsewhere, within a minute.
const DEAD_AFTER: Duration = Duration::from_secs(35);
/// How often the dead are looked for.
const SWEEP: Duration = Duration::from_secs(10);
/// Jobs that become due without a notice, such as the ends of holds, are looked for this often.
const POLL: Duration = Duration::from_secs(1);
/// How long jobs under way may take to end after a stop.
const DRAIN_MAX: Duration = Duration::from_secs(20);
/// The pause before the second try; it doubles up to the longest, with jitter.
const RETRY_PAUSE_MIN_MILLISECONDS: i64 = 2_000;
const RETRY_PAUSE_MAX_MILLISECONDS: i64 = 60_000;
/// Every minute: attempts that dead processes have left.
const SCHEDULE: &str = r#"* * * * * holdfast ?id=find-unfinished {"kind":"findUnfinished"}"#;

/// The running workers of a process.
pub struct Workers {
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

/// What the handlers need of the process.
#[derive(Clone)]
struct Process(AppState);

impl fmt::Debug for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Process")
    }
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Task(Job);

impl TaskHandler for Task {
    const IDENTIFIER: &'static str = TASK;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let process = context.get_ext::<Process>().ok_or("the worker was started without its process")?;
        perform(&process.0, &self.0).await.map_err(|error| error.to_string())
    }
}

impl Workers {
    /// Begins to take jobs, on `db`. The schema must be up to date.
    pub async fn start(app: &AppState, db: &PgPool) -> Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let utils = WorkerUtils::new(db.clone(), QUEUE_SCHEMA);
        let options = WorkerOptions::default()
            .pg_pool(db.clone())
            .schema(QUEUE_SCHEMA)
            .concurrency(CONCURRENCY)
            .poll_interval(POLL)
            .heartbeat_interval(HEARTBEAT)
            .sweep_interval(SWEEP)
            .sweep_threshold(DEAD_AFTER)
            .listen_os_shutdown_signals(false)
            .shutdown_signal(async move { drop(stopped.await) })
            .shutdown_grace_period(DRAIN_MAX)
            .add_extension(Process(AppState::clone(app)))
            .define_job::<Task>()
            .on(JobFail, move |failed| {
                let utils = utils.clone();
                async move { put_off(&utils, *failed.job.attempts(), *failed.job.id(), &failed.error).await }
            })
            .on(JobPermanentlyFail, async |failed| {
                tracing::error!(job.id = failed.job.id(), "a job is buried: {}", failed.error);
            });
        let options = options.with_cron(SCHEDULE).map_err(|error| Error::fault(format!("the schedule: {error}")))?;
        let worker = options.init().await.map_err(|error| Error::fault(format!("the job queue: {error}")))?;
        let running = tokio::spawn(async move {
            if let Err(error) = worker.run().await {
                tracing::error!("the workers have stopped: {error}");
            }
        });
        Ok(Self { stop, running })
    }

    /// Takes no more jobs, and waits for those under way.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.running.await {
            tracing::error!("the workers broke off: {error}");
        }
    }
}

/// The queue's own pauses grow to hours; while seats or money wait, a minute is the longest.
async fn put_off(utils: &WorkerUtils, attempts: i16, id: i64, error: &str) {
    let pause = pause(attempts);
    tracing::warn!(job.id = id, job.attempts = attempts, "a job is tried again in {pause}: {error}");
    // Jobs run by the database's clock, and so do their pauses.
    let run_at = crate::app::Clock::system().now() + pause;
    let options = RescheduleJobOptions { run_at: Some(run_at), ..RescheduleJobOptions::default() };
    if let Err(error) = utils.reschedule_jobs(&[id], options).await {
        tracing::warn!(job.id = id, "a job keeps the queue's own pause: {error}");
    }
}

fn pause(attempts: i16) -> TimeDelta {
    let doublings = u32::try_from(attempts.clamp(1, 6)).unwrap_or(1).saturating_sub(1);
    let pause = RETRY_PAUSE_MIN_MILLISECONDS.saturating_mul(2_i64.saturating_pow(doublings));
    let longest = pause.min(RETRY_PAUSE_MAX_MILLISECONDS);
    let shortest = longest.checked_div(2).unwrap_or(longest);
    TimeDelta::milliseconds(rand::rng().random_range(shortest..=longest))
}
