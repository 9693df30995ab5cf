//! The background half of `holdfast serve`: several processes do the jobs of one database, and take over from the dead.

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
    stage.until(BOOKING, "expired", Duration::from_secs(15)).await;
    stage.until("select count(*) from seat_claims", "0", Duration::ZERO).await;
    stage.until(JOBS, "0", Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_job_of_a_killed_process_is_done_by_another_within_a_minute() {
    let stage = Stage::new().await;
    assert_eq!(stage.run(&["seed"], &[]).code, Some(0));
    let mut first = stage.serve(&[SHORT_HOLD]);
    stage.fault(r#"{ "route": "POST /v1/checkout/sessions/*/expire", "kind": "hang" }"#).await;
    let (status, booking) = book(&stage, &first).await.await;
    assert_eq!(status, 201, "{booking}");
    let taken = "select count(*) from graphile_worker._private_jobs where locked_by is not null";
    stage.until(taken, "1", Duration::from_secs(15)).await;

    first.signal("KILL");
    first.ended(Duration::from_secs(5));
    let _second = stage.serve(&[SHORT_HOLD]);

    stage.until(BOOKING, "expired", Duration::from_mins(1)).await;
}
