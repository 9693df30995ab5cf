//! What is done every so often, by the time that passes and not by a clock.
//!
//! The queue's own schedule is kept by the clock, and remembers its last time in the database:
//! after a clock that was ahead has been set right, it would wait in all processes until that time
//! has come again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::app::{App, AppState};
use crate::domain::job::Job;
use crate::error::{Result, explain};
use crate::repositories::jobs;

/// How often what dead processes have left is looked for.
const SWEEP: Duration = Duration::from_mins(1);

/// How often what Stripe has is compared with our records.
const RECONCILIATION: Duration = Duration::from_mins(5);

/// Enqueues what is due every so often until `stopping` is true.
pub async fn schedule(app: AppState, mut stopping: watch::Receiver<bool>) {
    let scheduling = async {
        tokio::join!(
            every(SWEEP, &app, Job::Sweep),
            every(RECONCILIATION, &app, Job::BeginReconciliation),
        )
    };
    tokio::select! {
        _ = stopping.wait_for(|stopping| *stopping) => {}
        _ = scheduling => {}
    }
}

async fn every(pause: Duration, app: &App, job: Job) {
    loop {
        sleep(pause).await;
        if let Err(error) = enqueue(app, &job).await {
            tracing::warn!("{} is not enqueued: {}", job.key(), explain(&error));
        }
    }
}

/// Due at once, whatever our clock says, and whatever that of the queue.
async fn enqueue(app: &App, job: &Job) -> Result<()> {
    let mut db = app.pools.watch.acquire().await?;
    let due = job.clone().at(DateTime::<Utc>::UNIX_EPOCH);
    jobs::enqueue(&mut db, &[due]).await
}
