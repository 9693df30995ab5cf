//! What is done every so often. In the queue it is one job, however many processes keep it there,
//! that waits for its pause and no longer, whatever a clock has said before.
//!
//! The queue's own schedule remembers its last time in the database: after a clock that was ahead
//! has been set right, it would wait in all processes until that time has come again.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::sleep;

use crate::app::App;
use crate::domain::job::{Job, RECONCILIATION_PAUSE, RecurringJob, SWEEP_PAUSE};
use crate::error::{Result, explain};
use crate::repositories::jobs;

/// How often it is looked whether the jobs are there: so much longer may a pause get.
const LOOK: Duration = Duration::from_secs(10);

/// Keeps the jobs in the queue for ever. The first sweep is due at once: the process before this
/// one may have died.
pub(super) async fn schedule(app: &App) {
    let mut before_sweep = TimeDelta::zero();
    loop {
        match keep(app, before_sweep).await {
            Ok(()) => before_sweep = SWEEP_PAUSE,
            Err(error) => tracing::warn!("the schedule is not kept: {}", explain(&error)),
        }
        sleep(LOOK).await;
    }
}

async fn keep(app: &App, before_sweep: TimeDelta) -> Result<()> {
    let recurring = [
        RecurringJob {
            job: Job::Sweep,
            pause: before_sweep,
        },
        RecurringJob {
            job: Job::BeginReconciliation,
            pause: RECONCILIATION_PAUSE,
        },
    ];
    jobs::keep_waiting(&mut app.pools.watch.acquire().await?, &recurring).await
}
