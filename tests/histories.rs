//! Whatever happens, and in whatever order, the end is legal: the property behind every single
//! scenario.
//!
//! A history is a show of a few seats or a service of a few hours, a voucher of two uses, up to
//! three buyers, two processes, and a few steps drawn from a seed: bookings, payments, events that
//! come in any order, twice or never, jobs that run twice or die half-way, several of these at
//! once, time that passes, and errors of Stripe's. When one fails, its seed and steps are printed;
//! `HISTORY_SEED=… cargo test --test histories` runs it again alone, and `HISTORIES=…` runs so
//! many.

#![cfg(feature = "dev")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what is missing is a failed test"
)]
#![expect(
    clippy::arithmetic_side_effects,
    reason = "the numbers of tests are small"
)]

#[path = "histories/actions.rs"]
mod actions;
#[path = "histories/background.rs"]
mod background;
#[path = "histories/ending.rs"]
mod ending;
#[path = "histories/generator.rs"]
mod generator;
#[path = "api/harness/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the harness of all tests through the API; a history needs half of it"
)]
mod harness;
mod invariants;
#[path = "histories/outside.rs"]
mod outside;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use futures_util::FutureExt;
use tokio::runtime::Builder;

use generator::{History, World};
use invariants::INVARIANTS;

/// How many are run. One of six is stormy: in these, Stripe errs too.
const HISTORIES: u64 = 2_100;
/// Worlds side by side, each on a thread of its own. In a storm, the client's pauses between tries
/// cost real time.
const WORLDS: usize = 6;
/// After one of so many histories, all that is there is verified, as `holdfast verify` does; and at
/// the end. `VERIFIED_EVERY=1` does it after each, and shows which one has brought a difference.
const VERIFIED_EVERY: u64 = 100;
/// Enough to see what goes wrong.
const FAILURES_MAX: usize = 5;

#[test]
fn any_history_ends_in_a_legal_state() {
    let alone = setting("HISTORY_SEED");
    let seeds = alone.map_or(0..setting("HISTORIES").unwrap_or(HISTORIES), |seed| {
        seed..seed + 1
    });
    let next = AtomicU64::new(seeds.start);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..if alone.is_some() { 1 } else { WORLDS } {
            scope.spawn(|| {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(run(&next, seeds.end, &failures));
            });
        }
    });

    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} histories ended badly\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "which histories are run is no setting of the service"
)]
fn setting(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|number| number.parse().unwrap())
}

/// Runs histories until there are no more, or enough have failed. After a failure, the world is
/// made anew.
async fn run(next: &AtomicU64, end: u64, failures: &Mutex<Vec<String>>) {
    let mut world = World::new().await;
    let verified_every = setting("VERIFIED_EVERY").unwrap_or(VERIFIED_EVERY);
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end || failures.lock().unwrap().len() >= FAILURES_MAX {
            break;
        }
        let steps = Mutex::new(Vec::new());
        let history = async {
            History::begin(&world, seed, &steps).await.run().await;
            if seed.is_multiple_of(verified_every) {
                assert_eq!(world.harness.verify().await, Vec::<String>::new());
            }
        };
        if let Err(panic) = AssertUnwindSafe(history).catch_unwind().await {
            let steps = steps
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .join("\n  ");
            failures.lock().unwrap().push(format!(
                "HISTORY_SEED={seed}\n  {steps}\n{}",
                message(&*panic)
            ));
            world = World::new().await;
        }
    }
    for (what, query) in INVARIANTS {
        assert_eq!(world.harness.sql(query).await, "0", "{what}");
    }
    assert_eq!(world.harness.verify().await, Vec::<String>::new());
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map_or("a panic without a message", String::as_str)
}
