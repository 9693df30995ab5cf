//! What becomes of money: once, whatever the order, and never without a decision.

mod late;
mod listed;
mod methods;
mod mismatches;

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Caller, TestApp, send};

/// A show, a buyer, and their pending booking of A2.
async fn held<'a>(harness: &'a TestApp, name: &str) -> (Caller<'a>, Value) {
    let show = harness.show().await;
    let buyer = harness.customer(name);
    let booking = buyer.booked(&show, &["A2"]).await;
    (buyer, booking)
}

#[tokio::test]
async fn the_event_may_arrive_before_our_create_call_has_returned() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    harness
        .knob(
            "faults",
            json!({ "route": "POST /v1/checkout/sessions$", "kind": "pay_then_answer" }),
        )
        .await;

    let answer = dana.book(&show, &["A2"]).await;

    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["status"], "confirmed");
    assert_eq!(answer.body["checkout"], Value::Null);
    assert_eq!(
        harness
            .sql("select count(*) from payment_events where status = 'deferred'")
            .await,
        "0"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn the_buyer_of_a_session_whose_money_was_faster_than_our_create_call_is_told_of_it() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    harness
        .knob(
            "deliveries",
            json!({ "drop": true, "types": ["checkout.session.completed"] }),
        )
        .await;
    harness
        .knob(
            "faults",
            json!({ "route": "POST /v1/checkout/sessions$", "kind": "pay_then_answer" }),
        )
        .await;

    let booking = dana.booked(&show, &["A2"]).await;
    let session = harness.ask_stripe("/v1/checkout/sessions").await["data"][0]["id"].clone();
    let verified = dana
        .post("/api/payments/verify", json!({ "sessionId": session }))
        .await;

    assert_eq!(booking["status"], "confirmed");
    assert_eq!(
        (verified.status, &verified.body["status"]),
        (200, &json!("confirmed")),
        "{verified:?}"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn an_event_whose_transaction_failed_is_processed_when_it_comes_again() {
    let harness = TestApp::new().await;
    let (dana, booking) = held(&harness, "dana").await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    let completed = &events["checkout.session.completed"];

    sqlx::query("alter table ledger_transfers rename to away")
        .execute(harness.db())
        .await
        .unwrap();
    let failed = harness.deliver(completed).await;
    let stored = harness.sql("select count(*) from payment_events").await;
    sqlx::query("alter table away rename to ledger_transfers")
        .execute(harness.db())
        .await
        .unwrap();
    let again = harness.deliver(completed).await;

    failed.refused(500, "internal");
    assert_eq!(stored, "0");
    assert_eq!(
        again.body,
        json!({ "received": true, "outcome": "processed" })
    );
    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    harness.reconcile().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_payment_told_many_times_at_once_is_applied_once() {
    let harness = TestApp::new().await;
    let (dana, booking) = held(&harness, "dana").await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;

    let completed = (0..5).map(|_| harness.deliver(&events["checkout.session.completed"]));
    let succeeded = (0..2).map(|_| harness.deliver(&events["payment_intent.succeeded"]));
    let answers = join_all(completed.chain(succeeded)).await;

    let outcomes: Vec<&str> = answers
        .iter()
        .map(|answer| answer.body["outcome"].as_str().unwrap())
        .collect();
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{answers:?}"
    );
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| **outcome == "processed")
            .count(),
        2,
        "{outcomes:?}"
    );
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| **outcome == "duplicate")
            .count(),
        5,
        "{outcomes:?}"
    );
    assert_eq!(harness.sql("select count(*) from payments").await, "1");
    assert_eq!(
        harness.sql("select count(*) from ledger_transfers").await,
        "1"
    );
    assert_eq!(
        harness
            .sql("select sum(deliveries) from payment_events")
            .await,
        "7"
    );
    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    harness.reconcile().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_that_hear_of_one_payment_apply_it_once() {
    let harness = TestApp::new().await;
    let second = harness.second_server().await;
    let (_, booking) = held(&harness, "dana").await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;

    let deliveries = events
        .values()
        .flat_map(|body| [(&harness.url, body), (&second, body), (&second, body)]);
    let answers = join_all(deliveries.map(|(server, body)| {
        let request = harness.http.post(format!("{server}/api/stripe"));
        send(
            request
                .header("stripe-signature", harness.signature(body))
                .body(body.clone()),
        )
    }))
    .await;

    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{answers:?}"
    );
    assert_eq!(harness.sql("select count(*) from payments").await, "1");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_delayed_method_keeps_the_seats_until_it_succeeds() {
    let harness = TestApp::new().await;
    let (dana, booking) = held(&harness, "dana").await;

    let session = &booking["checkout"]["sessionId"];
    harness
        .knob(
            "pay",
            json!({ "session": session, "card": "DE89370400440532013000" }),
        )
        .await;
    harness.simulator.settled().await;
    let processing = dana.booking(&booking).await;
    harness.advance(TimeDelta::days(3)).await;
    harness
        .knob(
            "settle",
            json!({ "session": session, "outcome": "succeeded" }),
        )
        .await;
    harness.simulator.settled().await;
    let settled = harness.customer("dana").booking(&booking).await;

    assert_eq!(processing["status"], "processing");
    assert_eq!(processing["paymentStatus"], "processing");
    assert_eq!(processing["isPaid"], false);
    assert_eq!(settled["status"], "confirmed");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_delayed_method_that_fails_frees_the_seats() {
    let harness = TestApp::new().await;
    let (dana, booking) = held(&harness, "dana").await;

    let session = &booking["checkout"]["sessionId"];
    harness
        .knob(
            "pay",
            json!({ "session": session, "card": "DE89370400440532013000" }),
        )
        .await;
    harness.simulator.settled().await;
    harness
        .knob("settle", json!({ "session": session, "outcome": "failed" }))
        .await;
    harness.simulator.settled().await;

    assert_eq!(dana.booking(&booking).await["status"], "failed");
    assert_eq!(harness.sql("select count(*) from seat_claims").await, "0");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_declined_card_leaves_the_page_open() {
    let harness = TestApp::new().await;
    let (dana, booking) = held(&harness, "dana").await;

    let session = &booking["checkout"]["sessionId"];
    harness
        .knob(
            "pay",
            json!({ "session": session, "card": "4000000000000002" }),
        )
        .await;
    harness.simulator.settled().await;
    let declined = dana.booking(&booking).await;
    harness.pay(&booking).await;

    assert_eq!(declined["status"], "pending");
    assert_eq!(declined["checkout"], booking["checkout"]);
    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    harness.reconcile().await;
}
