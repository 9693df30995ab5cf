//! Whatever happens, and in whatever order, the end is legal: the property behind every single scenario.
//!
//! A history is a show of a few seats, up to three buyers, and a few steps drawn from a seed: bookings, payments, events
//! that come in any order, twice or never, jobs that run twice or die half-way, time that passes, and faults of Stripe's.
//! When one fails, its seed and steps are told; `HISTORY_SEED=… cargo test histories` runs it again alone.

mod ending;
mod plot;
mod steps;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::join_all;

use crate::sound::SOUND;
use crate::stage::TestApp;
use plot::{History, Mood};

/// Most histories know no fault but loss, disorder and crashes; the client's pauses between tries cost real time.
const CALM: u64 = 250;
/// In these, Stripe errs too.
const STORMY: u64 = 50;
/// Stages side by side.
const STAGES: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::disallowed_methods, reason = "the seed of a history that is to be told again is no setting")]
async fn any_history_ends_in_a_legal_state() {
    let alone = std::env::var("HISTORY_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds = alone.map_or(0..CALM + STORMY, |seed: u64| seed..seed + 1);
    let next = Arc::new(AtomicU64::new(seeds.start));
    let stages = if alone.is_some() { 1 } else { STAGES };
    let tellers = (0..stages).map(|_| tokio::spawn(tell(Arc::clone(&next), seeds.end)));
    let failures: Vec<String> = join_all(tellers).await.into_iter().filter_map(|told| told.unwrap().err()).collect();

    assert!(failures.is_empty(), "{} histories ended badly\n{}", failures.len(), failures.join("\n"));
}

/// Tells histories on one stage, until there are no more or one has failed.
async fn tell(next: Arc<AtomicU64>, end: u64) -> Result<(), String> {
    let stage = TestApp::new().await;
    for name in plot::BUYERS {
        assert_eq!(stage.customer(name).get("/api/bookings").await.status, 200);
    }
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            break;
        }
        let steps = Mutex::new(Vec::new());
        let mood = if seed < CALM { Mood::Calm } else { Mood::Stormy };
        let history = async { History::begin(&stage, seed, mood, &steps).await.tell().await };
        if AssertUnwindSafe(history).catch_unwind().await.is_err() {
            let steps = steps.lock().unwrap_or_else(PoisonError::into_inner).join("\n  ");
            return Err(format!("HISTORY_SEED={seed}\n  {steps}"));
        }
    }
    for (what, query) in SOUND {
        assert_eq!(stage.sql(query).await, "0", "{what}");
    }
    Ok(())
}
