//! Refunds that somebody makes in Stripe's dashboard are recorded once.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    HAPPENED, LEDGER, OPEN, REFUNDED_SLOWLY, REFUNDS, VISA, deafen, decided, paid, pass,
    refund_by_hand, told,
};
use crate::harness::TestApp;

fn left(amount: i64) -> String {
    format!("refund customer_payments stripe_balance {amount}")
}

#[tokio::test]
async fn a_refund_of_the_dashboard_is_recorded_once_in_part_and_in_full() {
    let harness = TestApp::new().await;
    let (booking, intent) = paid(&harness, VISA).await;

    let part = refund_by_hand(&harness, &intent, 500).await;
    assert_eq!(harness.sql(REFUNDS).await, "dashboard succeeded 500");
    assert_eq!(harness.sql(LEDGER).await, left(500));
    refund_by_hand(&harness, &intent, 700).await;

    let refunds = "dashboard succeeded 500, dashboard succeeded 700";
    let happened =
        "refundMadeByHand, refundSettled succeeded, refundMadeByHand, refundSettled succeeded";
    for _ in 0..2 {
        assert_eq!(harness.sql(REFUNDS).await, refunds);
        let mut lines: Vec<_> = harness
            .sql(LEDGER)
            .await
            .split(", ")
            .map(str::to_owned)
            .collect();
        lines.sort_unstable();
        assert_eq!(lines, [left(500), left(700)]);
        assert_eq!(harness.sql(HAPPENED).await, happened);
        for event in told(&harness).await {
            let again = harness.deliver(&event.to_string()).await;
            assert_eq!(again.body["outcome"], "duplicate");
            let mut other = event.clone();
            other["id"] = json!(format!("evt_other_{}", event["id"].as_str().unwrap()));
            harness.deliver(&other.to_string()).await;
        }
        harness.run_jobs().await;
    }
    let path = format!("/api/admin/bookings/{}", booking["id"].as_str().unwrap());
    let overview = harness.admin().get(&path).await.body;
    let oldest = &overview["refunds"][1];
    assert_eq!(oldest["source"], "dashboard", "{overview}");
    assert_eq!(oldest["reason"], "requested_by_customer");
    assert_eq!(
        oldest["amount"],
        json!({ "amountMinor": 500, "currency": "eur" })
    );
    assert_eq!(overview["payments"][0]["refunded"]["amountMinor"], 1_200);
    let known = "select count(*) from refunds where stripe_refund_id = ";
    let known = format!("{known} '{}'", part["id"].as_str().unwrap());
    assert_eq!(harness.sql(&known).await, "1");
    let timeline = harness.admin().get(&format!("{path}/timeline")).await.body;
    let sentences = timeline.to_string();
    let sentence = "A refund of 5.00 EUR was made in Stripe's dashboard.";
    assert!(sentences.contains(sentence), "{timeline}");
    assert_eq!(harness.sql(OPEN).await, "");
    harness.reconcile().await;
}

#[tokio::test]
async fn its_events_come_in_any_order_and_before_the_payment() {
    for is_paid_first in [false, true] {
        for shift in 0..3 {
            let harness = TestApp::new().await;
            let show = harness.show().await;
            let booking = harness.customer("dana").booked(&show, &["A2"]).await;
            let session = json!({
                "session": booking["checkout"]["sessionId"], "card": REFUNDED_SLOWLY,
            });
            let payment = harness.pay_unheard(session).await;
            deafen(&harness).await;
            let intent: Value = serde_json::from_str(&payment["payment_intent.succeeded"]).unwrap();
            let intent = intent["data"]["object"]["id"].as_str().unwrap();
            refund_by_hand(&harness, intent, 300).await;
            decided(&harness, "succeeded").await;
            let mut events = told(&harness).await;
            assert_eq!(events.len(), 3, "{events:?}");
            events.rotate_left(shift);
            let completed = &payment["checkout.session.completed"];
            if is_paid_first {
                harness.deliver(completed).await;
            }

            for event in &events {
                let outcome = harness.deliver(&event.to_string()).await.body;
                let expected = if is_paid_first {
                    "processed"
                } else {
                    "deferred"
                };
                assert_eq!(outcome["outcome"], expected, "{event}");
            }
            harness.deliver(completed).await;
            pass(&harness, TimeDelta::seconds(6)).await;

            assert_eq!(harness.sql(REFUNDS).await, "dashboard succeeded 300");
            assert_eq!(harness.sql(LEDGER).await, left(300));
            assert_eq!(
                harness.sql(HAPPENED).await,
                "refundMadeByHand, refundSettled succeeded"
            );
            harness.reconcile().await;
        }
    }
}

