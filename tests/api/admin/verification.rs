//! An admin asks how a booking stands at Stripe, now.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::paid_unheard;
use crate::harness::{Answer, TestApp};

async fn verify(harness: &TestApp, booking: &Value) -> Answer {
    let id = booking["id"].as_str().unwrap();
    let path = format!("/api/admin/bookings/{id}/verify");
    harness.admin().post(&path, json!({})).await
}

#[tokio::test]
async fn a_payment_that_nobody_has_heard_of_is_found() {
    let harness = TestApp::new().await;
    let (booking, _) = paid_unheard(&harness).await;

    let verified = verify(&harness, &booking).await;
    let again = verify(&harness, &booking).await;

    assert_eq!(verified.status, 200, "{verified:?}");
    assert_eq!(verified.body["status"], "confirmed");
    assert_eq!(verified.body["changed"], true);
    assert_eq!(verified.body["booking"]["isPaid"], true);
    assert_eq!(again.body["status"], "confirmed");
    assert_eq!(again.body["changed"], false);
    let settled_by = "select string_agg(settled_by, ' ') from payments";
    assert_eq!(harness.sql(settled_by).await, "admin");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_booking_that_is_not_paid_stays_as_it_is() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;

    let verified = verify(&harness, &booking).await;

    assert_eq!(verified.body["status"], "pending");
    assert_eq!(verified.body["changed"], false);
    assert_eq!(verified.body["booking"], booking);
}

#[tokio::test]
async fn a_stripe_that_does_not_answer_is_named_as_such() {
    let harness = TestApp::new().await;
    let (booking, _) = paid_unheard(&harness).await;
    let fault = json!({
        "route": "GET /v1/checkout/sessions/", "kind": "status", "status": 500, "times": 50,
    });
    harness.knob("faults", fault).await;

    let verified = verify(&harness, &booking).await;

    verified.refused(503, "payment_provider_unavailable");
    let dana = harness.customer("dana");
    assert_eq!(dana.booking(&booking).await["status"], "pending");
}

#[tokio::test]
async fn a_stripe_that_refuses_is_named_as_such_once_all_others_are_settled() {
    for status in [401, 403] {
        let harness = TestApp::new().await;
        let (booking, _) = paid_unheard(&harness).await;
        let refused = json!({
            "route": "GET /v1/checkout/sessions/", "kind": "status", "status": status,
        });
        harness.knob("faults", refused).await;

        let verified = verify(&harness, &booking).await;

        verified.refused(502, "payment_provider_error");
        let again = verify(&harness, &booking).await;
        assert_eq!(again.body["status"], "confirmed", "{status}");
    }
}

/// A booking whose page Stripe has made and never told us of.
async fn unanswered(harness: &TestApp) -> Value {
    let show = harness.show().await;
    for fault in [
        json!({ "route": "POST /v1/checkout/sessions$", "kind": "lost_answer" }),
        json!({
            "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 503,
            "should_retry": false,
        }),
    ] {
        harness.knob("faults", fault).await;
    }
    let dana = harness.customer("dana");
    let booked = dana.book(&show, &["A2"]).await;
    booked.refused(503, "payment_provider_unavailable");
    let id = harness.sql("select id from bookings").await;
    dana.booking(&json!({ "id": id })).await
}

#[tokio::test]
async fn a_page_that_stripe_never_told_us_of_is_asked_about_too() {
    let harness = TestApp::new().await;
    let booking = unanswered(&harness).await;
    let session = harness.all_at_stripe("checkout/sessions").await[0]["id"].clone();
    harness.pay_unheard(json!({ "session": session })).await;

    let verified = verify(&harness, &booking).await;
    let again = verify(&harness, &booking).await;

    assert_eq!(verified.status, 200, "{verified:?}");
    assert_eq!(verified.body["status"], "confirmed");
    assert_eq!(verified.body["changed"], true);
    assert_eq!(again.body["changed"], false);
    harness.reconcile().await;
}

#[tokio::test]
async fn that_a_page_is_learnt_of_is_a_change() {
    let harness = TestApp::new().await;
    let booking = unanswered(&harness).await;

    let verified = verify(&harness, &booking).await;

    assert_eq!(verified.body["status"], "pending");
    assert_eq!(verified.body["changed"], true);
    assert_ne!(verified.body["booking"]["checkout"], Value::Null);
}

/// Money that changes the booking itself in nothing: it had ended, and goes back.
#[tokio::test]
async fn money_beside_the_booking_is_a_change_however_many_pages_came_after_it() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let slot = "2026-12-01T09:00:00Z";
    let booking = dana.book_slot(&service, slot, 1, "half").await.body;
    harness.pay(&booking).await;
    let checkout = format!("/api/bookings/{}/checkout", booking["id"].as_str().unwrap());
    let mut first = Value::Null;
    for page in 0..7 {
        let dana = harness.customer("dana");
        let opened = dana.post(&checkout, json!({ "part": "balance" })).await;
        assert_eq!(opened.status, 200, "{opened:?}");
        if page == 0 {
            first = opened.body["checkout"]["sessionId"].clone();
        }
        harness.advance(TimeDelta::minutes(36)).await;
    }
    // As if Stripe had taken it at the last moment, and told nobody.
    let paid = json!({
        "route": "GET /v1/checkout/sessions/", "kind": "altered",
        "members": {
            "id": first, "status": "complete", "payment_status": "paid", "amount_total": 500,
            "currency": "usd", "payment_intent": "pi_late",
            "client_reference_id": booking["id"], "metadata": { "bookingId": booking["id"] },
        },
    });
    harness.knob("deliveries", json!({ "drop": true })).await;
    let asked = harness.stripe_requests().await.len();
    harness.knob("faults", paid).await;

    let verified = verify(&harness, &booking).await;

    assert_eq!(verified.status, 200, "{verified:?}");
    let requests = harness.stripe_requests().await;
    let of_sessions = requests[asked..].iter().filter(|asked| {
        let path = asked["path"].as_str().unwrap();
        asked["method"] == "GET" && path.starts_with("/v1/checkout/sessions/")
    });
    assert_eq!(of_sessions.count(), 8, "each of its pages");
    assert_eq!(verified.body["changed"], true);
}
