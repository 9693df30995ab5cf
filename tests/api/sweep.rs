//! The sweep and the schedule: what they do although something is wrong, and how often.

use chrono::{DateTime, TimeDelta, Utc};
use holdfast::domain::job::{Job, RecurringJob};
use holdfast::jobs;
use holdfast::repositories::jobs::{enqueue, keep_waiting};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, query_scalar};

use crate::harness::TestApp;

const LOST: TimeDelta = TimeDelta::minutes(13);
const QUEUED: &str =
    "select string_agg(kind || ' ' || state || ' ' || attempts, ', ' order by id) from jobs";

#[tokio::test]
async fn what_fails_of_a_sweep_keeps_no_other_part_from_being_done() {
    for fault in [
        "drop function bring_misdated_jobs_forward",
        "drop function bring_jobs_forward",
        "drop function forget_replaced_jobs",
        "alter table payment_events rename to away",
        "alter table idempotency_keys rename to away",
        "alter table runs rename to away",
    ] {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        harness.customer("dana").booked(&show, &["A2"]).await;
        harness.db().execute("delete from jobs").await.unwrap();
        harness.advance(LOST).await;
        harness.db().execute(fault).await.unwrap();

        let swept = jobs::perform(&harness.app, &Job::Sweep).await;

        assert!(swept.is_err(), "{fault}");
        assert_eq!(harness.sql(QUEUED).await, "endHold queued 0", "{fault}");
    }
}

/// A clock that agrees with Postgres', on the same machine perhaps, may be wrong all the same.
#[tokio::test]
async fn a_process_whose_clock_is_far_from_stripes_sweeps_nothing() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    harness.customer("dana").booked(&show, &["A2"]).await;
    harness.db().execute("delete from jobs").await.unwrap();
    harness.jump(LOST);
    harness.set_database_clock(harness.now()).await;
    jobs::ask_stripe_for_time(&harness.app).await.unwrap();

    jobs::perform(&harness.app, &Job::Sweep).await.unwrap();
    let ahead = harness.sql(QUEUED).await;
    let theirs = json!({ "now": harness.now() });
    harness.knob("clock", theirs).await;
    jobs::ask_stripe_for_time(&harness.app).await.unwrap();
    jobs::perform(&harness.app, &Job::Sweep).await.unwrap();

    assert_eq!(ahead, "");
    assert_eq!(harness.sql(QUEUED).await, "endHold queued 0");
}

#[tokio::test]
async fn one_sweep_shortens_all_holds_that_are_too_long() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    harness.jump(TimeDelta::hours(1));
    harness.customer("dana").booked(&show, &["A2"]).await;
    harness.jump(-TimeDelta::hours(1));
    let many = "alter table bookings disable trigger user;
                insert into bookings (
                  id, reference, user_id, kind, show_id, seats, status, currency, total_minor,
                  due_minor, cancellation_policy, hold_expires_at, created_at, updated_at
                )
                select gen_random_uuid(), 'HF-' || lpad(number::text, 6, '0'), user_id, kind,
                       show_id, seats, status, currency, total_minor, due_minor,
                       cancellation_policy, hold_expires_at, created_at, updated_at
                from bookings cross join generate_series(1, 1200) as number";
    sqlx::raw_sql(many).execute(harness.db()).await.unwrap();

    jobs::perform(&harness.app, &Job::Sweep).await.unwrap();

    let ends = "select string_agg(distinct to_char(hold_expires_at, 'HH24:MI'), ' ') from bookings";
    assert_eq!(harness.sql(ends).await, "12:10");
}

#[tokio::test]
async fn each_kind_of_job_waits_for_as_long_as_it_may_and_no_longer() {
    let id = "01930000-0000-7000-8000-000000000001";
    for (job, minutes) in [
        (json!({ "kind": "finishCheckout", "bookingId": id }), 1),
        (json!({ "kind": "settleEvent", "eventId": "evt_1" }), 60),
        (json!({ "kind": "refund", "refundId": id }), 1),
        (json!({ "kind": "lookAtRefunds", "paymentId": id }), 1),
        (json!({ "kind": "beginReconciliation" }), 5),
        (json!({ "kind": "reconcile", "reconciliationId": id }), 1),
        (json!({ "kind": "cancelShow", "runId": id }), 1),
        (json!({ "kind": "sweep" }), 1),
    ] {
        let harness = TestApp::new().await;
        let mut db = harness.app.acquire().await.unwrap();
        let parsed: Job = serde_json::from_value(job.clone()).unwrap();
        let later = harness.now() + TimeDelta::days(30);
        enqueue(&mut db, &[parsed.at(later)]).await.unwrap();

        jobs::perform(&harness.app, &Job::Sweep).await.unwrap();

        let waits = due(&harness).await - harness.now();
        assert_eq!(waits, TimeDelta::minutes(minutes), "{job}");
    }
}

/// As while a later release runs beside this one.
#[tokio::test]
async fn a_job_of_an_unknown_kind_keeps_its_time() {
    let harness = TestApp::new().await;
    let mut db = harness.app.acquire().await.unwrap();
    let later = harness.now() + TimeDelta::days(30);
    enqueue(&mut db, &[Job::Sweep.at(later)]).await.unwrap();
    let unknown = "update jobs set payload = '{\"kind\": \"fly\"}'";
    db.execute(unknown).await.unwrap();

    jobs::perform(&harness.app, &Job::Sweep).await.unwrap();

    assert_eq!(due(&harness).await, later);
}

#[tokio::test]
async fn a_job_of_the_schedule_is_one_job_however_many_keep_it() {
    let harness = TestApp::new().await;

    keep(&harness, 60).await;
    let first = due(&harness).await;
    keep(&harness, 60).await;

    assert_eq!(harness.sql(QUEUED).await, "sweep queued 0");
    assert_eq!(due(&harness).await, first);
}

#[tokio::test]
async fn a_job_of_the_schedule_that_fails_keeps_its_tries_and_one_that_runs_is_left_alone() {
    for (state, left) in [
        ("attempts = 3", "sweep retrying 3"),
        (
            "locked_at = now(), locked_by = 'a test', run_at = now() + interval '1 hour'",
            "sweep running 0",
        ),
        ("attempts = max_attempts", "sweep queued 0"),
    ] {
        let harness = TestApp::new().await;
        keep(&harness, 60).await;
        let state = AssertSqlSafe(format!("update jobs set {state}"));
        harness.db().execute(state).await.unwrap();

        keep(&harness, 60).await;

        assert_eq!(harness.sql(QUEUED).await, left);
    }
}

#[tokio::test]
async fn a_job_of_the_schedule_that_was_put_off_ahead_of_time_is_brought_forward() {
    let harness = TestApp::new().await;
    keep(&harness, 3_600).await;
    let far = due(&harness).await;

    keep(&harness, 60).await;
    let near = due(&harness).await;
    keep(&harness, 0).await;

    assert!(far - near > TimeDelta::minutes(58), "{far} {near}");
    assert!(near - due(&harness).await > TimeDelta::seconds(30));
    assert_eq!(harness.sql(QUEUED).await, "sweep queued 0");
}

async fn keep(harness: &TestApp, seconds: i64) {
    let mut db = harness.app.acquire().await.unwrap();
    let sweep = RecurringJob {
        job: Job::Sweep,
        pause: TimeDelta::seconds(seconds),
    };
    keep_waiting(&mut db, &[sweep]).await.unwrap();
}

/// When the one job is due.
async fn due(harness: &TestApp) -> DateTime<Utc> {
    let due = query_scalar("select run_at from jobs");
    due.fetch_one(harness.db()).await.unwrap()
}
