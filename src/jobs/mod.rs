//! The background half: from a job of the queue to the workflow that does it.
//!
//! Every job may run twice, at once even: each workflow looks first whether there is still
//! something to do, under the lock of the booking or under Stripe's idempotency key.

mod feed_reader;
mod worker;

pub use feed_reader::feed;
pub use worker::work;

use crate::app::AppState;
use crate::domain::job::Job;
use crate::error::Result;
use crate::settlement;
use crate::workflows::{checkout, refunding, sessions, sweep};

/// Does a job. An error makes the queue try again, later and later.
pub async fn perform(app: &AppState, job: &Job) -> Result<()> {
    match job {
        Job::EndHold { booking_id } => sessions::end_hold(app, *booking_id).await,
        Job::FinishCheckout { booking_id } => checkout::resume(app, *booking_id).await.map(drop),
        Job::SettleEvent { event_id } => settlement::settle_deferred(app, event_id).await,
        Job::Refund { refund_id } => refunding::submit_refund(app, *refund_id).await,
        Job::Sweep => sweep::sweep(app).await,
    }
}
