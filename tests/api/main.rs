//! The contract, tested through the real router on a real Postgres, with the world replaced by URL.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed unwrap is a failed test")]
#![expect(clippy::indexing_slicing, reason = "a missing member is a failed test")]

mod bookings;
mod checkout;
mod events;
mod idempotency;
mod payments;
mod seat_rush;
mod signatures;
mod stage;
