//! Balances that are paid by a method which takes days.

use serde_json::{Value, json};

use super::balances::{AFTERNOON, checkout};
use crate::delayed::SEPA;
use crate::harness::{Caller, TestApp};

/// Dana has paid the deposit of 5.01 euros; her bank has not decided about the balance of 5.
/// Returns the booking, and the session of the balance.
async fn undecided(harness: &TestApp, dana: &Caller<'_>) -> (Value, Value) {
    let price = json!({ "amountMinor": 1001, "currency": "eur" });
    let service = harness.service_with(json!({ "pricePerHour": price })).await;
    let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
    harness.pay(&booked).await;
    let opened = checkout(dana, &booked, json!({ "part": "balance" })).await;
    let session = opened.body["checkout"]["sessionId"].clone();
    let paid = json!({ "session": session, "card": SEPA, "unoffered": true });
    harness.knob("pay", paid).await;
    harness.simulator.settled().await;
    (booked, session)
}

async fn decide(harness: &TestApp, session: &Value, outcome: &str) {
    let decided = json!({ "session": session, "outcome": outcome });
    harness.knob("settle", decided).await;
    harness.simulator.settled().await;
}

#[tokio::test]
async fn one_that_fails_leaves_the_booking_confirmed_and_due_and_can_be_paid_again() {
    for (outcome, status) in [("succeeded", "paid"), ("failed", "depositPaid")] {
        let harness = TestApp::new().await;
        let dana = harness.customer("dana");
        let (booked, session) = undecided(&harness, &dana).await;
        let balance = async || checkout(&dana, &booked, json!({ "part": "balance" })).await;
        let meanwhile = dana.booking(&booked).await;
        let second = balance().await;

        decide(&harness, &session, outcome).await;

        assert_eq!(meanwhile["status"], "confirmed");
        second.refused(409, "booking_not_payable");
        let after = dana.booking(&booked).await;
        assert_eq!(after["status"], "confirmed");
        assert_eq!(after["paymentStatus"], status);
        let third = balance().await;
        if outcome == "succeeded" {
            third.refused(409, "already_paid");
        } else {
            harness.pay(&third.body).await;
        }
        let settled = dana.booking(&booked).await;
        assert_eq!(settled["paymentStatus"], "paid", "{third:?}");
        assert_eq!(settled["paid"]["amountMinor"], 1_001);
        harness.reconcile().await;
        assert_eq!(harness.verify().await, Vec::<String>::new());
    }
}

/// What the bank decides afterwards is of a booking that is cancelled.
#[tokio::test]
async fn a_booking_is_cancelled_before_the_bank_decides_and_its_money_goes_back_if_it_comes() {
    for (outcome, late) in [("succeeded", ", surplus pending 500"), ("failed", "")] {
        let harness = TestApp::new().await;
        let dana = harness.customer("dana");
        let (booked, session) = undecided(&harness, &dana).await;
        let path = format!("/api/bookings/{}/cancel", booked["id"].as_str().unwrap());

        let cancelled = dana.post(&path, json!({})).await;
        harness.run_jobs().await;
        decide(&harness, &session, outcome).await;
        harness.run_jobs().await;

        assert_eq!(cancelled.body["status"], "cancelled", "{cancelled:?}");
        let refunds = "select string_agg(concat_ws(' ', source, status, amount_minor), ', '
                                         order by created_at, id) from refunds";
        assert_eq!(
            harness.sql(refunds).await,
            format!("policy succeeded 501{late}")
        );
        assert_eq!(dana.booking(&booked).await["status"], "cancelled");
        assert_eq!(harness.sql("select count(*) from slot_claims").await, "0");
        harness.reconcile().await;
        assert_eq!(harness.verify().await, Vec::<String>::new());
    }
}