#[tokio::test]
async fn one_that_fails_is_booked_back_and_the_money_can_be_refunded_again() {
    let harness = TestApp::new().await;
    let (_, intent) = paid(&harness, REFUNDED_SLOWLY).await;
    refund_by_hand(&harness, &intent, 1_200).await;

    decided(&harness, "failed").await;
    assert_eq!(harness.sql(REFUNDS).await, "dashboard failed 1200");
    assert_eq!(harness.sql(OPEN).await, "refund_not_gone");
    refund_by_hand(&harness, &intent, 1_200).await;

    let refunds = "dashboard failed 1200, dashboard pending 1200";
    assert_eq!(harness.sql(REFUNDS).await, refunds);
    assert_eq!(harness.sql(OPEN).await, "");
    harness.reconcile().await;
}

/// We have not heard that a refund has failed, and somebody has made another in its place.
#[tokio::test]
async fn what_would_be_more_than_the_payment_has_the_others_looked_at_first() {
    let harness = TestApp::new().await;
    let (_, intent) = paid(&harness, REFUNDED_SLOWLY).await;
    refund_by_hand(&harness, &intent, 1_000).await;
    decided(&harness, "succeeded").await;
    deafen(&harness).await;
    decided(&harness, "failed").await;
    harness.knob("deliveries", json!({})).await;

    refund_by_hand(&harness, &intent, 1_200).await;
    assert_eq!(harness.sql(REFUNDS).await, "dashboard succeeded 1000");
    harness.run_jobs().await;
    pass(&harness, TimeDelta::seconds(6)).await;

    let refunds = "dashboard failed 1000, dashboard pending 1200";
    assert_eq!(harness.sql(REFUNDS).await, refunds);
    let undecided = "select count(*) from payment_events where status <> 'processed'
                     and type like 'refund.%'";
    assert_eq!(harness.sql(undecided).await, "0");
    harness.reconcile().await;
}

/// Older API versions tell of the charge alone, or bring the refund under another name.
#[tokio::test]
async fn older_api_versions_tell_of_it_in_other_ways() {
    for kind in ["charge.refunded", "charge.refund.updated"] {
        let harness = TestApp::new().await;
        let (_, intent) = paid(&harness, VISA).await;
        deafen(&harness).await;
        refund_by_hand(&harness, &intent, 500).await;
        let events = told(&harness).await;
        let told_as = if kind == "charge.refunded" {
            kind
        } else {
            "refund.created"
        };
        let mut event = events
            .into_iter()
            .find(|event| event["type"] == told_as)
            .unwrap();
        event["type"] = json!(kind);
        event["api_version"] = json!("2020-08-27");

        for id in ["evt_1", "evt_2"] {
            event["id"] = json!(id);
            let answer = harness.deliver(&event.to_string()).await;
            assert_eq!(answer.body["outcome"], "processed", "{kind}: {answer:?}");
            harness.run_jobs().await;
        }

        assert_eq!(
            harness.sql(REFUNDS).await,
            "dashboard succeeded 500",
            "{kind}"
        );
        assert_eq!(harness.sql(LEDGER).await, left(500));
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn a_refund_of_nothing_of_ours_is_ignored_in_the_end() {
    let harness = TestApp::new().await;
    let (_, intent) = paid(&harness, VISA).await;
    refund_by_hand(&harness, &intent, 500).await;
    let ours = told(&harness).await.remove(0);

    harness.hear_of_other_charges(&ours, "re_other").await;

    assert_eq!(harness.sql(REFUNDS).await, "dashboard succeeded 500");
}

#[tokio::test]
async fn an_amount_that_cannot_be_of_the_payment_goes_to_a_person() {
    for (name, odd) in [
        ("amount", json!(1_201)),
        ("amount", json!(0)),
        ("amount", Value::Null),
        ("currency", json!("usd")),
    ] {
        let harness = TestApp::new().await;
        let (_, intent) = paid(&harness, VISA).await;
        deafen(&harness).await;
        refund_by_hand(&harness, &intent, 500).await;
        let mut event = told(&harness).await.remove(0);
        event["data"]["object"][name] = odd.clone();

        let answer = harness.deliver(&event.to_string()).await;

        assert_eq!(
            answer.body["outcome"], "processed",
            "{name} {odd}: {answer:?}"
        );
        assert_eq!(harness.sql(REFUNDS).await, "", "{name} {odd}");
        assert_eq!(harness.sql(OPEN).await, "refund_differs");
    }
}
