//! An admin asks how a booking stands at Stripe, now.

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
