//! Disputes: the bank takes a payment back, and decides.

use serde_json::json;

use super::stage::{Stage, text};

#[tokio::test]
async fn a_disputed_charge_cannot_be_refunded() {
    let stage = Stage::new().await;
    let (_, intent) = stage.paid().await;
    stage.simulator.settled().await;

    let dispute = stage
        .knob("disputes", json!({ "paymentIntent": intent }))
        .await;
    let refund = stage
        .post("/v1/refunds", &format!("payment_intent={intent}"))
        .await;

    assert_eq!(text(&dispute, "status"), "needs_response");
    assert_eq!(refund.error()["code"], "charge_disputed");
    stage.simulator.settled().await;
    assert_eq!(
        stage.receiver.kinds()[4..],
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
        let stage = Stage::new().await;
        let (_, intent) = stage.paid().await;
        stage.simulator.settled().await;
        let dispute = stage
            .knob("disputes", json!({ "paymentIntent": intent }))
            .await;
        stage.simulator.settled().await;
        let path = format!("disputes/{}", text(&dispute, "id"));
        stage.knob(&path, json!({ "status": "under_review" })).await;
        stage.simulator.settled().await;
        assert_eq!(
            stage.receiver.kinds().last().unwrap(),
            "charge.dispute.updated"
        );
        let before = stage.receiver.kinds().len();

        stage.knob(&path, json!({ "status": status })).await;

        stage.simulator.settled().await;
        assert_eq!(stage.receiver.kinds()[before..], events);
        let again = stage.turn(&path, json!({ "status": status })).await;
        assert_eq!(again.status, 400);
        let retrieved = stage
            .get(&format!("/v1/disputes/{}", text(&dispute, "id")))
            .await;
        assert_eq!(retrieved.json()["status"], status);
    }
}
