//! The contract, tested through the real router on a real Postgres, with the world replaced by URL.

#![cfg(feature = "dev")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what is missing is a failed test"
)]
#![expect(
    clippy::arithmetic_side_effects,
    reason = "the numbers of tests are small"
)]

mod access;
mod batches;
mod bodies;
mod bookings;
mod books;
mod cancellation;
mod catalogue;
mod checkout;
mod delayed;
mod events;
mod faults;
mod forbidden_money;
mod forbidden_states;
mod holds;
mod idempotency;
mod identity;
mod lines;
mod openapi;
mod payments;
mod permutations;
mod problems;
mod programme;
mod seat_rush;
mod settings;
mod signatures;
#[path = "../sound/mod.rs"]
mod sound;
mod stage;
mod two_sessions;
mod vault;
mod verification;
mod webhook_storm;
#[path = "../wire/mod.rs"]
mod wire;
