//! How fast runs go: all of them together keep one pace, and one that waits is looked at more and
//! more seldom, but soon after something has changed.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use futures_util::future::join_all;
use holdfast::app::AppState;
use holdfast::domain::job::Job;
use holdfast::jobs;
use holdfast::repositories::jobs::enqueue;
use serde_json::json;

use super::{REFUNDS, cancelled, goes_on, over, paid, refuse_refunds, run};
use crate::harness::TestApp;

const SHOWS: usize = 3;
const BOOKINGS: usize = 15;
/// What all runs take on in two seconds.
const BATCH: usize = 20;
const BEGUN: &str = "select count(*) from run_bookings where state <> 'waiting'";

/// A cancelled show of which so many seats are held.
async fn held(harness: &TestApp, name: usize) {
    let seats = json!({ "rows": [{ "row": "A", "seats": 20, "tier": "regular" }], "blocked": [] });
    let show = harness.show_with(seats).await;
    for number in 1..=BOOKINGS {
        let buyer = harness.customer(&format!("of_{name}_{number}"));
        buyer.booked(&show, &[&format!("A{number}")]).await;
    }
    cancelled(harness, &show).await;
}

/// All runs go on at once, each in a process of its own.
async fn all_go_on(processes: &[AppState], runs: &[Job]) {
    let done = processes.iter().zip(runs).map(async |(process, run)| {
        jobs::perform(process, run).await.unwrap();
    });
    join_all(done).await;
}

#[tokio::test]
async fn several_runs_take_on_no_more_than_one_would() {
    let harness = TestApp::new().await;
    for name in 0..SHOWS {
        held(&harness, name).await;
    }
    let ids = harness
        .sql("select string_agg(id::text, ' ') from runs")
        .await;
    let runs: Vec<_> = ids.split(' ').map(|id| id.parse().unwrap()).collect();
    let runs: Vec<_> = runs
        .into_iter()
        .map(|run_id| Job::CancelShow { run_id })
        .collect();
    let processes: Vec<_> = runs.iter().map(|_| harness.second_process()).collect();
    let begun = async || -> usize { harness.sql(BEGUN).await.parse().unwrap() };

    all_go_on(&processes, &runs).await;
    let first = begun().await;
    all_go_on(&processes, &runs).await;
    let again = begun().await;
    harness.run_jobs().await;
    harness.advance(TimeDelta::seconds(2)).await;
    all_go_on(&processes, &runs).await;
    let second = begun().await;
    while goes_on(&harness).await {}

    assert_eq!((first, again, second), (BATCH, BATCH, 2 * BATCH));
    let stand = "select string_agg(distinct status::text, ' ') from bookings";
    assert_eq!(harness.sql(stand).await, "cancelled");
    let left = "select count(*) from runs where finished_at is null";
    assert_eq!(harness.sql(left).await, "0");
}

/// As while Stripe is away: what has failed comes again, and more behind it helps nobody.
#[tokio::test]
async fn jobs_that_are_tried_again_count_among_those_that_wait() {
    let harness = TestApp::new().await;
    let (show, _, _) = paid(&harness).await;
    let path = cancelled(&harness, &show).await;
    let others = (0..20).map(|number| {
        let event_id = format!("evt_{number}");
        Job::SettleEvent { event_id }.at(harness.now() + TimeDelta::seconds(30))
    });
    let mut db = harness.app.acquire().await.unwrap();
    enqueue(&mut db, &others.collect::<Vec<_>>()).await.unwrap();
    let failed = "update jobs set attempts = 1 where kind = 'settleEvent'";
    sqlx::query(failed).execute(harness.db()).await.unwrap();

    assert!(goes_on(&harness).await);
    let kept = harness.sql(BEGUN).await;
    let gone = "delete from jobs where kind = 'settleEvent'";
    sqlx::query(gone).execute(harness.db()).await.unwrap();
    let end = over(&harness, &path).await;

    assert_eq!(kept, "0");
    assert_eq!(end["done"], 1, "{end}");
}

/// Many shows are cancelled at once: their own jobs keep none of them waiting.
#[tokio::test]
async fn the_jobs_of_other_runs_do_not_count() {
    let harness = TestApp::new().await;
    let (show, _, _) = paid(&harness).await;
    let path = cancelled(&harness, &show).await;
    let others = (0..30).map(|_| {
        let run_id = holdfast::domain::ids::RunId::new();
        Job::CancelShow { run_id }.at(harness.now())
    });
    let mut db = harness.app.acquire().await.unwrap();
    enqueue(&mut db, &others.collect::<Vec<_>>()).await.unwrap();
    let run_id = harness.sql("select id from runs").await.parse().unwrap();

    jobs::perform(&harness.app, &Job::CancelShow { run_id })
        .await
        .unwrap();

    assert_eq!(harness.sql(BEGUN).await, "1");
    assert_eq!(over(&harness, &path).await["done"], 1);
}

/// A refund that Stripe puts off for hours is looked for seldom, and noticed soon.
#[tokio::test]
async fn a_booking_that_waits_is_looked_at_more_and_more_seldom_until_something_changes() {
    let harness = TestApp::new().await;
    let (show, _, _) = paid(&harness).await;
    let path = cancelled(&harness, &show).await;
    refuse_refunds(&harness, "balance_insufficient", 1).await;

    let mut looked_at = BTreeSet::new();
    let begun = harness.now();
    while harness.now() < begun + TimeDelta::hours(3) {
        assert!(goes_on(&harness).await);
        looked_at.insert(harness.sql("select look_at from run_bookings").await);
    }
    let waiting = run(&harness, &path).await;
    jobs::perform(&harness.app, &Job::Sweep).await.unwrap();
    harness.run_jobs().await;
    assert_eq!(harness.sql(REFUNDS).await, "policy succeeded 1200");
    let gone = harness.now();
    let end = over(&harness, &path).await;

    assert_eq!(waiting["state"], "running", "{waiting}");
    assert!((5..20).contains(&looked_at.len()), "{looked_at:?}");
    assert_eq!(end["done"], 1, "{end}");
    assert!(harness.now() <= gone + TimeDelta::minutes(1));
}
