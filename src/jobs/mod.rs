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

pub use clocks::{ask_stripe_for_time, compare_clocks};
pub use feed_reader::feed;
pub use issuer_keys::keep_issuer_keys;
pub use perform::perform;
pub use schedule::schedule;
pub use watch::watch;
pub use worker::work;
