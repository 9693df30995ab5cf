//! All SQL, one file per aggregate. Free functions on a connection; none begins or commits.

pub mod attempts;
pub mod audit_log;
pub mod availabilities;
pub mod booking_events;
pub mod bookings;
mod cancellation_policy;
pub mod cancellations;
pub mod captures;
pub mod claims;
pub mod dashboard_refunds;
pub mod database;
pub mod dev_mark;
pub mod discrepancies;
pub mod disputes;
pub mod failed_payments;
pub mod holds;
pub mod idempotency_keys;
pub mod jobs;
pub mod ledger;
pub mod lost_work;
pub mod movies;
pub mod payment_events;
pub mod payments;
pub mod reconciliations;
pub mod references;
pub mod refund_looks;
pub mod refund_requests;
pub mod refunds;
pub mod replays;
pub mod rights;
pub mod runs;
pub mod scratch;
pub mod services;
pub mod sessions;
pub mod shows;
pub mod slots;
pub mod unanswered_attempts;
pub mod untrusted_forwarders;
pub mod users;
pub mod verification;
pub mod vouchers;

use cancellation_policy::StoredPolicy;

/// Rows that go to the database as one array per column, so that many are written in one round
/// trip.
trait Columns<T> {
    /// One column of them.
    fn column<'a, C>(&'a self, of: impl Fn(&'a T) -> C) -> Vec<C>
    where
        T: 'a;
}

impl<T> Columns<T> for [T] {
    fn column<'a, C>(&'a self, of: impl Fn(&'a T) -> C) -> Vec<C>
    where
        T: 'a,
    {
        self.iter().map(of).collect()
    }
}
