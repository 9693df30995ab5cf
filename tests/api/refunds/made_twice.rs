//! A refund that we make while somebody makes the same in Stripe's dashboard.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{OPEN, REFUNDED_SLOWLY, VISA, deafen, paid, refund_by_hand, told};
use crate::harness::TestApp;

/// An admin asks for a part of a payment, which the background has still to make.
async fn ask(harness: &TestApp, booking: &Value, amount: i64) -> Value {
    let path = format!(
        "/api/admin/bookings/{}/refunds",
        booking["id"].as_str().unwrap()
    );
    let body = json!({
        "amount": { "amountMinor": amount, "currency": "eur" }, "reason": "rain",
    });
    let asked = harness.admin().post(&path, body).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    asked.body
}

async fn found(harness: &TestApp) -> Value {
    let listed = harness.admin().get("/api/admin/discrepancies").await.body;
    listed["items"][0].clone()
}

#[tokio::test]
async fn one_that_was_made_by_hand_while_ours_was_under_way_is_shown_with_both() {
    let harness = TestApp::new().await;
    let (booking, intent) = paid(&harness, VISA).await;
    let asked = ask(&harness, &booking, 500).await;
    let by_hand = refund_by_hand(&harness, &intent, 500).await;
    assert_eq!(harness.sql(OPEN).await, "", "there is one so far");

    harness.run_jobs().await;

    assert_eq!(harness.sql(OPEN).await, "refund_made_twice");
    let found = found(&harness).await;
    assert_eq!(found["bookingId"], booking["id"]);
    assert_eq!(found["subject"], by_hand["id"]);
    assert_eq!(found["theirs"]["stripeRefundId"], by_hand["id"]);
    assert_eq!(found["ours"]["refundId"], asked["id"]);
    assert_eq!(found["ours"]["amount"]["amountMinor"], 500);
    let ours = "select stripe_refund_id from refunds where source = 'admin'";
    assert_eq!(found["ours"]["stripeRefundId"], harness.sql(ours).await);
    harness.reconcile().await;
    assert_eq!(harness.verify().await, Vec::<String>::new());
}

#[tokio::test]
async fn one_by_hand_after_ours_is_shown_if_it_follows_soon() {
    for (after, open) in [(59, "refund_made_twice"), (61, "")] {
        let harness = TestApp::new().await;
        let (booking, intent) = paid(&harness, VISA).await;
        ask(&harness, &booking, 500).await;
        harness.run_jobs().await;
        harness.advance(TimeDelta::minutes(after)).await;

        refund_by_hand(&harness, &intent, 500).await;

        assert_eq!(harness.sql(OPEN).await, open, "{after}");
    }
}

#[tokio::test]
async fn parts_that_were_wanted_are_none_that_was_made_twice() {
    let harness = TestApp::new().await;
    let (booking, intent) = paid(&harness, VISA).await;
    for _ in 0..2 {
        ask(&harness, &booking, 300).await;
        harness.run_jobs().await;
    }
    refund_by_hand(&harness, &intent, 200).await;
    refund_by_hand(&harness, &intent, 200).await;

    assert_eq!(harness.sql("select count(*) from refunds").await, "4");
    assert_eq!(harness.sql(OPEN).await, "");
}

#[tokio::test]
async fn it_is_healed_once_one_of_both_has_failed_and_is_dismissed_for_good() {
    for of_ours in [false, true] {
        let harness = TestApp::new().await;
        let (booking, intent) = paid(&harness, REFUNDED_SLOWLY).await;
        ask(&harness, &booking, 500).await;
        let by_hand = refund_by_hand(&harness, &intent, 500).await;
        harness.run_jobs().await;
        assert_eq!(harness.sql(OPEN).await, "refund_made_twice");

        let ours = "select stripe_refund_id from refunds where source = 'admin'";
        let ours = json!(harness.sql(ours).await);
        let failed = if of_ours { &ours } else { &by_hand["id"] };
        let knob = format!("refunds/{}", failed.as_str().unwrap());
        harness.knob(&knob, json!({ "status": "failed" })).await;
        harness.simulator.settled().await;

        assert_eq!(harness.sql(OPEN).await, "refund_not_gone", "{of_ours}");
    }
}

#[tokio::test]
async fn what_was_dismissed_is_not_shown_again_when_its_bank_goes_on() {
    let harness = TestApp::new().await;
    let (booking, intent) = paid(&harness, REFUNDED_SLOWLY).await;
    ask(&harness, &booking, 500).await;
    let by_hand = refund_by_hand(&harness, &intent, 500).await;
    harness.run_jobs().await;
    let id = found(&harness).await["id"].clone();
    let path = format!("/api/admin/discrepancies/{}/dismiss", id.as_str().unwrap());
    harness.admin().post(&path, json!({})).await;

    let knob = format!("refunds/{}", by_hand["id"].as_str().unwrap());
    harness.knob(&knob, json!({ "status": "succeeded" })).await;
    harness.simulator.settled().await;

    assert_eq!(harness.sql(OPEN).await, "");
}

/// Whichever of the two is heard of first.
#[tokio::test]
async fn the_order_in_which_they_are_heard_of_makes_no_difference() {
    let harness = TestApp::new().await;
    let (booking, intent) = paid(&harness, VISA).await;
    deafen(&harness).await;
    ask(&harness, &booking, 500).await;
    refund_by_hand(&harness, &intent, 500).await;
    harness.run_jobs().await;
    assert_eq!(harness.sql(OPEN).await, "", "the other is not heard of yet");

    for event in told(&harness).await {
        harness.deliver(&event.to_string()).await;
    }

    assert_eq!(harness.sql(OPEN).await, "refund_made_twice");
}
