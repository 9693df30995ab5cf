//! What an admin has dismissed stays so, however it is found again, as long as the facts are the
//! same.

use chrono::TimeDelta;
use holdfast::domain::job::Job;
use holdfast::jobs;
use serde_json::{Value, json};

use super::{ask_stripe_to, hide, paid_and_deaf, reconcile};
use crate::harness::TestApp;

/// What is open of a kind.
async fn open(harness: &TestApp, kind: &str) -> String {
    let open = "select count(*) from discrepancies where status = 'open' and kind =";
    harness.sql(&format!("{open} '{kind}'")).await
}

/// An admin dismisses all that is open.
async fn dismiss_all(harness: &TestApp) {
    let admin = harness.admin();
    let listed = admin.get("/api/admin/discrepancies?status=open").await.body;
    for found in listed["items"].as_array().unwrap() {
        let id = found["id"].as_str().unwrap();
        let path = format!("/api/admin/discrepancies/{id}/dismiss");
        assert_eq!(admin.post(&path, json!({})).await.status, 200);
    }
}

/// The event, under another id.
fn again(event: &Value, id: &str) -> Value {
    let mut again = event.clone();
    again["id"] = json!(id);
    again
}

#[tokio::test]
async fn an_object_that_cannot_be_settled_although_each_answer_has_an_id_of_its_own() {
    let harness = TestApp::new().await;
    let (_, intent) = paid_and_deaf(&harness).await;
    let form = format!("payment_intent={intent}&amount=500");
    ask_stripe_to(&harness, "refunds", &form).await;
    let kind = "capture_unsettled";
    let reconcile_refused = async |status: u16| {
        hide(&harness, "GET /v1/events").await;
        let refused = json!({ "route": "GET /v1/refunds$", "kind": "status", "status": status });
        harness.knob("faults", refused).await;
        hide(&harness, "GET /v1/refunds$").await;
        reconcile(&harness, json!({})).await;
        open(&harness, kind).await
    };

    assert_eq!(reconcile_refused(403).await, "1");
    dismiss_all(&harness).await;

    assert_eq!(reconcile_refused(403).await, "0", "the same refusal");
    assert_eq!(reconcile_refused(402).await, "1", "another refusal");
}

#[tokio::test]
async fn a_refund_of_an_amount_that_its_payment_cannot_have() {
    let harness = TestApp::new().await;
    let (_, intent) = paid_and_deaf(&harness).await;
    let mut event = json!({
        "id": "evt_1", "object": "event", "type": "refund.created", "livemode": false,
        "api_version": "2026-09-30.endive", "created": harness.now().timestamp(),
        "data": { "object": {
            "id": "re_odd", "object": "refund", "status": "succeeded", "amount": 1_201,
            "currency": "eur", "payment_intent": intent,
        } },
    });
    let heard = async |event: &Value| {
        assert_eq!(harness.deliver(&event.to_string()).await.status, 200);
        open(&harness, "refund_differs").await
    };

    assert_eq!(heard(&event).await, "1");
    dismiss_all(&harness).await;

    assert_eq!(heard(&again(&event, "evt_2")).await, "0");
    event["data"]["object"]["amount"] = json!(1_202);
    assert_eq!(heard(&again(&event, "evt_3")).await, "1");
}

#[tokio::test]
async fn a_report_that_differs_from_what_was_asked_for() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let pay = json!({ "session": booking["checkout"]["sessionId"] });
    let events = harness.pay_unheard(pay).await;
    harness.deliver(&events["payment_intent.succeeded"]).await;
    let mut event: Value = serde_json::from_str(&events["checkout.session.completed"]).unwrap();
    event["data"]["object"]["amount_total"] = json!(1_100);
    let heard = async |event: &Value| {
        assert_eq!(harness.deliver(&event.to_string()).await.status, 200);
        open(&harness, "amount_mismatch").await
    };

    assert_eq!(heard(&event).await, "1");
    dismiss_all(&harness).await;

    assert_eq!(heard(&again(&event, "evt_2")).await, "0");
    event["data"]["object"]["amount_total"] = json!(1_000);
    assert_eq!(heard(&again(&event, "evt_3")).await, "1");
}

#[tokio::test]
async fn a_refund_that_does_not_go_for_now_until_it_does_not_go_for_good() {
    let harness = TestApp::new().await;
    let (booking, _) = paid_and_deaf(&harness).await;
    let refused = json!({
        "route": "POST /v1/refunds", "kind": "status", "status": 400,
        "code": "balance_insufficient", "times": 99,
    });
    harness.knob("faults", refused).await;
    let path = format!(
        "/api/admin/bookings/{}/refunds",
        booking["id"].as_str().unwrap()
    );
    let asked = harness
        .admin()
        .post(&path, json!({ "reason": "rain" }))
        .await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let pass = async |by: TimeDelta| {
        harness.advance(by).await;
        jobs::perform(&harness.app, &Job::Sweep).await.unwrap();
        harness.run_jobs().await;
        open(&harness, "refund_not_gone").await
    };

    assert_eq!(pass(TimeDelta::minutes(1)).await, "1");
    dismiss_all(&harness).await;

    assert_eq!(pass(TimeDelta::days(1)).await, "0", "the same again");
    assert_eq!(pass(TimeDelta::days(31)).await, "1", "it has failed");
}
