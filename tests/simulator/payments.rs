//! Paying: what succeeds, what is declined, what is decided later, and what a test can bend.

use serde_json::{Value, json};

use super::harness::{Harness, session_form_with, text};

#[tokio::test]
async fn a_payment_completes_the_session() {
    let harness = Harness::new().await;
    let (id, intent) = harness.paid().await;

    let session = harness.retrieve(&id).await;

    assert_eq!(session["status"], "complete");
    assert_eq!(session["payment_status"], "paid");
    assert_eq!(session["url"], Value::Null);
    assert_eq!(session["payment_intent"], intent.as_str());
    assert_eq!(session["customer_details"]["email"], "jenny@example.com");
    harness.simulator.settled().await;
    assert_eq!(
        harness.receiver.kinds(),
        [
            "payment_intent.created",
            "charge.succeeded",
            "payment_intent.succeeded",
            "checkout.session.completed"
        ]
    );
}

#[tokio::test]
async fn the_intents_metadata_reaches_the_intent_and_its_charge() {
    let harness = Harness::new().await;
    let (session, intent) = harness.paid().await;

    let expanded = harness
        .get(&format!(
            "/v1/checkout/sessions/{session}?expand[]=payment_intent.latest_charge"
        ))
        .await
        .json();
    let charges = harness
        .get(&format!("/v1/charges?payment_intent={intent}"))
        .await
        .json();

    let booking = json!({ "bookingId": "booking-1" });
    let intent = &expanded["payment_intent"];
    assert_eq!(intent["metadata"], booking);
    assert_eq!(intent["amount_received"], 2400);
    assert_eq!(intent["latest_charge"]["metadata"], booking);
    assert_eq!(charges["data"][0]["id"], intent["latest_charge"]["id"]);
}

#[tokio::test]
async fn a_session_can_be_paid_once() {
    let harness = Harness::new().await;
    let (session, _) = harness.paid().await;

    let again = harness.turn("pay", json!({ "session": session })).await;

    assert_eq!(again.status, 400);
}

#[tokio::test]
async fn a_declined_card_leaves_the_session_open() {
    let harness = Harness::new().await;
    for (card, code, decline_code) in [
        ("4000000000000002", "card_declined", "generic_decline"),
        ("4000 0000 0000 9995", "card_declined", "insufficient_funds"),
        ("4000000000000069", "expired_card", ""),
        ("4111111111111111", "card_declined", "test_mode_live_card"),
        ("4242424242424241", "incorrect_number", ""),
    ] {
        let id = harness.session().await;

        let declined = harness
            .knob("pay", json!({ "session": id, "card": card }))
            .await;

        assert_eq!(text(&declined["error"], "code"), code, "{card}");
        assert_eq!(
            text(&declined["error"], "decline_code"),
            decline_code,
            "{card}"
        );
        let session = harness.retrieve(&id).await;
        assert_eq!(session["status"], "open");
        assert_eq!(session["payment_status"], "unpaid");
        let intent = text(&declined, "paymentIntent");
        let intent = harness
            .get(&format!("/v1/payment_intents/{intent}"))
            .await
            .json();
        assert_eq!(intent["status"], "requires_payment_method");
        assert_eq!(text(&intent["last_payment_error"], "code"), code, "{card}");
    }
}

#[tokio::test]
async fn a_second_card_pays_the_same_intent() {
    let harness = Harness::new().await;
    let id = harness.session().await;
    let declined = harness
        .knob("pay", json!({ "session": id, "card": "4000000000000002" }))
        .await;
    harness.simulator.settled().await;

    let paid = harness.knob("pay", json!({ "session": id })).await;

    assert_eq!(declined["paymentIntent"], paid["paymentIntent"]);
    harness.simulator.settled().await;
    assert_eq!(
        harness.receiver.kinds(),
        [
            "payment_intent.created",
            "charge.failed",
            "payment_intent.payment_failed",
            "charge.succeeded",
            "payment_intent.succeeded",
            "checkout.session.completed"
        ]
    );
}

