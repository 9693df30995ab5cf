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
mod admin;
mod audiences;
mod batcher;
mod batches;
mod bodies;
mod booking_events;
mod bookings;
mod cancellation;
mod catalogue;
mod checkout;
mod clocks;
mod connections;
mod delayed;
mod disputes;
mod events;
mod fair_holds;
mod faults;
mod forbidden_attempts;
mod forbidden_disputes;
mod forbidden_ledger;
mod forbidden_money;
mod forbidden_records;
mod forbidden_refunds;
mod forbidden_runs;
mod forbidden_seats;
mod forbidden_slots;
mod forbidden_states;
mod forbidden_vouchers;
mod harness;
mod headers;
mod hold_batches;
mod holds;
mod idempotency;
mod identity;
#[path = "../invariants/mod.rs"]
mod invariants;
mod listings;
mod odd_sessions;
mod openapi;
mod origins;
mod payments;
mod permutations;
#[path = "../pg_proxy/mod.rs"]
#[expect(dead_code, reason = "the tests of the command switch servers, too")]
mod pg_proxy;
mod plans;
mod problems;
mod queue;
mod rate_limits;
mod reconcile;
mod reconciliation;
mod refunds;
mod replays;
mod response_cache;
mod reviews;
mod runbook;
mod runs;
mod schema_harness;
mod seat_rush;
mod services;
mod settings;
mod signatures;
mod stripe_limits;
mod sweep;
mod two_sessions;
mod users;
mod verification;
mod verify;
mod vouchers;
mod weather;
mod webhook_storm;
