//! Clocks that are wrong when a process starts, and holds that were made by one that was ahead.

use std::time::Duration;

use chrono::TimeDelta;
use holdfast::app::Clock;
use serde_json::json;

use super::harness::Harness;
use super::serve::book;

/// A sweep comes within a minute, and the ten seconds after which a wrong time is seen.
const SWEPT: Duration = Duration::from_secs(90);

impl Harness {
    /// From now on, who asks the database for the time finds a function of ours, whose schema comes
    /// before Postgres' own.
    async fn shift_database_clock(&self, seconds: i32) {
        self.sql(&format!(
            "create schema if not exists harness;
             grant usage on schema harness to public;
             create or replace function harness.clock_timestamp() returns timestamptz
               language sql volatile
               as 'select pg_catalog.clock_timestamp() + make_interval(secs => {seconds})'"
        ))
        .await;
        let name = self.database.options().get_database().unwrap().to_owned();
        let path = format!("alter database {name} set search_path = public, harness, pg_catalog");
        self.sql(&path).await;
    }

    /// Sets Stripe's clock, which stands still then.
    async fn shift_stripe_clock(&self, seconds: i64) {
        let now = Clock::system().now() + TimeDelta::seconds(seconds);
        let url = format!("{}/_simulator/clock", self.simulator.url());
        let body = json!({ "now": now }).to_string();
        let set = reqwest::Client::new()
            .post(url)
            .header("content-type", "application/json");
        let set = set.body(body).send();
        assert_eq!(set.await.unwrap().status(), 200);
    }

    /// What `doctor` says of the clock, and its exit code.
    fn examined(&self) -> (String, Option<i32>) {
        let ended = self.run(&["doctor"], &[]);
        let line = ended.stdout.lines().find(|line| line.contains("  clock: "));
        (line.unwrap().to_owned(), ended.code)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_not_quite_right_is_told_and_good_enough() {
    let harness = Harness::new().await;
    let right = harness.examined();
    harness.shift_database_clock(90).await;

    let (line, code) = harness.examined();
    let mut server = harness.serve(&[]);

    assert!(right.0.starts_with("ok    clock: 0 s"), "{}", right.0);
    assert_eq!(right.1, Some(0));
    assert!(line.starts_with("WARN  clock: "), "{line}");
    assert!(line.contains(" s behind that of Postgres, "), "{line}");
    assert!(line.ends_with("that of Stripe; is NTP running?"), "{line}");
    assert_eq!(code, Some(0));
    server.logged(" s behind that of Postgres; is NTP running?");
    server.ready(200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_far_from_that_of_postgres_makes_unready_from_the_start() {
    let harness = Harness::new().await;
    harness.shift_database_clock(-300).await;

    let (line, code) = harness.examined();
    let mut server = harness.serve(&[]);

    assert!(line.starts_with("FAIL  clock: "), "{line}");
    assert!(line.contains(" s ahead of that of Postgres, "), "{line}");
    assert!(line.ends_with("set it right, by NTP for example"), "{line}");
    assert_eq!(code, Some(1));
    server.logged(" s ahead of that of Postgres, which is too much");
    assert_eq!(server.ready(503).await["code"], "clock_wrong");

    harness.shift_database_clock(0).await;
    server.ready(200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_far_from_that_of_stripe_makes_unready_from_the_start() {
    let harness = Harness::new().await;
    harness.shift_stripe_clock(-400).await;

    let (line, code) = harness.examined();
    let mut server = harness.serve(&[]);

    assert!(
        line.starts_with("FAIL  clock: 0 s ahead of that of Postgres, "),
        "{line}"
    );
    assert!(line.contains(" s ahead of that of Stripe"), "{line}");
    assert_eq!(code, Some(1));
    server.logged(" s ahead of that of Stripe, which is too much");
    assert_eq!(server.ready(503).await["code"], "clock_wrong");
}

/// As a process leaves it whose clock was ahead, and that has been stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_was_made_ahead_of_time_ends_by_itself() {
    let harness = Harness::new().await;
    assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
    let server = harness.serve(&[("HOLD_SECONDS", "5")]);
    let (status, booking) = book(&harness, &server).await.await;
    assert_eq!(status, 201, "{booking}");
    harness
        .sql(
            "update bookings set created_at = created_at + interval '1 day',
               updated_at = updated_at + interval '1 day',
               hold_expires_at = hold_expires_at + interval '1 day';
             update jobs set run_at = run_at + interval '1 day'",
        )
        .await;

    let status = "select status::text from bookings";
    harness.until(status, "expired", SWEPT).await;
}
