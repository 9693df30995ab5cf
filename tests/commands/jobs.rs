//! The background half of `holdfast serve`: several processes do the jobs of one database.

use std::time::Duration;

use super::serve::book;
use super::stage::Stage;

const SHORT_HOLD: (&str, &str) = ("HOLD_SECONDS", "1");
const BOOKING: &str = "select string_agg(status::text, ',') from bookings";
const JOBS: &str = "select count(*) from graphile_worker._private_jobs";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_ends_by_itself_while_two_servers_run() {
    let stage = Stage::new().await;
    assert_eq!(stage.run(&["seed"], &[]).code, Some(0));
    let first = stage.serve(&[SHORT_HOLD]);
    let _second = stage.serve(&[SHORT_HOLD]);

    let (status, booking) = book(&stage, &first).await.await;

    assert_eq!(status, 201, "{booking}");
    stage
        .until(BOOKING, "expired", Duration::from_secs(15))
        .await;
    stage
        .until("select count(*) from seat_claims", "0", Duration::ZERO)
        .await;
    stage.until(JOBS, "0", Duration::from_secs(10)).await;
}

/// A delayed payment asks for the end of its hold again, perhaps while that is under way; the queue
/// gives it another job.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_was_asked_for_again_while_it_ran_and_fails_leaves_nothing_behind() {
    let stage = Stage::new().await;
    assert_eq!(stage.run(&["seed"], &[]).code, Some(0));
    let mut server = stage.serve(&[("HOLD_SECONDS", "3")]);
    assert_eq!(book(&stage, &server).await.await.0, 201);
    let lock = stage.lock("lock table checkout_attempts").await;
    stage.until_waiting("%attempt.parameters%").await;

    stage
        .sql(
            "select graphile_worker.add_job('holdfast', payload::json, job_key => key, max_attempts => 4000)
             from graphile_worker._private_jobs
             where key like 'end-hold-%'",
        )
        .await;
    // The sweep of each minute may be there too.
    stage
        .until(
            &format!("{JOBS} where payload ->> 'kind' = 'endHold'"),
            "2",
            Duration::ZERO,
        )
        .await;
    server.logged("Failed task");
    lock.rollback().await.unwrap();

    stage
        .until(BOOKING, "expired", Duration::from_secs(15))
        .await;
    stage.until(JOBS, "0", Duration::from_secs(15)).await;
}

/// The queue's own pause after so many tries is hours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_has_failed_often_is_tried_again_within_a_minute() {
    let stage = Stage::new().await;
    assert_eq!(stage.run(&["seed"], &[]).code, Some(0));
    let server = stage.serve(&[("HOLD_SECONDS", "3")]);
    stage
        .fault(
            r#"{ "route": "POST /v1/checkout/sessions/*/expire", "kind": "status", "status": 503, "should_retry": false,
                 "times": 99 }"#,
        )
        .await;
    assert_eq!(book(&stage, &server).await.await.0, 201);
    stage
        .sql("update graphile_worker._private_jobs set attempts = 10 where key like 'end-hold-%'")
        .await;

    let soon = "select count(*) from graphile_worker._private_jobs
                where attempts = 11 and locked_at is null and run_at <= now() + interval '1 minute'";
    stage.until(soon, "1", Duration::from_secs(15)).await;
}
