//! The background half: jobs of the queue, the reader of what has happened to bookings, the
//! watch over the database, the schedule, and the comparison of clocks.
//!
//! Every job may run twice, at once even: each workflow looks first whether there is still
//! something to do, under the lock of the booking or under Stripe's idempotency key.

mod clocks;
mod feed_reader;
mod perform;
mod schedule;
mod watch;
mod worker;

pub use clocks::{ask_stripe_for_time, compare_clocks};
pub use feed_reader::feed;
pub use perform::perform;
pub use schedule::schedule;
pub use watch::watch;
pub use worker::work;
