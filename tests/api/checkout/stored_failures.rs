//! A failure that Stripe keeps under its key: another key follows, and of the sessions that may be
//! behind both, one is paid and the others are closed.

use chrono::TimeDelta;
use holdfast::domain::job::Job;
use holdfast::jobs;
use serde_json::json;

use super::form;
use crate::harness::{TestApp, send};

#[tokio::test]
async fn a_failure_that_stripe_stored_is_left_behind_with_a_new_key() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let stored = json!({
        "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 500, "stored": true,
    });
    harness.knob("faults", stored).await;
    let dana = harness.customer("dana");

    let booking = dana.booked(&show, &["A2"]).await;
    harness.pay(&booking).await;

    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    assert_eq!(
        harness
            .sql("select string_agg(status::text, ',' order by id) from checkout_attempts")
            .await,
        "failed,paid"
    );
    let last = harness.stripe_requests().await.pop().unwrap();
    let attempt = harness
        .sql("select id from checkout_attempts where status = 'paid'")
        .await;
    assert_eq!(last["idempotencyKey"], format!("cs-{attempt}"));
    assert!(form(&last).contains(&("metadata[attemptId]".to_owned(), attempt)));
    harness.reconcile().await;
}

#[tokio::test]
async fn a_session_that_ended_unseen_beside_a_paid_one_is_closed() {
    let harness = TestApp::new().await;
    book_behind_a_failure(&harness).await;
    // Of another session the answer is lost.
    let create = "POST /v1/checkout/sessions$";
    harness
        .knob("faults", json!({ "route": create, "kind": "delay" }))
        .await;
    harness
        .knob("faults", json!({ "route": create, "kind": "lost_answer" }))
        .await;
    harness
        .knob(
            "faults",
            json!({ "route": create, "kind": "status", "status": 503, "should_retry": false }),
        )
        .await;
    harness.advance(TimeDelta::seconds(5)).await;
    assert_eq!(harness.run_jobs().await, 0);
    let sessions = harness.ask_stripe("/v1/checkout/sessions").await["data"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(sessions.len(), 2);

    harness
        .knob("pay", json!({ "session": sessions[1]["id"] }))
        .await;
    harness.simulator.settled().await;
    harness.knob("deliveries", json!({ "drop": true })).await;
    harness.advance(TimeDelta::minutes(45)).await;
    harness.run_jobs().await;

    let attempts = "select string_agg(status::text, ',' order by id) from checkout_attempts";
    assert_eq!(harness.sql(attempts).await, "paid,expired");
    assert_eq!(
        harness.sql("select status from bookings").await,
        "confirmed"
    );
    assert_eq!(harness.sql("select count(*) from jobs").await, "0");
    harness.reconcile().await;
}

#[tokio::test]
async fn an_attempt_that_lost_its_job_is_closed_though_another_was_paid() {
    let harness = TestApp::new().await;
    book_behind_a_failure(&harness).await;
    // Whoever asks under another key dies before Stripe hears of it.
    let create = "POST /v1/checkout/sessions$";
    harness
        .knob("faults", json!({ "route": create, "kind": "delay" }))
        .await;
    harness
        .knob(
            "faults",
            json!({ "route": create, "kind": "status", "status": 503, "should_retry": false }),
        )
        .await;
    harness.advance(TimeDelta::seconds(5)).await;
    assert_eq!(harness.run_jobs().await, 0);
    sqlx::query("delete from jobs")
        .execute(harness.db())
        .await
        .unwrap();
    let sessions = harness.ask_stripe("/v1/checkout/sessions").await["data"]
        .as_array()
        .unwrap()
        .clone();

    harness
        .knob("pay", json!({ "session": sessions[0]["id"] }))
        .await;
    harness.simulator.settled().await;
    harness.advance(TimeDelta::minutes(1)).await;
    jobs::perform(&harness.app, &Job::Sweep).await.unwrap();
    harness.run_jobs().await;

    assert_eq!(
        harness.sql("select status from bookings").await,
        "confirmed"
    );
    assert_eq!(
        harness
            .sql("select string_agg(status::text, ',' order by id) from checkout_attempts")
            .await,
        "paid,expired"
    );
    assert_eq!(
        harness
            .ask_stripe("/v1/checkout/sessions?status=open")
            .await["data"],
        json!([])
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn an_attempt_that_can_only_fail_is_closed_once_another_was_paid() {
    let harness = TestApp::new().await;
    book_behind_a_failure(&harness).await;
    // Under every other key there is a failure with nothing behind it.
    let stored = json!({
        "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 500, "stored": true,
        "times": 99,
    });
    harness.knob("faults", stored).await;
    harness.advance(TimeDelta::seconds(5)).await;
    harness.run_jobs().await;
    let sessions = harness.ask_stripe("/v1/checkout/sessions").await["data"]
        .as_array()
        .unwrap()
        .clone();

    harness
        .knob("pay", json!({ "session": sessions[0]["id"] }))
        .await;
    harness.simulator.settled().await;
    harness.advance(TimeDelta::minutes(45)).await;
    harness.run_jobs().await;

    assert_eq!(sessions.len(), 1);
    assert_eq!(
        harness.sql("select status from bookings").await,
        "confirmed"
    );
    assert_eq!(
        harness
            .sql("select string_agg(distinct status::text, ',') from checkout_attempts")
            .await,
        "failed,paid"
    );
    assert_eq!(harness.sql("select count(*) from jobs").await, "0");
    harness.reconcile().await;
}

/// No link comes back, and the session is made behind a failure that Stripe keeps telling.
async fn book_behind_a_failure(harness: &TestApp) {
    let show = harness.show().await;
    let stored = json!({
        "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 500, "stored": true,
        "after": true, "should_retry": false,
    });
    harness.knob("faults", stored).await;
    harness
        .customer("dana")
        .book(&show, &["A2"])
        .await
        .refused(503, "payment_provider_unavailable");
}

/// The first key is spent, but somebody pays the session behind it while the second is asked for.
/// The answer to the request to close the second session is lost, so that it is found closed.
#[tokio::test]
async fn a_second_session_that_nobody_waits_for_is_closed_even_if_the_answer_is_lost() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let create = "POST /v1/checkout/sessions$";
    for fault in [
        json!({ "route": create, "kind": "status", "status": 500, "stored": true, "after": true }),
        json!({ "route": create, "kind": "delay", "seconds": 0 }),
        json!({ "route": create, "kind": "delay", "after": true, "seconds": 3 }),
        json!({ "route": "POST /v1/checkout/sessions/*/expire", "kind": "lost_answer" }),
    ] {
        harness.knob("faults", fault).await;
    }
    let dana = harness.customer("dana");
    let ghost = async {
        loop {
            let sessions = send(
                harness
                    .http
                    .get(format!("{}/_simulator/sessions", harness.simulator.url())),
            )
            .await
            .body;
            if sessions.as_array().unwrap().len() == 2 {
                return harness
                    .pay(&json!({ "checkout": { "sessionId": sessions[0]["id"] } }))
                    .await;
            }
        }
    };

    let body = json!({ "kind": "show", "showId": show, "seats": ["A2"] });
    let (booked, _) = tokio::join!(dana.post("/api/bookings", body), ghost);

    assert_eq!(
        (booked.status, &booked.body["status"]),
        (201, &json!("confirmed")),
        "{booked:?}"
    );
    harness.run_jobs().await;
    assert_eq!(
        harness
            .sql("select string_agg(status::text, ',' order by id) from checkout_attempts")
            .await,
        "paid,expired"
    );
    harness.reconcile().await;
}
