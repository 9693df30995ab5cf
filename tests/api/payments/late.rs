//! Money that comes when its session has ended.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::held;
use crate::harness::TestApp;

#[tokio::test]
async fn a_session_that_ends_unpaid_frees_its_seats() {
    let harness = TestApp::new().await;
    let (dana, booking) = held(&harness, "dana").await;

    harness.advance(TimeDelta::minutes(36)).await;

    let after = dana.booking(&booking).await;
    assert_eq!(after["status"], "expired");
    assert_eq!(after["checkout"], Value::Null);
    assert_eq!(after["seats"], json!(["A2"]));
    let show = booking["show"]["id"].as_str().unwrap();
    assert_eq!(
        harness.customer("emil").book(show, &["A2"]).await.status,
        201
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn a_late_payment_claims_free_seats_again() {
    let harness = TestApp::new().await;
    let (dana, booking) = held(&harness, "dana").await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    harness.hear_of_expiry(&booking).await;

    let settled = harness.deliver(&events["checkout.session.completed"]).await;

    assert_eq!(settled.body["outcome"], "processed");
    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    assert_eq!(
        harness
            .sql("select string_agg(label, ',') from seat_claims")
            .await,
        "A2"
    );
    assert_eq!(
        harness
            .sql("select outcome from payment_events where id not like 'evt_expired%'")
            .await,
        "the payment came late; the seats were still free, are claimed again, and the booking is \
         confirmed"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn a_late_payment_for_seats_that_are_sold_is_kept_as_surplus() {
    let harness = TestApp::new().await;
    let (dana, booking) = held(&harness, "dana").await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    harness.hear_of_expiry(&booking).await;
    let show = booking["show"]["id"].as_str().unwrap();
    let emil = harness.customer("emil").booked(show, &["A2"]).await;

    let settled = harness.deliver(&events["checkout.session.completed"]).await;

    assert_eq!(settled.body["outcome"], "processed");
    assert_eq!(dana.booking(&booking).await["status"], "expired");
    assert_eq!(
        harness
            .sql("select disposition || ' ' || surplus_reason from payments")
            .await,
        "surplus late_payment"
    );
    assert_eq!(
        harness.customer("emil").booking(&emil).await["status"],
        "pending"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn a_late_payment_for_a_show_that_has_begun_is_kept_as_surplus() {
    let harness = TestApp::new().await;
    let show = harness
        .show_with(json!({ "startsAt": "2026-11-21T12:20:00Z" }))
        .await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    harness.hear_of_expiry(&booking).await;

    harness.advance(TimeDelta::minutes(20)).await;
    harness.deliver(&events["checkout.session.completed"]).await;

    assert_eq!(
        harness.sql("select surplus_reason from payments").await,
        "late_payment"
    );
    assert_eq!(harness.sql("select count(*) from seat_claims").await, "0");
    harness.reconcile().await;
}
