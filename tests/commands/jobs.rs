//! The background half of `holdfast serve`: several processes do the jobs of one database.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use holdfast::app::Clock;
use holdfast::connection::Connection;
use holdfast::domain::job::Job;
use holdfast::repositories::jobs::enqueue;

use super::harness::Harness;
use super::serve::book;

const SHORT_HOLD: (&str, &str) = ("HOLD_SECONDS", "1");
const BOOKING: &str = "select string_agg(status::text, ',') from bookings";
/// Of bookings: those of the schedule always wait.
const JOBS: &str = "select count(*) from jobs where booking_id is not null";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_ends_by_itself_while_two_servers_run() {
    let harness = Harness::new().await;
    assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
    let first = harness.serve(&[SHORT_HOLD]);
    let _second = harness.serve(&[SHORT_HOLD]);

    let (status, booking) = book(&harness, &first).await.await;

    assert_eq!(status, 201, "{booking}");
    harness
        .until(BOOKING, "expired", Duration::from_secs(15))
        .await;
    harness
        .until("select count(*) from seat_claims", "0", Duration::ZERO)
        .await;
    harness.until(JOBS, "0", Duration::from_secs(10)).await;
}

/// Looking costs Postgres something: between two looks, nothing is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_jobs_hardly_asks() {
    let harness = Harness::new().await;
    assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
    let mut server = harness.serve(&[("HOLD_SECONDS", "3")]);
    let before = transactions(&harness).await;

    assert_eq!(book(&harness, &server).await.await.0, 201);
    server.logged("the booking has ended unpaid");

    // The watch's naps are twenty a second.
    let asked = transactions(&harness).await - before;
    assert!(asked < 250, "{asked} transactions within a hold");
}

/// How many transactions there have been in the database of this test.
async fn transactions(harness: &Harness) -> i64 {
    let count = "select xact_commit from pg_stat_database where datname = current_database()";
    sqlx::query_scalar(count)
        .fetch_one(harness.database.pool())
        .await
        .unwrap()
}

/// A delayed payment asks for the end of its hold again, perhaps while that is under way; the queue
/// gives it another job.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_was_asked_for_again_while_it_ran_and_fails_leaves_nothing_behind() {
    let harness = Harness::new().await;
    assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
    let mut server = harness.serve(&[("HOLD_SECONDS", "3")]);
    let (status, booking) = book(&harness, &server).await.await;
    assert_eq!(status, 201, "{booking}");
    let lock = harness.lock("lock table checkout_attempts").await;
    harness.until_waiting("%attempt.parameters%").await;

    let job = Job::EndHold {
        booking_id: booking["id"].as_str().unwrap().parse().unwrap(),
    };
    let pooled = harness.database.pool().acquire().await.unwrap();
    let mut db = Connection::new(pooled, Arc::default());
    enqueue(&mut db, &[job.at(Clock::system().now())])
        .await
        .unwrap();
    harness.until(JOBS, "2", Duration::ZERO).await;
    server.logged("Failed task");
    lock.rollback().await.unwrap();

    harness
        .until(BOOKING, "expired", Duration::from_secs(15))
        .await;
    harness.until(JOBS, "0", Duration::from_secs(15)).await;
}

/// The queue's own pause after so many tries is hours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_has_failed_often_is_tried_again_within_a_minute() {
    let harness = Harness::new().await;
    assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
    let server = harness.serve(&[("HOLD_SECONDS", "3")]);
    harness
        .fault(
            r#"{ "route": "POST /v1/checkout/sessions/*/expire", "kind": "status", "status": 503,
                 "should_retry": false, "times": 99 }"#,
        )
        .await;
    assert_eq!(book(&harness, &server).await.await.0, 201);
    harness
        .sql("update jobs set attempts = 10 where key like 'end-hold-%'")
        .await;

    let soon = "select count(*) from jobs
                where attempts = 11 and locked_at is null
                  and run_at <= now() + interval '1 minute'";
    harness.until(soon, "1", Duration::from_secs(15)).await;
}

/// The process before it may have died, and left work that nobody is about to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_sweeps_soon_after_its_start() {
    let harness = Harness::new().await;
    let pooled = harness.database.pool().acquire().await.unwrap();
    let mut db = Connection::new(pooled, Arc::default());
    let refund_id = "01930000-0000-7000-8000-000000000001".parse().unwrap();
    let later = Clock::system().now() + TimeDelta::hours(6);
    let job = Job::Refund {
        refund_id,
        booking_id: None,
    };
    enqueue(&mut db, &[job.at(later)]).await.unwrap();
    harness.sql("update jobs set attempts = 10").await;

    let _server = harness.serve(&[]);

    let brought_forward = "select count(*) from jobs
                           where kind = 'refund' and run_at <= now() + interval '1 minute'";
    harness
        .until(brought_forward, "1", Duration::from_secs(10))
        .await;
}
