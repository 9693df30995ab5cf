//! The end: nothing goes wrong any more, what is under way comes to its end, and all is checked,
//! twice.

use std::future::pending;
use std::time::{Duration, Instant};

use holdfast::app::Clock;
use holdfast::config::Config;
use holdfast::workflows::verification::{self, Findings};
use serde_json::{Value, json};
use sqlx::ConnectOptions;

use crate::reconcile;
use crate::surroundings::{STRIPE_KEY, memory};
use crate::world::World;

/// How long everything may take to come to its end: a job whose process was killed is found within
/// a minute, an end of a hold without a job within three, and pauses between tries are up to one.
const DRAIN_MAX: Duration = Duration::from_mins(5);
/// A session lives 35 minutes.
const SESSION_LIFE_SECONDS: i64 = 40 * 60;
const PAUSE: Duration = Duration::from_millis(500);

/// Errors that are in the log for a reason, by how they begin.
const EXPLAINED: [(&str, &str); 6] = [
    (
        "what Stripe reports differs from what we asked for: amount_mismatch",
        "some buyers pay another amount",
    ),
    (
        "more money came for a booking under review",
        "some of those pay twice",
    ),
    (
        "the database cannot be reached",
        "a process that starts while the database is away",
    ),
    (
        "LocalQueue failed to fetch jobs",
        "the queue's library, while the database is away or only reads",
    ),
    (
        "Failed to persist failed job",
        "the queue's library, while the database is away or only reads",
    ),
    (
        "Release job error",
        "the queue's library, while the database is away or only reads",
    ),
];

/// Lets everything come to its end, checks and reports it. Returns what is wrong.
pub(crate) async fn come_to_an_end(world: &World) -> Vec<String> {
    let mut wrong: Vec<String> = std::mem::take(&mut world.complaints.lock().unwrap());
    let chaos = world.look("/_simulator/chaos").await;
    world.knob("chaos", json!({})).await;
    world.pay_unanswered().await;
    let begun = Instant::now();
    let deadline = begun + DRAIN_MAX;
    wrong.extend(drain(world, &reconcile::UNDER_WAY, deadline).await);
    println!("all came to its end within {:.1?}", begun.elapsed());
    println!(
        "delayed payments of which nothing was heard: {}",
        reconcile::undecided(world).await
    );
    reconcile::let_weeks_pass(world).await;
    wrong.extend(drain(world, &reconcile::UNDER_WAY_FOR_LONG, deadline).await);
    wrong.extend(reconcile::check_fence(world).await);
    wrong.extend(reconcile::check(world, "without the lost events").await);
    expire_all(world).await;
    let found = find_lost(world).await;
    wrong.extend(drain(world, &reconcile::UNDER_WAY, deadline).await);
    wrong.extend(drain(world, &reconcile::OPEN, deadline).await);
    wrong.extend(reconcile::check(world, "with the lost events").await);
    let open = world.sessions("open").await;
    wrong.extend(
        open.iter()
            .map(|session| format!("it can still be paid: {session}")),
    );
    println!("events that were lost until now: {found}");
    wrong.extend(verify(world).await);
    wrong.extend(report(world, &chaos).await);
    wrong
}

/// Delivers what waits, until nothing is left to be done.
async fn drain(world: &World, what: &[(&str, &str)], deadline: Instant) -> Option<String> {
    loop {
        world.knob("deliver_due", json!({})).await;
        world.look("/_simulator/settled").await;
        let left = reconcile::left(world, what).await;
        if left.is_empty() {
            return None;
        }
        if Instant::now() > deadline {
            return Some(format!(
                "after {DRAIN_MAX:?} there is still under way: {}",
                left.join("; ")
            ));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Lets all sessions end that are left open: where a booking was paid through one, Stripe may have
/// another, until it ends by itself. Signatures are of the right time again before their events are
/// delivered.
async fn expire_all(world: &World) {
    world.knob("deliveries", json!({ "hold": true })).await;
    for seconds in [SESSION_LIFE_SECONDS, -SESSION_LIFE_SECONDS] {
        world
            .knob("clock", json!({ "advanceSeconds": seconds }))
            .await;
    }
    world.knob("deliveries", json!({})).await;
}

/// Has every event delivered that no process has acknowledged.
async fn find_lost(world: &World) -> usize {
    let lost = reconcile::all(world, "events?delivery_success=false").await;
    for event in &lost {
        let url = format!(
            "{}/v1/events/{}/retry",
            world.surroundings.simulator.url(),
            event["id"].as_str().unwrap()
        );
        let retried = world
            .http
            .post(url)
            .bearer_auth(STRIPE_KEY)
            .send()
            .await
            .unwrap();
        assert_eq!(retried.status(), 200);
    }
    lost.len()
}

/// What `holdfast verify` finds.
async fn verify(world: &World) -> Vec<String> {
    let begun = Instant::now();
    let url = world.database().options().to_url_lossy().to_string();
    let setting = |variable: &str| (variable == "DATABASE_URL").then(|| url.clone());
    let url = Config::read_database_url(setting).unwrap();
    let (now, mut findings) = (Clock::system().now(), Findings::default());
    verification::verify(&url, now, pending(), &mut findings, |_| ())
        .await
        .unwrap();
    println!(
        "verified {} bookings and {} events within {:.1?}",
        findings.bookings,
        findings.events,
        begun.elapsed()
    );
    let differences = findings.differences.iter();
    differences
        .map(|difference| format!("verify: {difference}"))
        .collect()
}

async fn report(world: &World, chaos: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    println!("\nwhat buyers and others did:");
    for (what, count) in &*world.tally.lock().unwrap() {
        println!("  {count:>7} {what}");
    }
    println!("\nwhat went wrong at Stripe: {}", chaos["counts"]);
    reconcile::print_counts(world).await;
    println!("\nmemory:");
    for process in &world.processes {
        let process = process.lock().await;
        for (number, samples) in process.lives.iter().enumerate() {
            if let Some(usage) = memory::Usage::of(samples) {
                let life = process.life(number);
                println!("  {life}: {usage}");
                wrong.extend(
                    usage
                        .complaint()
                        .map(|complaint| format!("{life} {complaint}")),
                );
            }
        }
    }
    println!("\nerrors in the logs:");
    for (message, (count, first)) in &*world.errors.lock().unwrap() {
        let reason = EXPLAINED
            .iter()
            .find(|(start, _)| message.starts_with(start))
            .map(|(_, reason)| *reason)
            // The queue's library says so without words, while the database only reads.
            .or_else(|| message.is_empty().then_some("the queue's library"));
        println!(
            "  {count:>7} {message} ({})",
            reason.unwrap_or("UNEXPLAINED")
        );
        if reason.is_none() {
            wrong.push(format!(
                "{count} errors nobody has explained, the first: {first}"
            ));
        }
    }
    println!();
    wrong
}
