//! The contract, tested through the real router on a real Postgres, with the world replaced by URL.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed unwrap is a failed test")]
#![expect(clippy::indexing_slicing, reason = "a missing member is a failed test")]
#![expect(clippy::arithmetic_side_effects, reason = "an overflow is a failed test")]

mod bookings;
mod forbidden_money;
mod forbidden_states;
mod settings;
mod stage;
mod vault;
