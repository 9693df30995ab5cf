//! From a job to the workflow that does it.

use crate::app::AppState;
use crate::domain::job::Job;
use crate::error::Result;
use crate::settlement;
use crate::workflows::{cancellation, checkout, reconciliation, refunding, sessions, sweep};

/// Does a job. An error makes the queue try again, later and later.
pub async fn perform(app: &AppState, job: &Job) -> Result<()> {
    // In a box: it is as large as the largest of them.
    Box::pin(perform_one(app, job)).await
}

async fn perform_one(app: &AppState, job: &Job) -> Result<()> {
    match job {
        Job::EndHold { booking_id } => sessions::end_hold(app, *booking_id).await,
        Job::FinishCheckout { booking_id } => {
            checkout::resume_in_background(app, *booking_id).await
        }
        Job::SettleEvent { event_id } => settlement::settle_deferred(app, event_id).await,
        Job::Refund { refund_id, .. } => refunding::submit_refund(app, *refund_id).await,
        Job::LookAtRefunds { payment_id, .. } => refunding::look_at_refunds(app, *payment_id).await,
        Job::BeginReconciliation => reconciliation::begin_if_due(app).await,
        Job::Reconcile { reconciliation_id } => {
            reconciliation::go_on(app, *reconciliation_id).await
        }
        Job::CancelShow { run_id } => cancellation::go_on_with_run(app, *run_id).await,
        Job::Sweep => sweep::sweep(app).await,
    }
}
