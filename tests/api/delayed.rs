//! Delayed methods whose last word is lost: Stripe is asked at the end of the time that they may
//! take, and for a buyer who has come back.

use chrono::TimeDelta;
use holdfast::domain::job::Job;
use holdfast::jobs;
use serde_json::{Value, json};

use crate::stage::TestApp;

/// An account that can be debited.
pub(crate) const SEPA: &str = "DE89370400440532013000";

/// A booking whose buyer has submitted a bank debit, of which we have heard; what its bank decides,
/// we do not hear.
async fn submitted(stage: &TestApp, outcome: Option<&str>) -> Value {
    let show = stage
        .show_with(json!({ "startsAt": stage.now() + TimeDelta::days(60) }))
        .await;
    let dana = stage.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let session = &booking["checkout"]["sessionId"];
    stage
        .knob("pay", json!({ "session": session, "card": SEPA }))
        .await;
    stage.simulator.settled().await;
    assert_eq!(dana.booking(&booking).await["status"], "processing");
    stage.knob("deliveries", json!({ "drop": true })).await;
    if let Some(outcome) = outcome {
        stage
            .knob("settle", json!({ "session": session, "outcome": outcome }))
            .await;
    }
    booking
}

/// Asks with a fresh token: the time that passes here is longer than one lives.
async fn status(stage: &TestApp, booking: &Value) -> Value {
    stage.customer("dana").booking(booking).await["status"].clone()
}

#[tokio::test]
async fn a_delayed_payment_that_we_have_not_heard_of_is_found_at_the_end_of_its_time() {
    for (outcome, end) in [("succeeded", "confirmed"), ("failed", "failed")] {
        let stage = TestApp::new().await;
        let booking = submitted(&stage, Some(outcome)).await;

        stage.advance(TimeDelta::days(13)).await;
        stage.run_jobs().await;
        let before = status(&stage, &booking).await;
        stage.advance(TimeDelta::days(1)).await;
        stage.run_jobs().await;

        assert_eq!(before, "processing");
        assert_eq!(status(&stage, &booking).await, end);
        assert_eq!(
            stage
                .sql("select count(*) from graphile_worker._private_jobs")
                .await,
            "0"
        );
        stage.check_books().await;
    }
}

#[tokio::test]
async fn an_undecided_payment_keeps_its_seats_and_is_asked_about_again() {
    let stage = TestApp::new().await;
    let booking = submitted(&stage, None).await;

    stage.advance(TimeDelta::days(14)).await;
    stage.run_jobs().await;
    let undecided = status(&stage, &booking).await;
    let settled = json!({ "session": booking["checkout"]["sessionId"], "outcome": "failed" });
    stage.knob("settle", settled).await;
    stage.advance(TimeDelta::hours(6)).await;
    stage.run_jobs().await;

    assert_eq!(undecided, "processing");
    assert_eq!(status(&stage, &booking).await, "failed");
    assert_eq!(stage.sql("select count(*) from seat_claims").await, "0");
    stage.check_books().await;
}

#[tokio::test]
async fn a_delayed_payment_that_has_lost_its_job_is_found() {
    let stage = TestApp::new().await;
    let booking = submitted(&stage, Some("succeeded")).await;
    sqlx::query("delete from graphile_worker._private_jobs")
        .execute(stage.db())
        .await
        .unwrap();

    stage.advance(TimeDelta::days(15)).await;
    jobs::perform(&stage.app, &Job::Sweep).await.unwrap();
    stage.run_jobs().await;

    assert_eq!(status(&stage, &booking).await, "confirmed");
    stage.check_books().await;
}

#[tokio::test]
async fn a_buyer_who_comes_back_learns_what_his_bank_has_decided() {
    for (outcome, end) in [
        (Some("succeeded"), "confirmed"),
        (Some("failed"), "failed"),
        (None, "processing"),
    ] {
        let stage = TestApp::new().await;
        let booking = submitted(&stage, outcome).await;

        let session = json!({ "sessionId": booking["checkout"]["sessionId"] });
        let verified = stage
            .customer("dana")
            .post("/api/payments/verify?wait=25", session)
            .await;

        assert_eq!(
            (verified.status, &verified.body["status"]),
            (200, &json!(end))
        );
        stage.check_books().await;
    }
}
