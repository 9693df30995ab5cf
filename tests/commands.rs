//! The `holdfast` command itself: each subcommand as a process with a clean environment, in a
//! folder of its own.

#![cfg(feature = "dev")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]
#![expect(clippy::indexing_slicing, reason = "a missing member is a failed test")]
#![expect(
    clippy::arithmetic_side_effects,
    reason = "an overflow is a failed test"
)]

#[path = "invariants/mod.rs"]
mod invariants;
#[path = "pg_proxy/mod.rs"]
mod pg_proxy;

mod commands {
    mod harness;
    mod world;

    mod arguments;
    mod clocks;
    mod crash_flow;
    mod crash_scenario;
    mod crashes;
    mod crashes_at_every_step;
    mod crashes_of_workers;
    mod database;
    mod doctor;
    mod environment;
    mod failover;
    mod jobs;
    mod poolers;
    mod rights;
    mod rollback;
    mod serve;
    mod stops;
    mod two_processes;
    mod verify;
    mod weather;
}
