//! The contract, tested through the real router on a real Postgres, with the world replaced by URL.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::indexing_slicing, reason = "a missing member is a failed test")]

mod access;
mod bodies;
mod bookings;
mod catalogue;
mod identity;
mod problems;
mod programme;
mod stage;
