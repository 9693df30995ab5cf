//! The contract, tested through the real router on a real Postgres, with the world replaced by URL.

#![cfg(feature = "dev")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what is missing is a failed test")]
#![expect(clippy::arithmetic_side_effects, reason = "the numbers of tests are small")]

mod bookings;
mod checkout;
mod events;
mod holds;
mod idempotency;
mod openapi;
mod payments;
mod seat_rush;
mod signatures;
mod stage;
