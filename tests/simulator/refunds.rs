//! Refunds: all or part, now or later, and what cannot be given back.

use serde_json::{Value, json};

use super::harness::{Harness, text};

#[tokio::test]
async fn a_refund_without_an_amount_gives_back_the_rest() {
    let harness = Harness::new().await;
    let (_, intent) = harness.paid().await;
    let of_intent = format!("payment_intent={intent}");

    let part = harness
        .post(
            "/v1/refunds",
            &format!("{of_intent}&amount=1000&metadata[part]=1"),
        )
        .await
        .json();
    let rest = harness.post("/v1/refunds", &of_intent).await.json();
    let none = harness.post("/v1/refunds", &of_intent).await;

    assert_eq!(
        (&part["amount"], &part["status"]),
        (&json!(1000), &json!("succeeded"))
    );
    assert_eq!(rest["amount"], 1400);
    assert_eq!(none.status, 400);
    assert_eq!(none.error()["code"], "charge_already_refunded");
    let listed = harness
        .get(&format!("/v1/refunds?payment_intent={intent}"))
        .await
        .json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_refund_changes_its_charge() {
    let harness = Harness::new().await;
    let (_, intent) = harness.paid().await;
    harness.simulator.settled().await;
    let before = harness.receiver.all().len();

    harness
        .post_with_key(
            "refund-1",
            "/v1/refunds",
            &format!("payment_intent={intent}&amount=1000"),
        )
        .await;
    harness.simulator.settled().await;

    let events: Vec<Value> = harness.receiver.all()[before..]
        .iter()
        .map(super::harness::Delivered::json)
        .collect();
    assert_eq!(text(&events[0], "type"), "refund.created");
    assert_eq!(text(&events[1], "type"), "charge.refunded");
    let charge = &events[1]["data"]["object"];
    assert_eq!(
        (&charge["amount_refunded"], &charge["refunded"]),
        (&json!(1000), &json!(false))
    );
    assert_eq!(
        events[1]["data"]["previous_attributes"]["amount_refunded"],
        0
    );
    assert_eq!(text(&events[1]["request"], "idempotency_key"), "refund-1");
}

#[tokio::test]
async fn more_than_the_rest_is_refused_without_a_code() {
    let harness = Harness::new().await;
    let (_, intent) = harness.paid().await;

    let reply = harness
        .post(
            "/v1/refunds",
            &format!("payment_intent={intent}&amount=2401"),
        )
        .await;

    let error = reply.error();
    assert_eq!(reply.status, 400);
    assert_eq!(text(&error, "param"), "amount");
    assert_eq!(error["code"], Value::Null);
    assert_eq!(
        text(&error, "message"),
        "Refund amount (€24.01) is greater than unrefunded amount on charge (€24.00)"
    );
}

#[tokio::test]
async fn what_was_not_paid_is_not_refunded() {
    let harness = Harness::new().await;
    let id = harness.session().await;
    let declined = harness
        .knob("pay", json!({ "session": id, "card": "4000000000000002" }))
        .await;
    let intent = text(&declined, "paymentIntent");
    for (form, status, code) in [
        (
            format!("payment_intent={intent}"),
            400,
            "payment_intent_unexpected_state",
        ),
        (
            "payment_intent=pi_unknown".to_owned(),
            404,
            "resource_missing",
        ),
        ("charge=ch_unknown".to_owned(), 404, "resource_missing"),
        (String::new(), 400, "parameter_missing"),
        (
            format!("payment_intent={intent}&amount=0"),
            400,
            "parameter_invalid_integer",
        ),
        (format!("payment_intent={intent}&reason=bored"), 400, ""),
        (
            format!("payment_intent={intent}&colour=red"),
            400,
            "parameter_unknown",
        ),
    ] {
        let reply = harness.post("/v1/refunds", &form).await;

        assert_eq!(reply.status, status, "{form}: {}", reply.text);
        assert_eq!(text(&reply.error(), "code"), code, "{form}");
    }
}

#[tokio::test]
async fn a_slow_refund_is_settled_later() {
    let harness = Harness::new().await;
    let id = harness.session().await;
    let paid = harness
        .knob("pay", json!({ "session": id, "card": "4000000000007726" }))
        .await;
    let form = format!("payment_intent={}", text(&paid, "paymentIntent"));
    let refund = harness.post("/v1/refunds", &form).await.json();
    assert_eq!(refund["status"], "pending");
    harness.simulator.settled().await;

    let path = format!("refunds/{}", text(&refund, "id"));
    harness.knob(&path, json!({ "status": "succeeded" })).await;

    let refund = harness
        .get(&format!("/v1/refunds/{}", text(&refund, "id")))
        .await
        .json();
    assert_eq!(refund["status"], "succeeded");
    harness.simulator.settled().await;
    let last = harness.receiver.all().pop().unwrap().json();
    assert_eq!(text(&last, "type"), "refund.updated");
    assert_eq!(
        last["data"]["previous_attributes"],
        json!({ "status": "pending" })
    );
}

#[tokio::test]
async fn a_refund_can_fail_after_it_succeeded() {
    let harness = Harness::new().await;
    let (_, intent) = harness.paid().await;
    let form = format!("payment_intent={intent}");
    let refund = harness.post("/v1/refunds", &form).await.json();
    harness.simulator.settled().await;

    let path = format!("refunds/{}", text(&refund, "id"));
    harness.knob(&path, json!({ "status": "failed" })).await;

    harness.simulator.settled().await;
    assert_eq!(harness.receiver.kinds().last().unwrap(), "refund.failed");
    let again = harness.post("/v1/refunds", &form).await.json();
    assert_eq!(again["amount"], 2400, "{again}");
}