#[tokio::test]
async fn a_delayed_method_completes_unpaid_and_is_settled_later() {
    for (outcome, paid, event) in [
        (
            "succeeded",
            "paid",
            "checkout.session.async_payment_succeeded",
        ),
        ("failed", "unpaid", "checkout.session.async_payment_failed"),
    ] {
        let harness = Harness::new().await;
        let id = harness.session().await;
        let iban = "DE89370400440532013000";
        harness
            .knob("pay", json!({ "session": id, "card": iban }))
            .await;
        let session = harness.retrieve(&id).await;
        assert_eq!(
            (&session["status"], &session["payment_status"]),
            (&json!("complete"), &json!("unpaid"))
        );

        harness
            .knob("settle", json!({ "session": id, "outcome": outcome }))
            .await;

        assert_eq!(harness.retrieve(&id).await["payment_status"], paid);
        harness.simulator.settled().await;
        assert_eq!(harness.receiver.kinds().last().unwrap(), event);
        let again = harness
            .turn("settle", json!({ "session": id, "outcome": outcome }))
            .await;
        assert_eq!(again.status, 400);
    }
}

#[tokio::test]
async fn nothing_to_pay_needs_no_intent() {
    let harness = Harness::new().await;
    let form = session_form_with("line_items[0][price_data][unit_amount]", "0");
    let created = harness.post("/v1/checkout/sessions", &form).await.json();
    let id = text(&created, "id");

    harness.knob("pay", json!({ "session": id })).await;

    let session = harness.retrieve(&id).await;
    assert_eq!(created["payment_status"], "no_payment_required");
    assert_eq!(session["status"], "complete");
    assert_eq!(session["payment_intent"], Value::Null);
    harness.simulator.settled().await;
    assert_eq!(harness.receiver.kinds(), ["checkout.session.completed"]);
}

#[tokio::test]
async fn a_test_can_bend_amount_currency_and_metadata() {
    let harness = Harness::new().await;
    let id = harness.session().await;

    let paid = harness
        .knob("pay", json!({
            "session": id, "amount": 1, "currency": "usd", "metadata": { "bookingId": "another" },
        }))
        .await;

    let session = harness.retrieve(&id).await;
    let intent = harness
        .get(&format!(
            "/v1/payment_intents/{}",
            text(&paid, "paymentIntent")
        ))
        .await
        .json();
    assert_eq!(session["amount_total"], 1);
    assert_eq!(session["currency"], "usd");
    assert_eq!(session["metadata"]["bookingId"], "another");
    assert_eq!(
        (&intent["amount_received"], &intent["currency"]),
        (&json!(1), &json!("usd"))
    );
}

#[tokio::test]
async fn a_test_can_bend_a_payment_that_was_declined_before() {
    let harness = Harness::new().await;
    let id = harness.session().await;
    harness
        .knob("pay", json!({ "session": id, "card": "4000000000000002" }))
        .await;

    let paid = harness
        .knob(
            "pay",
            json!({ "session": id, "amount": 1, "currency": "usd" }),
        )
        .await;

    let intent = harness
        .get(&format!(
            "/v1/payment_intents/{}",
            text(&paid, "paymentIntent")
        ))
        .await
        .json();
    let charge = harness
        .get(&format!("/v1/charges/{}", text(&intent, "latest_charge")))
        .await
        .json();
    assert_eq!(
        (&intent["amount_received"], &intent["currency"]),
        (&json!(1), &json!("usd"))
    );
    assert_eq!(
        (&charge["amount_captured"], &charge["currency"]),
        (&json!(1), &json!("usd"))
    );
}

#[tokio::test]
async fn the_official_command_line_can_pay() {
    let harness = Harness::new().await;
    let id = harness.session().await;
    let page = harness.get(&format!("/v1/payment_pages/{id}")).await.json();
    let method = harness
        .post("/v1/payment_methods", "type=card&card[token]=tok_visa")
        .await
        .json();
    let form = format!(
        "payment_method={}&expected_amount={}",
        text(&method, "id"),
        page["total_summary"]["due"]
    );

    let confirmed = harness
        .post(&format!("/v1/payment_pages/{id}/confirm"), &form)
        .await;

    assert_eq!(
        confirmed.json()["payment_status"],
        "paid",
        "{}",
        confirmed.text
    );
}

#[tokio::test]
async fn a_decline_through_the_api_is_a_card_error() {
    let harness = Harness::new().await;
    let id = harness.session().await;
    let method = harness
        .post(
            "/v1/payment_methods",
            "type=card&card[number]=4000000000009995",
        )
        .await
        .json();

    let declined = harness
        .post(
            &format!("/v1/payment_pages/{id}/confirm"),
            &format!("payment_method={}", text(&method, "id")),
        )
        .await;

    assert_eq!(declined.status, 402);
    assert_eq!(text(&declined.error(), "type"), "card_error");
    assert_eq!(
        text(&declined.error(), "decline_code"),
        "insufficient_funds"
    );
    assert!(text(&declined.error(), "charge").starts_with("ch_"));
}
