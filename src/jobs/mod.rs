//! The background half: from a job of the queue to the workflow that does it.
//!
//! Every job may run twice, at once even: each workflow looks first whether there is still
//! something to do, under the lock of the booking or under Stripe's idempotency key.

mod relay;
mod worker;

pub use relay::relay;
pub use worker::work;

use crate::app::AppState;
use crate::domain::job::Job;
use crate::error::Result;
use crate::workflows::checkout;
use crate::workflows::settlement::{event, refund, release};

/// Does a job. An error makes the queue try again, later and later.
pub async fn perform(app: &AppState, job: &Job) -> Result<()> {
    match job {
        Job::EndHold { booking_id } => release::end_hold(app, *booking_id).await,
        Job::FinishCheckout { booking_id } => checkout::resume(app, *booking_id).await.map(drop),
        Job::SettleEvent { event_id } => event::settle_deferred(app, event_id).await,
        Job::Refund { refund_id } => refund::carry_out(app, *refund_id).await,
        Job::Sweep => checkout::sweep(app).await,
    }
}
