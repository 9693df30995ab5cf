//! Money that comes when the hold has ended, for a booking that was sold for less: money decides.

use serde_json::{Value, json};

use crate::harness::TestApp;

/// Dana's booking with a voucher of one use, paid, expired to our knowledge, and the event that
/// says otherwise.
async fn paid_too_late(harness: &TestApp) -> (String, Value, Value, String) {
    let show = harness.show().await;
    let voucher = harness.voucher_with(json!({})).await;
    let dana = harness.customer("dana");
    let booking = dana.book_with(&show, &["A2"], "ONE").await.body;
    let paid = json!({ "session": booking["checkout"]["sessionId"] });
    let events = harness.pay_unheard(paid).await;
    harness.hear_of_expiry(&booking).await;
    let event = events["checkout.session.completed"].clone();
    (show, voucher, booking, event)
}

#[tokio::test]
async fn a_voucher_that_nobody_has_used_meanwhile_is_used_again() {
    let harness = TestApp::new().await;
    let (show, voucher, booking, event) = paid_too_late(&harness).await;
    let before = harness.used(&voucher).await;

    harness.deliver(&event).await;

    let after = harness.customer("dana").booking(&booking).await;
    assert_eq!(after["status"], "confirmed");
    assert_eq!(after["total"]["amountMinor"], 600);
    assert_eq!((before, harness.used(&voucher).await), (0, 1));
    let emil = harness.customer("emil");
    let refused = emil.book_with(&show, &["A3"], "ONE").await;
    refused.refused(422, "voucher_invalid");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_voucher_that_others_have_used_meanwhile_does_not_cost_the_buyer_their_seats() {
    let harness = TestApp::new().await;
    let (show, voucher, booking, event) = paid_too_late(&harness).await;
    let emil = harness.customer("emil");
    let emils = emil.book_with(&show, &["A3"], "ONE").await.body;

    harness.deliver(&event).await;
    let used = harness.used(&voucher).await;
    let cancel = format!("/api/bookings/{}/cancel", emils["id"].as_str().unwrap());
    emil.post(&cancel, json!({})).await;

    let after = harness.customer("dana").booking(&booking).await;
    assert_eq!(after["status"], "confirmed");
    assert_eq!(after["paid"]["amountMinor"], 600);
    assert_eq!(used, 2);
    assert_eq!(harness.used(&voucher).await, 1);
    let fern = harness.customer("fern");
    let refused = fern.book_with(&show, &["A4"], "ONE").await;
    refused.refused(422, "voucher_invalid");
    harness.reconcile().await;
}

#[tokio::test]
async fn seats_that_are_sold_meanwhile_leave_the_voucher_given_back() {
    let harness = TestApp::new().await;
    let (show, voucher, booking, event) = paid_too_late(&harness).await;
    harness.customer("emil").booked(&show, &["A2"]).await;

    harness.deliver(&event).await;
    harness.run_jobs().await;

    let after = harness.customer("dana").booking(&booking).await;
    assert_eq!(after["status"], "expired");
    assert_eq!(harness.used(&voucher).await, 0);
    let refunds = "select string_agg(amount_minor || ' ' || status, ',') from refunds";
    assert_eq!(harness.sql(refunds).await, "600 succeeded");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_booking_under_review_has_its_voucher_until_it_is_called_off() {
    let harness = TestApp::new().await;
    let (_, voucher, booking, event) = paid_too_late(&harness).await;
    let mut event: Value = serde_json::from_str(&event).unwrap();
    event["data"]["object"]["amount_total"] = json!(599);

    harness.deliver(&event.to_string()).await;
    let reviewed = harness.customer("dana").booking(&booking).await;
    let meanwhile = harness.used(&voucher).await;
    let path = format!(
        "/api/admin/bookings/{}/resolve",
        booking["id"].as_str().unwrap()
    );
    let cancel = json!({ "action": "cancel", "reason": "not the price" });
    let resolved = harness.admin().post(&path, cancel).await;
    harness.run_jobs().await;

    assert_eq!(reviewed["status"], "review");
    assert_eq!(resolved.body["status"], "cancelled", "{resolved:?}");
    assert_eq!((meanwhile, harness.used(&voucher).await), (1, 0));
    let refunds = "select string_agg(amount_minor || ' ' || status, ',') from refunds";
    assert_eq!(harness.sql(refunds).await, "599 succeeded");
}
