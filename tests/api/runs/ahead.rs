//! Runs that a process with a clock far ahead has begun, or gone on with: they go on as soon as a
//! right clock sees them.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use holdfast::domain::job::Job;
use holdfast::jobs;
use sqlx::Executor;

use super::{REFUNDS, cancelled, goes_on, paid, refuse_refunds, run};
use crate::harness::TestApp;

/// How far the clock was ahead.
const JUMP: TimeDelta = TimeDelta::days(2);
/// A run is over after little more than the time in which bookings may come to it.
const SOON: TimeDelta = TimeDelta::minutes(4);

/// A sweep each minute, and all that is due then, for as long as a run may take.
async fn time_passes(harness: &TestApp) {
    let until = harness.now() + SOON;
    while harness.now() < until {
        jobs::perform(&harness.app, &Job::Sweep).await.unwrap();
        harness.run_jobs().await;
        harness.advance(TimeDelta::seconds(30)).await;
        harness.run_jobs().await;
        harness.advance(TimeDelta::seconds(30)).await;
        harness.run_jobs().await;
    }
}

#[tokio::test]
async fn a_run_that_was_begun_ahead_of_time_is_over_as_soon_as_any_other() {
    for (goes_on_ahead, lost) in [
        (false, "select"),
        (true, "select"),
        (false, "delete from jobs where kind = 'cancelShow'"),
        (true, "delete from jobs"),
        (true, "update jobs set attempts = max_attempts"),
    ] {
        let harness = TestApp::new().await;
        let (show, _, _) = paid(&harness).await;

        harness.jump(JUMP);
        let path = cancelled(&harness, &show).await;
        if goes_on_ahead {
            assert!(goes_on(&harness).await);
        }
        harness.jump(-JUMP);
        harness.set_database_clock(harness.now()).await;
        harness.db().execute(lost).await.unwrap();
        time_passes(&harness).await;

        let end = run(&harness, &path).await;
        assert_eq!(end["state"], "done", "{goes_on_ahead} {lost} {end}");
        assert_eq!(end["done"], 1, "{end}");
        assert_eq!(harness.sql(REFUNDS).await, "policy succeeded 1200");
    }
}

/// Its refund waits for days, and one look at it was ahead of time.
#[tokio::test]
async fn a_booking_that_was_looked_at_ahead_of_time_is_looked_at_as_any_other() {
    let harness = TestApp::new().await;
    let (show, _, _) = paid(&harness).await;
    let path = cancelled(&harness, &show).await;
    refuse_refunds(&harness, "balance_insufficient", 100).await;
    assert!(goes_on(&harness).await);
    harness.jump(JUMP);
    harness.run_jobs().await;
    let ahead = "update run_bookings set begun_at = begun_at + interval '2 days'";
    harness.db().execute(ahead).await.unwrap();
    harness.jump(-JUMP);

    let mut looked_at = BTreeSet::new();
    for _ in 0..60 {
        jobs::perform(&harness.app, &Job::Sweep).await.unwrap();
        harness.run_jobs().await;
        looked_at.insert(harness.sql("select look_at from run_bookings").await);
        harness.advance(TimeDelta::seconds(20)).await;
    }

    assert!((3..30).contains(&looked_at.len()), "{looked_at:?}");
    assert_eq!(run(&harness, &path).await["state"], "running");
}
