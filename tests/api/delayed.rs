//! Delayed methods whose last word is lost: Stripe is asked at the end of the time that they may
//! take, and for a buyer who has come back.

use chrono::TimeDelta;
use holdfast::domain::job::Job;
use holdfast::jobs;
use serde_json::{Value, json};

use crate::harness::TestApp;

/// An account that can be debited.
pub(crate) const SEPA: &str = "DE89370400440532013000";

/// A booking whose buyer has submitted a bank debit, of which we have heard; what its bank decides,
/// we do not hear.
async fn submitted(harness: &TestApp, outcome: Option<&str>) -> Value {
    let show = harness
        .show_with(json!({ "startsAt": harness.now() + TimeDelta::days(60) }))
        .await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let session = &booking["checkout"]["sessionId"];
    harness
        .knob("pay", json!({ "session": session, "card": SEPA }))
        .await;
    harness.simulator.settled().await;
    assert_eq!(dana.booking(&booking).await["status"], "processing");
    harness.knob("deliveries", json!({ "drop": true })).await;
    if let Some(outcome) = outcome {
        harness
            .knob("settle", json!({ "session": session, "outcome": outcome }))
            .await;
    }
    booking
}

/// Asks with a fresh token: the time that passes here is longer than one lives.
async fn status(harness: &TestApp, booking: &Value) -> Value {
    harness.customer("dana").booking(booking).await["status"].clone()
}

#[tokio::test]
async fn a_delayed_payment_that_we_have_not_heard_of_is_found_at_the_end_of_its_time() {
    for (outcome, end) in [("succeeded", "confirmed"), ("failed", "failed")] {
        let harness = TestApp::new().await;
        let booking = submitted(&harness, Some(outcome)).await;

        harness.advance(TimeDelta::days(13)).await;
        harness.run_jobs().await;
        let before = status(&harness, &booking).await;
        harness.advance(TimeDelta::days(1)).await;
        harness.run_jobs().await;

        assert_eq!(before, "processing");
        assert_eq!(status(&harness, &booking).await, end);
        assert_eq!(harness.sql("select count(*) from jobs").await, "0");
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn an_undecided_payment_keeps_its_seats_and_is_asked_about_again() {
    let harness = TestApp::new().await;
    let booking = submitted(&harness, None).await;

    harness.advance(TimeDelta::days(14)).await;
    harness.run_jobs().await;
    let undecided = status(&harness, &booking).await;
    let settled = json!({ "session": booking["checkout"]["sessionId"], "outcome": "failed" });
    harness.knob("settle", settled).await;
    harness.advance(TimeDelta::hours(6)).await;
    harness.run_jobs().await;

    assert_eq!(undecided, "processing");
    assert_eq!(status(&harness, &booking).await, "failed");
    assert_eq!(harness.sql("select count(*) from seat_claims").await, "0");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_delayed_payment_that_has_lost_its_job_is_found() {
    let harness = TestApp::new().await;
    let booking = submitted(&harness, Some("succeeded")).await;
    sqlx::query("delete from jobs")
        .execute(harness.db())
        .await
        .unwrap();

    harness.advance(TimeDelta::days(15)).await;
    jobs::perform(&harness.app, &Job::Sweep).await.unwrap();
    harness.run_jobs().await;

    assert_eq!(status(&harness, &booking).await, "confirmed");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_buyer_who_comes_back_learns_what_their_bank_has_decided() {
    for (outcome, end) in [
        (Some("succeeded"), "confirmed"),
        (Some("failed"), "failed"),
        (None, "processing"),
    ] {
        let harness = TestApp::new().await;
        let booking = submitted(&harness, outcome).await;

        let session = json!({ "sessionId": booking["checkout"]["sessionId"] });
        let verified = harness
            .customer("dana")
            .post("/api/payments/verify?wait=25", session)
            .await;

        assert_eq!(
            (verified.status, &verified.body["status"]),
            (200, &json!(end))
        );
        harness.reconcile().await;
    }
}
