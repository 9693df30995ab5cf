//! Whoever lets two holds of a show lapse waits before the third.

use chrono::TimeDelta;
use serde_json::json;

use super::{cancel, order};
use crate::harness::{Answer, TestApp};

/// Dana has let two holds of a show lapse, the second just now.
async fn lapsed(harness: &TestApp) -> String {
    let show = harness.show().await;
    for seat in ["A2", "A3"] {
        harness.customer("dana").booked(&show, &[seat]).await;
        harness.lapse().await;
    }
    show
}

#[track_caller]
fn refused_for(answer: &Answer, seconds: &str) {
    answer.refused(429, "rate_limited");
    assert_eq!(answer.headers["retry-after"], seconds);
}

#[tokio::test]
async fn after_two_lapses_the_third_hold_waits_as_long_as_a_hold_lasts() {
    let harness = TestApp::new().await;
    let show = lapsed(&harness).await;

    let at_first = harness.customer("dana").book(&show, &["A2"]).await;
    harness.advance(TimeDelta::milliseconds(598_500)).await;
    let at_last = harness.customer("dana").book(&show, &["A2"]).await;
    harness.advance(TimeDelta::milliseconds(1_500)).await;
    let served = harness.customer("dana").book(&show, &["A2"]).await;

    refused_for(&at_first, "600");
    refused_for(&at_last, "2");
    assert_eq!(served.status, 201);
    harness.reconcile().await;
}

#[tokio::test]
async fn others_and_other_shows_wait_for_nothing() {
    let harness = TestApp::new().await;
    let show = lapsed(&harness).await;
    let service = harness.service_with(json!({})).await;

    let of_another = harness.customer("emil").book(&show, &["A2"]).await;
    let dana = harness.customer("dana");
    let elsewhere = dana.book(&harness.show().await, &["A2"]).await;
    let slot = dana.book_slot(&service, super::NOON, 1, "full").await;

    assert_eq!(of_another.status, 201);
    assert_eq!(elsewhere.status, 201);
    assert_eq!(slot.status, 201);
}

#[tokio::test]
async fn the_same_key_is_served_after_the_pause() {
    let harness = TestApp::new().await;
    let show = lapsed(&harness).await;
    let body = order(&show, "A2");
    let dana = harness.customer("dana");

    let refused = dana.post_keyed("/api/bookings", body.clone(), "key").await;
    harness.advance(TimeDelta::minutes(10)).await;
    let served = dana.post_keyed("/api/bookings", body, "key").await;

    refused_for(&refused, "600");
    assert_eq!(served.status, 201, "{served:?}");
    assert!(served.headers.get("idempotent-replayed").is_none());
    harness.reconcile().await;
}

#[tokio::test]
async fn who_calls_off_in_time_or_lets_one_lapse_an_hour_waits_for_nothing() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    for _ in 0..3 {
        let dana = harness.customer("dana");
        let held = dana.booked(&show, &["A2"]).await;
        cancel(&dana, &held).await;
        dana.booked(&show, &["A2"]).await;
        harness.lapse().await;
        harness.advance(TimeDelta::minutes(51)).await;
    }

    harness.customer("dana").booked(&show, &["A2"]).await;
}

#[tokio::test]
async fn a_paid_booking_and_a_failed_debit_are_no_lapses() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    for end in ["succeeded", "failed"] {
        let dana = harness.customer("dana");
        let booking = dana.booked(&show, &["A2"]).await;
        let session = &booking["checkout"]["sessionId"];
        let debit = json!({ "session": session, "card": crate::delayed::SEPA });
        harness.knob("pay", debit).await;
        let settled = json!({ "session": session, "outcome": end });
        harness.knob("settle", settled).await;
        harness.simulator.settled().await;
        if end == "succeeded" {
            let path = format!("/api/bookings/{}/cancel", booking["id"].as_str().unwrap());
            assert_eq!(dana.post(&path, json!({})).await.status, 200);
        }
    }
    harness.customer("dana").booked(&show, &["A2"]).await;
    harness.lapse().await;

    harness.customer("dana").booked(&show, &["A2"]).await;
}
