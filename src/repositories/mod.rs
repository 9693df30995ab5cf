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

/// One column of rows that go to the database as arrays, so that many are written in one round trip.
fn column<'a, T, C>(rows: &'a [T], of: impl Fn(&'a T) -> C) -> Vec<C> {
    rows.iter().map(of).collect()
}
