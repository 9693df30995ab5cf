//! What Stripe has captured and given back, against what we have.

use chrono::TimeDelta;
use holdfast::domain::job::Job;
use holdfast::jobs;
use serde_json::{Value, json};

use super::{ask_stripe_to, kinds, paid_and_deaf, reconcile};
use crate::harness::TestApp;

const DISCREPANCIES: &str = "select string_agg(concat_ws(' ', kind, status), ', '
                                               order by kind, status) from discrepancies";

/// An event of a refund that only we know.
async fn hear_of_refund(harness: &TestApp, id: &str, status: &str, intent: &str) {
    let event = json!({
        "id": format!("evt_{id}_{status}"), "object": "event", "livemode": false,
        "type": "refund.updated", "api_version": "2026-09-30.endive",
        "created": harness.now().timestamp(),
        "data": { "object": {
            "id": id, "object": "refund", "status": status, "amount": 500, "currency": "eur",
            "payment_intent": intent,
        } },
    });
    let heard = harness.deliver(&event.to_string()).await;
    assert_eq!(heard.body["outcome"], "processed", "{heard:?}");
}

/// Stripe's list of PaymentIntents says once more what it says now.
async fn lag(harness: &TestApp) {
    let listed = "/v1/payment_intents?limit=100&expand[]=data.latest_charge";
    let listed = harness.ask_stripe(listed).await;
    let fault = json!({
        "route": "GET /v1/payment_intents$", "kind": "altered",
        "members": { "data": listed["data"] },
    });
    harness.knob("faults", fault).await;
}

#[tokio::test]
async fn a_refund_that_is_made_while_stripe_is_asked_is_no_difference() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let intent = harness.pay(&booking).await["paymentIntent"].clone();
    lag(&harness).await;
    let form = format!("payment_intent={}&amount=500", intent.as_str().unwrap());
    ask_stripe_to(&harness, "refunds", &form).await;
    harness.simulator.settled().await;
    assert_eq!(
        harness.sql("select sum(amount_minor) from refunds").await,
        "500"
    );

    let found = reconcile(&harness, json!({})).await;

    assert_eq!(found["discrepancies"], json!([]));
    let sums = &found["sums"][0];
    assert_eq!(sums["refunded"], sums["stripeRefunded"]);
    assert_eq!(sums["refunded"]["amountMinor"], 500);
}

#[tokio::test]
async fn what_differed_is_healed_once_it_agrees_however_old_it_is() {
    for age in [TimeDelta::minutes(5), TimeDelta::days(5)] {
        let harness = TestApp::new().await;
        let (_, intent) = paid_and_deaf(&harness).await;
        hear_of_refund(&harness, "re_odd", "succeeded", &intent).await;
        let first = reconcile(&harness, json!({})).await;
        assert_eq!(kinds(&first), ["capture_refunds_differ"]);
        harness.advance(age).await;
        let second = reconcile(&harness, json!({})).await;
        assert_eq!(kinds(&second), Vec::<&str>::new());
        assert_eq!(
            harness.sql(DISCREPANCIES).await,
            "capture_refunds_differ open"
        );

        harness.advance(TimeDelta::minutes(5)).await;
        hear_of_refund(&harness, "re_odd", "failed", &intent).await;
        let third = reconcile(&harness, json!({})).await;

        assert_eq!(kinds(&third), Vec::<&str>::new());
        let healed = "capture_refunds_differ healed, refund_not_gone open";
        assert_eq!(harness.sql(DISCREPANCIES).await, healed, "{age}");
    }
}

#[tokio::test]
async fn what_was_dismissed_is_opened_again_only_if_it_differs_otherwise() {
    let harness = TestApp::new().await;
    let (_, intent) = paid_and_deaf(&harness).await;
    hear_of_refund(&harness, "re_odd", "succeeded", &intent).await;
    let first = reconcile(&harness, json!({})).await;
    let id = first["discrepancies"][0]["id"].as_str().unwrap();
    let path = format!("/api/admin/discrepancies/{id}/dismiss");
    let dismissed = harness.admin().post(&path, json!({})).await;
    assert_eq!(dismissed.status, 200, "{dismissed:?}");

    let second = reconcile(&harness, json!({})).await;
    assert_eq!(second["discrepancies"], json!([]));
    hear_of_refund(&harness, "re_other", "succeeded", &intent).await;
    let third = reconcile(&harness, json!({})).await;

    assert_eq!(kinds(&third), ["capture_refunds_differ"]);
    assert_eq!(third["discrepancies"][0]["ours"]["refunded"], 1_000);
}

