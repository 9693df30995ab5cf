//! Webhooks: how they are signed and sent, sent again, held, doubled and lost.

use hmac::{Hmac, KeyInit as _, Mac as _};
use holdfast::dev::simulator::Endpoint;
use serde_json::{Value, json};
use sha2::Sha256;

use super::harness::{Harness, NOW, Receiver, SECRET, options, session_form, text};

fn expected_signature(secret: &str, time: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{time}.{body}").as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

fn header(delivered: &super::harness::Delivered, name: &str) -> String {
    delivered
        .headers
        .get(name)
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_delivery_is_signed_with_the_whole_secret_and_the_simulators_clock() {
    let harness = Harness::new().await;
    let (session, _) = harness.paid().await;

    harness.simulator.settled().await;

    let deliveries = harness.receiver.all();
    let completed = deliveries
        .iter()
        .find(|one| one.kind() == "checkout.session.completed")
        .unwrap();
    let signature = expected_signature(SECRET, NOW, &completed.body);
    assert_eq!(
        header(completed, "stripe-signature"),
        format!("t={NOW},v1={signature}")
    );
    assert_eq!(
        header(completed, "content-type"),
        "application/json; charset=utf-8"
    );
    assert_eq!(
        header(completed, "user-agent"),
        "Stripe/1.0 (+https://stripe.com/docs/webhooks)"
    );
    assert!(completed.body.starts_with("{\n  \""), "{}", completed.body);
    let event = completed.json();
    assert_eq!(event["api_version"], "2026-09-30.endive");
    assert_eq!(event["livemode"], false);
    assert_eq!(event["pending_webhooks"], 1);
    assert_eq!(event["data"]["object"]["id"], session.as_str());
}

#[tokio::test]
async fn a_rolled_secret_signs_beside_the_new_one() {
    let receiver = Receiver::default();
    let url = receiver.listen().await;
    let endpoint = |secret: &str| Endpoint {
        url: url.clone(),
        secret: secret.to_owned(),
        api_version: Some("2025-01-27.acacia".to_owned()),
    };
    let harness = Harness::with(
        options(vec![endpoint("whsec_old"), endpoint("whsec_new")]),
        receiver,
    )
    .await;
    let id = harness.session().await;

    harness
        .post(&format!("/v1/checkout/sessions/{id}/expire"), "")
        .await;
    harness.simulator.settled().await;

    let all = harness.receiver.all();
    assert_eq!(all.len(), 1);
    let old = expected_signature("whsec_old", NOW, &all[0].body);
    let new = expected_signature("whsec_new", NOW, &all[0].body);
    assert_eq!(
        header(&all[0], "stripe-signature"),
        format!("t={NOW},v1={old},v1={new}")
    );
    assert_eq!(all[0].json()["api_version"], "2025-01-27.acacia");
}

#[tokio::test]
async fn each_endpoint_gets_each_event() {
    let harness = Harness::new().await;
    let second = Receiver::default();
    harness.simulator.add_endpoint(Endpoint {
        url: second.listen().await,
        secret: "whsec_second".to_owned(),
        api_version: None,
    });

    harness.paid().await;
    harness.simulator.settled().await;

    assert_eq!(harness.receiver.kinds(), second.kinds());
    assert_eq!(second.kinds().len(), 4);
}

#[tokio::test]
async fn a_refused_delivery_is_tried_three_times_more_with_a_fresh_signature() {
    let harness = Harness::new().await;
    harness.receiver.refuse_next(4);
    let id = harness.session().await;
    harness
        .post(&format!("/v1/checkout/sessions/{id}/expire"), "")
        .await;
    harness.simulator.settled().await;

    for _ in 0..4 {
        harness.knob("clock", json!({ "advanceSeconds": 60 })).await;
        harness.knob("deliver_due", json!({})).await;
    }

    let signatures: Vec<String> = harness
        .receiver
        .all()
        .iter()
        .map(|one| header(one, "stripe-signature"))
        .collect();
    assert_eq!(signatures.len(), 4);
    assert!(
        signatures[3].starts_with(&format!("t={}", NOW + 180)),
        "{signatures:?}"
    );
    let undelivered = harness
        .get("/v1/events?delivery_success=false")
        .await
        .json();
    assert_eq!(undelivered["data"].as_array().unwrap().len(), 1);
    let log = harness.look("deliveries").await;
    assert_eq!(log[3]["attempt"], 4);
    assert_eq!(log[3]["status"], 500);
}

#[tokio::test]
async fn a_retry_that_succeeds_is_the_last() {
    let harness = Harness::new().await;
    harness.receiver.refuse_next(1);
    let id = harness.session().await;
    harness
        .post(&format!("/v1/checkout/sessions/{id}/expire"), "")
        .await;
    harness.simulator.settled().await;

    harness.knob("deliver_due", json!({})).await;
    harness.knob("deliver_due", json!({})).await;

    assert_eq!(harness.receiver.all().len(), 2);
    let undelivered = harness
        .get("/v1/events?delivery_success=false")
        .await
        .json();
    assert_eq!(undelivered["data"], json!([]));
}

#[tokio::test]
async fn events_can_be_doubled() {
    let harness = Harness::new().await;
    harness
        .knob(
            "deliveries",
            json!({ "copies": 3, "types": ["checkout.session.completed"] }),
        )
        .await;

    harness.paid().await;
    harness.simulator.settled().await;

    let kinds = harness.receiver.kinds();
    let completed = kinds
        .iter()
        .filter(|kind| *kind == "checkout.session.completed");
    assert_eq!(completed.count(), 3);
    assert_eq!(kinds.len(), 6);
}

#[tokio::test]
async fn dropped_events_are_only_seen_by_asking() {
    let harness = Harness::new().await;
    harness.knob("deliveries", json!({ "drop": true })).await;

    harness.paid().await;
    harness.simulator.settled().await;

    assert_eq!(harness.receiver.all().len(), 0);
    let undelivered = harness
        .get("/v1/events?delivery_success=false")
        .await
        .json();
    assert_eq!(undelivered["data"].as_array().unwrap().len(), 4);
    assert_eq!(harness.look("deliveries").await[0]["outcome"], "dropped");
}

#[tokio::test]
async fn held_events_come_in_the_order_that_is_asked_for() {
    let harness = Harness::new().await;
    harness.knob("deliveries", json!({ "hold": true })).await;
    harness.paid().await;
    harness.simulator.settled().await;
    assert_eq!(harness.receiver.all().len(), 0);

    harness
        .knob("deliver_due", json!({ "order": "reverse" }))
        .await;

    assert_eq!(
        harness.receiver.kinds(),
        [
            "checkout.session.completed",
            "payment_intent.succeeded",
            "charge.succeeded",
            "payment_intent.created"
        ]
    );
}

#[tokio::test]
async fn held_events_can_be_named() {
    let harness = Harness::new().await;
    harness.knob("deliveries", json!({ "hold": true })).await;
    let id = harness.session().await;
    let paid = harness.knob("pay", json!({ "session": id })).await;

    harness
        .knob("deliver_due", json!({ "order": [paid["events"][2]] }))
        .await;

    assert_eq!(harness.receiver.kinds()[0], "payment_intent.succeeded");
    assert_eq!(harness.receiver.kinds().len(), 4);
}

#[tokio::test]
async fn events_can_arrive_before_the_answer_of_their_cause() {
    let harness = Harness::new().await;
    let id = harness.session().await;
    harness
        .knob("deliveries", json!({ "before_answer": true }))
        .await;

    harness
        .post(&format!("/v1/checkout/sessions/{id}/expire"), "")
        .await;

    assert_eq!(harness.receiver.kinds(), ["checkout.session.expired"]);
}

#[tokio::test]
async fn an_event_can_be_sent_again() {
    let harness = Harness::new().await;
    let id = harness.session().await;
    harness
        .post(&format!("/v1/checkout/sessions/{id}/expire"), "")
        .await;
    harness.simulator.settled().await;
    let event = text(&harness.receiver.all()[0].json(), "id");

    harness
        .post(
            &format!("/v1/events/{event}/retry"),
            "webhook_endpoint=we_1",
        )
        .await;
    harness.simulator.settled().await;

    let ids: Vec<String> = harness
        .receiver
        .all()
        .iter()
        .map(|one| text(&one.json(), "id"))
        .collect();
    assert_eq!(ids, [event.clone(), event]);
}

#[tokio::test]
async fn any_event_and_any_body_can_be_sent() {
    let harness = Harness::new().await;

    harness
        .knob(
            "events",
            json!({ "type": "customer.created", "object": { "id": "cus_1" }, "livemode": true }),
        )
        .await;
    harness.simulator.settled().await;
    harness.knob("events", json!({ "raw": "not json" })).await;
    harness.simulator.settled().await;

    let all = harness.receiver.all();
    assert_eq!(all[0].json()["livemode"], true);
    assert_eq!(all[0].json()["data"]["object"], json!({ "id": "cus_1" }));
    assert_eq!(all[1].body, "not json");
    let signature = expected_signature(SECRET, NOW, "not json");
    assert!(header(&all[1], "stripe-signature").ends_with(&signature));
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_fails_without_a_status() {
    let nowhere = Endpoint {
        url: "http://127.0.0.1:9/webhook".to_owned(),
        secret: SECRET.to_owned(),
        api_version: None,
    };
    let harness = Harness::with(options(vec![nowhere]), Receiver::default()).await;
    let created = harness
        .post("/v1/checkout/sessions", &session_form())
        .await
        .json();

    harness
        .post(
            &format!("/v1/checkout/sessions/{}/expire", text(&created, "id")),
            "",
        )
        .await;
    harness.simulator.settled().await;

    let log = harness.look("deliveries").await;
    assert_eq!(log[0]["outcome"], "failed");
    assert_eq!(log[0]["status"], Value::Null);
}
