//! A deposit confirms; the balance is paid afterwards.

use serde_json::{Value, json};

use crate::harness::{Answer, Caller, TestApp};

const AFTERNOON: &str = "2026-12-01T09:00:00Z";

async fn checkout(caller: &Caller<'_>, booking: &Value, body: Value) -> Answer {
    let id = booking["id"].as_str().unwrap();
    caller
        .post(&format!("/api/bookings/{id}/checkout"), body)
        .await
}

#[tokio::test]
async fn the_deposit_confirms_and_the_balance_is_the_exact_rest() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
    assert_eq!(booked["dueNow"]["amountMinor"], 501);
    let early = checkout(&dana, &booked, json!({ "part": "balance" })).await;
    early.refused(409, "booking_not_payable");
    harness.pay(&booked).await;

    let confirmed = dana.booking(&booked).await;
    let opened = checkout(&dana, &booked, json!({ "part": "balance" })).await;
    let again = checkout(&dana, &booked, json!({ "part": "balance" })).await;
    harness.pay(&opened.body).await;

    assert_eq!(confirmed["status"], "confirmed");
    assert_eq!(confirmed["paymentStatus"], "depositPaid");
    assert_eq!(confirmed["balance"]["amountMinor"], 500);
    assert_eq!(opened.status, 200, "{opened:?}");
    assert_eq!(opened.body["checkout"], again.body["checkout"]);
    let settled = dana.booking(&booked).await;
    assert_eq!(settled["paymentStatus"], "paid");
    assert_eq!(settled["balance"]["amountMinor"], 0);
    let more = checkout(&dana, &booked, json!({ "part": "balance" })).await;
    more.refused(409, "already_paid");
    let eve = checkout(
        &harness.customer("eve"),
        &booked,
        json!({ "part": "balance" }),
    )
    .await;
    eve.refused(404, "not_found");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_deposit_or_a_balance_that_is_too_small_is_refused_before_anything_is_held() {
    let harness = TestApp::new().await;
    let price = json!({ "amountMinor": 100, "currency": "usd" });
    let own = json!({ "pricePerHour": price, "depositPercent": 51 });
    let service = harness.service_with(own).await;
    let dana = harness.customer("dana");

    let refused = dana.book_slot(&service, AFTERNOON, 1, "half").await;

    refused.refused(422, "amount_too_small");
    assert_eq!(refused.body["minimum"]["amountMinor"], 50);
    assert_eq!(harness.sql("select count(*) from bookings").await, "0");
}

#[tokio::test]
async fn a_failed_delayed_balance_leaves_the_booking_confirmed_and_due() {
    for (outcome, status) in [("succeeded", "paid"), ("failed", "depositPaid")] {
        let harness = TestApp::new().await;
        let price = json!({ "amountMinor": 1001, "currency": "eur" });
        let service = harness.service_with(json!({ "pricePerHour": price })).await;
        let dana = harness.customer("dana");
        let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
        harness.pay(&booked).await;
        let opened = checkout(&dana, &booked, json!({ "part": "balance" }))
            .await
            .body;
        let session = &opened["checkout"]["sessionId"];

        let card = crate::delayed::SEPA;
        harness
            .knob("pay", json!({ "session": session, "card": card }))
            .await;
        harness.simulator.settled().await;
        let meanwhile = dana.booking(&booked).await;
        let second = checkout(&dana, &booked, json!({ "part": "balance" })).await;
        harness
            .knob("settle", json!({ "session": session, "outcome": outcome }))
            .await;
        harness.simulator.settled().await;

        assert_eq!(meanwhile["status"], "confirmed");
        second.refused(409, "booking_not_payable");
        let after = dana.booking(&booked).await;
        assert_eq!(after["status"], "confirmed");
        assert_eq!(after["paymentStatus"], status);
        harness.reconcile().await;
    }
}
