//! The workers of this process: they take jobs from the queue, as those of other processes do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use graphile_worker::{
    IntoTaskHandlerResult, JobFail, JobPermanentlyFail, LocalQueueConfig, RefetchDelayConfig,
    TaskHandler, WorkerContext, WorkerOptions,
};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::perform::perform;
use crate::app::{App, AppState};
use crate::domain::job::{Job, RETRY_PAUSE_MAX};
use crate::error::{Error, Result, explain};
use crate::repositories::database::{self, QUEUE_SCHEMA};
use crate::repositories::jobs::{self, FailedTry, TASK};

/// Jobs at once in one process. They wait for Stripe, and each needs a connection now and then.
const CONCURRENCY: usize = 4;
/// A worker says this often that it lives …
const HEARTBEAT: Duration = Duration::from_secs(10);
/// … and one that has not for so long is dead: its jobs run again elsewhere, within a minute.
const DEAD_AFTER: Duration = Duration::from_secs(35);
/// How often the dead are looked for.
const DEAD_LOOKED_FOR: Duration = Duration::from_secs(10);
/// Jobs that have become due are looked for this often.
const POLL: Duration = Duration::from_secs(1);
/// Jobs that a process takes in one go, so that many that are due at once do not wait for a look
/// each: without, four a second are done. Those that it has not begun are another's after …
const FETCHED_MAX: usize = 20;
/// … so long.
const FETCHED_FOR: Duration = Duration::from_secs(30);
/// How long to wait for a queue that is not there.
const QUEUE_AGAIN: Duration = Duration::from_secs(2);
/// How long a job may take: longer than all its calls to Stripe and statements may, so that only a
/// connection that has fallen silent is given up.
const JOB_TIME_MAX: Duration = Duration::from_mins(2);
/// How long jobs under way may take to end after a stop.
const DRAIN_MAX: Duration = Duration::from_secs(20);
/// How long the workers may take to begin.
const START_MAX: Duration = Duration::from_secs(10);
/// Workers whose connections are not trusted any more, or that have run for this long, are followed
/// by new ones, with connections of their own: the library waits for its statements without an end.
const RUN_MAX: Duration = Duration::from_mins(10);
/// How long those may take to end.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(30);
/// The pause before the second try; it doubles up to [`RETRY_PAUSE_MAX`], with jitter.
const RETRY_PAUSE_MIN_MILLISECONDS: i64 = 2_000;

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
        let process = context
            .get_ext::<Process>()
            .ok_or("the worker was started without its process")?;
        let done = timeout(JOB_TIME_MAX, perform(&process.0, &self.0)).await;
        done.map_err(|_| format!("not done within {JOB_TIME_MAX:?}"))?
            .map_err(|error| explain(&error))
    }
}

/// Does jobs until `stopping` is cancelled, and then ends those under way. While there is no queue
/// to be had, because the database or its schema is not there, it tries again.
pub(super) async fn work(app: &AppState, stopping: &CancellationToken) {
    while !stopping.is_cancelled() {
        if let Err(error) = take_jobs(app, stopping).await {
            tracing::warn!("no jobs are done, for want of a queue: {error}");
            // Either way, the loop looks again whether it goes on.
            let _ = timeout(QUEUE_AGAIN, stopping.cancelled()).await;
        }
    }
}

/// Does jobs until `stopping` is cancelled, or the connections of these workers are to be replaced.
async fn take_jobs(app: &AppState, stopping: &CancellationToken) -> Result<()> {
    // What is lost from here on concerns what is found now.
    let lost = app.pools.trust.lost();
    let schema = database::schema(&mut app.pools.watch.acquire().await?).await?;
    schema.suits().map_err(Error::Fault)?;
    let fault = |error: &dyn fmt::Display| Error::fault(error.to_string());
    let started = timeout(START_MAX, options(app, stopping).init()).await;
    let started = started.map_err(|_| Error::fault(format!("not started within {START_MAX:?}")))?;
    let worker = Arc::new(started.map_err(|error| fault(&error))?);
    let mut run = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { worker.run().await }
    });
    tokio::select! {
        done = &mut run => done.map_err(|error| fault(&error))?.map_err(|error| fault(&error)),
        () = renewal(lost) => {
            worker.request_shutdown();
            tokio::spawn(async move {
                if timeout(GIVEN_UP_AFTER, &mut run).await.is_err() {
                    run.abort();
                }
            });
            Ok(())
        }
    }
}

fn options(app: &AppState, stopping: &CancellationToken) -> WorkerOptions {
    WorkerOptions::default()
        .pg_pool(app.pools.queue())
        .schema(QUEUE_SCHEMA)
        .concurrency(CONCURRENCY)
        .poll_interval(POLL)
        // Nobody notifies: see `migrations/0012_jobs.sql`.
        .use_notification_delivery(false)
        .local_queue(
            LocalQueueConfig::default()
                .with_size(FETCHED_MAX)
                .with_ttl(FETCHED_FOR)
                // Without one, graphile_worker 0.14.1 looks again as soon as it has looked.
                .with_refetch_delay(
                    RefetchDelayConfig::default()
                        .with_duration(POLL)
                        .with_threshold(FETCHED_MAX),
                ),
        )
        .heartbeat_interval(HEARTBEAT)
        .sweep_interval(DEAD_LOOKED_FOR)
        .sweep_threshold(DEAD_AFTER)
        .recovery_delay(Duration::from_secs(1))
        .listen_os_shutdown_signals(false)
        .shutdown_signal(stopping.clone().cancelled_owned())
        .shutdown_grace_period(DRAIN_MAX)
        .add_extension(Process(AppState::clone(app)))
        .define_job::<Task>()
        .on(JobFail, {
            let app = AppState::clone(app);
            move |failed| {
                let app = AppState::clone(&app);
                async move { put_off(&app, *failed.job.attempts(), *failed.job.id()).await }
            }
        })
        .on(JobPermanentlyFail, async |failed| {
            tracing::error!(
                job.id = failed.job.id(),
                "a job is buried: {}",
                failed.error
            );
        })
}

/// Returns when these workers are to be followed by others.
async fn renewal(lost: impl Future<Output = ()>) {
    tokio::select! {
        () = lost => {}
        () = sleep(RUN_MAX) => {}
    }
}

/// Has a job that has failed tried again after a pause of ours.
async fn put_off(app: &App, attempts: i16, id: i64) {
    let put_off = async {
        let mut db = app.acquire().await?;
        // What was asked for again while this ran waits by itself; the failed one is forgotten.
        jobs::forget_replaced(&mut db).await?;
        let failed = FailedTry {
            job_id: id,
            tries: attempts,
        };
        jobs::put_off(&mut db, failed, pause(attempts)).await
    };
    if let Err(error) = put_off.await {
        tracing::warn!(
            job.id = id,
            "a job keeps the queue's own pause: {}",
            explain(&error)
        );
    }
}

fn pause(attempts: i16) -> TimeDelta {
    let doublings = u32::try_from(attempts.clamp(1, 6))
        .unwrap_or(1)
        .saturating_sub(1);
    let pause = RETRY_PAUSE_MIN_MILLISECONDS.saturating_mul(2_i64.saturating_pow(doublings));
    let longest = pause.min(RETRY_PAUSE_MAX.num_milliseconds());
    let shortest = longest.checked_div(2).unwrap_or(longest);
    TimeDelta::milliseconds(rand::rng().random_range(shortest..=longest))
}
