//! The background half: jobs of the queue, the reader of what has happened to bookings, the watch
//! over the database, the schedule, the comparison of clocks, and the issuer's keys.
//!
//! Every job may run twice, at once even: each workflow looks first whether there is still
//! something to do, under the lock of the booking or under Stripe's idempotency key.

mod clocks;
mod feed_reader;
mod issuer_keys;
mod perform;
mod schedule;
mod watch;
mod worker;

pub use clocks::ask_stripe_for_time;
pub use feed_reader::feed;
pub use perform::perform;
use tokio_util::sync::CancellationToken;
pub use watch::watch;

use crate::app::AppState;

/// Does all of it until `stopping` is cancelled, and then ends the jobs that are under way.
pub async fn run(app: AppState, stopping: CancellationToken) {
    let for_ever = async {
        tokio::join!(
            feed(&app),
            watch(&app),
            clocks::compare_clocks(&app),
            schedule::schedule(&app),
            issuer_keys::keep_issuer_keys(&app),
        )
    };
    // In a box: this future is as large as all that it does.
    let workers = Box::pin(worker::work(&app, &stopping));
    tokio::join!(workers, stopping.run_until_cancelled(for_ever));
}
