//! Disputes: the bank takes a payment back, and decides.

use serde_json::json;

use super::harness::{Harness, text};

#[tokio::test]
async fn a_disputed_charge_cannot_be_refunded() {
    let harness = Harness::new().await;
    let (_, intent) = harness.paid().await;
    harness.simulator.settled().await;

    let dispute = harness
        .knob("disputes", json!({ "paymentIntent": intent }))
        .await;
    let refund = harness
        .post("/v1/refunds", &format!("payment_intent={intent}"))
        .await;

    for (path, found) in [
        ("/v1/disputes".to_owned(), 1),
        (format!("/v1/disputes?payment_intent={intent}"), 1),
        ("/v1/disputes?charge=ch_other".to_owned(), 0),
    ] {
        let listed = harness.get(&path).await.json();
        assert_eq!(listed["data"].as_array().unwrap().len(), found, "{path}");
    }
    assert_eq!(text(&dispute, "status"), "needs_response");
    assert_eq!(refund.error()["code"], "charge_disputed");
    harness.simulator.settled().await;
    assert_eq!(
        harness.receiver.kinds()[4..],
        ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    );
}

#[tokio::test]
async fn a_dispute_is_decided_once() {
    for (status, events) in [
        (
            "won",
            vec!["charge.dispute.funds_reinstated", "charge.dispute.closed"],
        ),
        ("lost", vec!["charge.dispute.closed"]),
    ] {
        let harness = Harness::new().await;
        let (_, intent) = harness.paid().await;
        harness.simulator.settled().await;
        let dispute = harness
            .knob("disputes", json!({ "paymentIntent": intent }))
            .await;
        harness.simulator.settled().await;
        let path = format!("disputes/{}", text(&dispute, "id"));
        harness
            .knob(&path, json!({ "status": "under_review" }))
            .await;
        harness.simulator.settled().await;
        assert_eq!(
            harness.receiver.kinds().last().unwrap(),
            "charge.dispute.updated"
        );
        let before = harness.receiver.kinds().len();

        harness.knob(&path, json!({ "status": status })).await;

        harness.simulator.settled().await;
        assert_eq!(harness.receiver.kinds()[before..], events);
        let again = harness.turn(&path, json!({ "status": status })).await;
        assert_eq!(again.status, 400);
        let retrieved = harness
            .get(&format!("/v1/disputes/{}", text(&dispute, "id")))
            .await;
        assert_eq!(retrieved.json()["status"], status);
    }
}

/// A bank that did not know of a refund takes all, and gives back what had been refunded.
#[tokio::test]
async fn a_dispute_that_is_lost_may_give_a_part_back() {
    let harness = Harness::new().await;
    let (_, intent) = harness.paid().await;
    harness
        .post(
            "/v1/refunds",
            &format!("payment_intent={intent}&amount=300"),
        )
        .await;
    let too_much = json!({ "paymentIntent": intent, "amount": 1_000_000 });
    assert_eq!(harness.turn("disputes", too_much).await.status, 400);
    let opened = harness
        .knob(
            "disputes",
            json!({ "paymentIntent": intent, "amount": 500 }),
        )
        .await;
    harness.simulator.settled().await;
    let before = harness.receiver.kinds().len();

    let path = format!("disputes/{}", text(&opened, "id"));
    let lost = json!({ "status": "lost", "reinstated": 300 });
    let lost = harness.knob(&path, lost).await;

    let moved = lost["balance_transactions"].as_array().unwrap().iter();
    let moved: Vec<_> = moved.map(|transaction| &transaction["amount"]).collect();
    assert_eq!(moved, [&json!(-500), &json!(300)]);
    harness.simulator.settled().await;
    assert_eq!(
        harness.receiver.kinds()[before..],
        ["charge.dispute.funds_reinstated", "charge.dispute.closed"]
    );
}

#[tokio::test]
async fn a_warning_takes_nothing_until_it_becomes_a_chargeback() {
    let harness = Harness::new().await;
    let (_, intent) = harness.paid().await;
    harness.simulator.settled().await;
    let before = harness.receiver.kinds().len();

    let wanted = json!({ "paymentIntent": intent, "warning": true });
    let warning = harness.knob("disputes", wanted).await;
    assert_eq!(text(&warning, "status"), "warning_needs_response");
    assert_eq!(warning["is_charge_refundable"], true);
    assert_eq!(warning["balance_transactions"], json!([]));
    let path = format!("disputes/{}", text(&warning, "id"));
    let chargeback = harness
        .knob(&path, json!({ "status": "needs_response" }))
        .await;

    let taken = &chargeback["balance_transactions"][0];
    assert_eq!(
        taken["amount"].as_i64(),
        chargeback["amount"].as_i64().map(|amount| -amount)
    );
    let refund = harness
        .post("/v1/refunds", &format!("payment_intent={intent}"))
        .await;
    assert_eq!(refund.error()["code"], "charge_disputed");
    harness.simulator.settled().await;
    assert_eq!(
        harness.receiver.kinds()[before..],
        [
            "charge.dispute.created",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.updated"
        ]
    );
    let won = harness.knob(&path, json!({ "status": "won" })).await;
    assert_eq!(won["balance_transactions"][1]["amount"], won["amount"]);
}

#[tokio::test]
async fn a_card_network_warns_of_fraud() {
    let harness = Harness::new().await;
    let (_, intent) = harness.paid().await;
    harness.simulator.settled().await;

    let wanted = json!({ "paymentIntent": intent });
    let warning = harness.knob("fraud_warnings", wanted).await;

    assert_eq!(text(&warning, "payment_intent"), intent);
    harness.simulator.settled().await;
    assert_eq!(
        harness.receiver.kinds().last().unwrap(),
        "radar.early_fraud_warning.created"
    );
}
