//! A use is given back when its booking ends, and belongs to it as long as it is live.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::VOUCHERS;
use crate::delayed::SEPA;
use crate::harness::TestApp;

/// A show, a voucher of one use, and Dana's booking with it.
async fn held(harness: &TestApp) -> (String, Value, Value) {
    let starts_at = harness.now() + TimeDelta::days(60);
    let show = harness.show_with(json!({ "startsAt": starts_at })).await;
    let voucher = harness.voucher_with(json!({})).await;
    let dana = harness.customer("dana");
    let booked = dana.book_with(&show, &["A2"], "ONE").await;
    assert_eq!(booked.status, 201, "{booked:?}");
    (show, voucher, booked.body)
}

/// Emil cannot have the voucher, and then he can.
async fn passes_on(harness: &TestApp, show: &str, voucher: &Value, status: &str) {
    assert_eq!(harness.used(voucher).await, 0);
    assert_eq!(harness.sql("select status from bookings").await, status);
    let emil = harness.customer("emil");
    let booked = emil.book_with(show, &["A3"], "ONE").await;
    assert_eq!(booked.status, 201, "{booked:?}");
    assert_eq!(harness.used(voucher).await, 1);
    harness.reconcile().await;
}

#[tokio::test]
async fn an_expired_booking_gives_its_voucher_back() {
    let harness = TestApp::new().await;
    let (show, voucher, _) = held(&harness).await;
    let emil = harness.customer("emil");

    let before = emil.book_with(&show, &["A3"], "ONE").await;
    harness.advance(TimeDelta::minutes(10)).await;
    harness.run_jobs().await;

    before.refused(422, "voucher_invalid");
    passes_on(&harness, &show, &voucher, "expired").await;
}

#[tokio::test]
async fn a_cancelled_booking_gives_its_voucher_back() {
    let harness = TestApp::new().await;
    let (show, voucher, booking) = held(&harness).await;

    let cancel = format!("/api/bookings/{}/cancel", booking["id"].as_str().unwrap());
    let cancelled = harness.customer("dana").post(&cancel, json!({})).await;

    assert_eq!(cancelled.status, 200, "{cancelled:?}");
    passes_on(&harness, &show, &voucher, "cancelled").await;
}

#[tokio::test]
async fn a_payment_that_fails_gives_the_voucher_back() {
    let harness = TestApp::new().await;
    let (show, voucher, booking) = held(&harness).await;
    let session = &booking["checkout"]["sessionId"];
    let pay = json!({ "session": session, "card": SEPA });
    harness.knob("pay", pay).await;
    harness.simulator.settled().await;
    let meanwhile = harness.used(&voucher).await;

    let failed = json!({ "session": session, "outcome": "failed" });
    harness.knob("settle", failed).await;
    harness.simulator.settled().await;

    assert_eq!(meanwhile, 1);
    passes_on(&harness, &show, &voucher, "failed").await;
}

#[tokio::test]
async fn a_session_that_stripe_refuses_gives_the_voucher_back() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let voucher = harness.voucher_with(json!({})).await;
    let refused = json!({
        "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 400, "times": 1,
    });
    harness.knob("faults", refused).await;

    let booked = harness
        .customer("dana")
        .book_with(&show, &["A2"], "ONE")
        .await;

    booked.refused(502, "payment_provider_error");
    passes_on(&harness, &show, &voucher, "failed").await;
}

#[tokio::test]
async fn seats_that_go_back_with_a_refund_take_the_voucher_with_them() {
    let harness = TestApp::new().await;
    let (show, voucher, booking) = held(&harness).await;
    harness.pay(&booking).await;

    let path = format!(
        "/api/admin/bookings/{}/refunds",
        booking["id"].as_str().unwrap()
    );
    let refund = json!({ "reason": "ill", "releaseSeats": true });
    let refunded = harness.admin().post(&path, refund).await;
    harness.run_jobs().await;

    assert_eq!(refunded.status, 202, "{refunded:?}");
    assert_eq!(refunded.body["amount"]["amountMinor"], 600);
    passes_on(&harness, &show, &voucher, "cancelled").await;
}

#[tokio::test]
async fn a_confirmed_booking_that_is_cancelled_gives_its_voucher_back() {
    for percent in [50, 100] {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        let voucher = harness.voucher_with(json!({ "percentOff": percent })).await;
        let dana = harness.customer("dana");
        let booking = dana.book_with(&show, &["A2"], "ONE").await.body;
        if percent < 100 {
            harness.pay(&booking).await;
        }
        let meanwhile = dana.booking(&booking).await;

        let cancel = format!("/api/bookings/{}/cancel", booking["id"].as_str().unwrap());
        let cancelled = dana.post(&cancel, json!({})).await;
        harness.run_jobs().await;

        assert_eq!(meanwhile["status"], "confirmed");
        assert_eq!(cancelled.status, 200, "{cancelled:?}");
        let refunds = "select coalesce(sum(amount_minor), 0) from refunds";
        let refunded = (1_200 - 12 * percent).to_string();
        assert_eq!(harness.sql(refunds).await, refunded);
        passes_on(&harness, &show, &voucher, "cancelled").await;
    }
}

#[tokio::test]
async fn a_change_of_the_voucher_changes_no_booking_that_has_it() {
    let harness = TestApp::new().await;
    let (show, voucher, booking) = held(&harness).await;
    let path = format!("{VOUCHERS}/{}", voucher["id"].as_str().unwrap());
    let off = json!({ "percentOff": 10, "active": false, "validUntil": "2026-11-21T12:00:01Z" });

    let changed = harness.admin().patch(&path, off).await;
    harness.advance(TimeDelta::minutes(1)).await;
    harness.pay(&booking).await;

    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(changed.body["used"], 1);
    let paid = harness.customer("dana").booking(&booking).await;
    assert_eq!(paid["status"], "confirmed");
    assert_eq!(paid["paid"]["amountMinor"], 600);
    assert_eq!(harness.used(&voucher).await, 1);
    let emil = harness.customer("emil");
    let refused = emil.book_with(&show, &["A3"], "ONE").await;
    refused.refused(422, "voucher_invalid");
    harness.reconcile().await;
}