/// What is asked about a payment says that Stripe does not have it.
async fn forget(harness: &TestApp, data: Value) {
    for fault in [
        json!({
            "route": "GET /v1/payment_intents$", "kind": "altered", "members": { "data": data },
        }),
        json!({
            "route": "GET /v1/payment_intents", "kind": "status", "status": 404,
            "code": "resource_missing",
        }),
    ] {
        harness.knob("faults", fault).await;
    }
}

#[tokio::test]
async fn a_payment_that_stripe_does_not_have_is_left_to_a_person_and_adds_up() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let mut intents = Vec::new();
    for seat in ["A2", "A3"] {
        let booking = dana.booked(&show, &[seat]).await;
        intents.push(harness.pay(&booking).await["paymentIntent"].clone());
        harness.advance(TimeDelta::minutes(1)).await;
    }
    let listed = "/v1/payment_intents?limit=100&expand[]=data.latest_charge";
    let listed = harness.ask_stripe(listed).await["data"].clone();
    assert_eq!(listed[1]["id"], intents[0]);

    // Stripe has the second alone.
    for is_first in [true, false] {
        harness.advance(TimeDelta::minutes(1)).await;
        forget(&harness, json!([listed[0]])).await;
        let found = reconcile(&harness, json!({})).await;

        let expected: &[&str] = if is_first {
            &["capture_unknown_to_stripe"]
        } else {
            &[]
        };
        assert_eq!(kinds(&found), expected);
        if is_first {
            assert_eq!(found["discrepancies"][0]["subject"], intents[0]);
        }
        assert_eq!(found["sums"][0]["captured"]["amountMinor"], 2_400);
        assert_eq!(found["sums"][0]["stripeCaptured"]["amountMinor"], 1_200);
    }
    harness.advance(TimeDelta::minutes(1)).await;
    let found = reconcile(&harness, json!({})).await;

    assert_eq!(
        found["sums"][0]["captured"],
        found["sums"][0]["stripeCaptured"]
    );
    let healed = "capture_unknown_to_stripe healed";
    assert_eq!(harness.sql(DISCREPANCIES).await, healed);
}

#[tokio::test]
async fn a_payment_that_was_on_no_page_and_is_there_is_no_difference() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    harness.pay(&booking).await;
    super::hide(&harness, "GET /v1/payment_intents$").await;

    let found = reconcile(&harness, json!({})).await;

    assert_eq!(found["discrepancies"], json!([]));
    assert_eq!(
        found["sums"][0]["captured"],
        found["sums"][0]["stripeCaptured"]
    );
    assert_eq!(found["sums"][0]["captured"]["amountMinor"], 1_200);
}

#[tokio::test]
async fn another_account_of_stripes_has_nothing_of_ours() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    harness.pay(&booking).await;
    harness.knob("reset", json!({})).await;

    let found = reconcile(&harness, json!({})).await;

    assert_eq!(kinds(&found), ["capture_unknown_to_stripe"]);
    assert_eq!(found["sums"][0]["captured"]["amountMinor"], 1_200);
    assert_eq!(found["sums"][0]["stripeCaptured"]["amountMinor"], 0);
}

#[tokio::test]
async fn more_than_a_page_of_refunds_of_one_payment_is_recorded() {
    let harness = TestApp::new().await;
    let (_, intent) = paid_and_deaf(&harness).await;
    let form = format!("payment_intent={intent}&amount=1");
    for _ in 0..103 {
        let made = ask_stripe_to(&harness, "refunds", &form).await;
        assert_eq!(made.status, 200);
    }
    let payment = harness.sql("select id from payments").await;

    let look = Job::LookAtRefunds {
        payment_id: payment.parse().unwrap(),
        booking_id: None,
    };
    jobs::perform(&harness.app, &look).await.unwrap();

    assert_eq!(
        harness.sql("select sum(amount_minor) from refunds").await,
        "103"
    );
}
