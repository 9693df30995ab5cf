//! All SQL, one file per aggregate. Free functions on a connection; none begins or commits.

pub mod attempts;
pub mod bookings;
pub mod changes;
pub mod database;
pub mod idempotency_keys;
pub mod jobs;
pub mod movies;
pub mod payment_events;
pub mod refunds;
pub mod settlements;
pub mod shows;
pub mod users;
