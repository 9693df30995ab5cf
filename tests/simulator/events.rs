//! `GET /v1/events`: what happened, by type, time and delivery.

use serde_json::{Value, json};

use super::harness::{Harness, NOW, text};

fn kinds(page: &Value) -> Vec<String> {
    page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| text(event, "type"))
        .collect()
}

#[tokio::test]
async fn events_are_listed_newest_first_and_by_type() {
    let harness = Harness::new().await;
    harness.paid().await;

    let all = harness.get("/v1/events").await.json();
    let one = harness.get("/v1/events?type=charge.succeeded").await.json();
    let family = harness.get("/v1/events?type=payment_intent.*").await.json();
    let two = harness
        .get("/v1/events?types[]=charge.succeeded&types[]=payment_intent.created")
        .await
        .json();

    assert_eq!(kinds(&all)[0], "checkout.session.completed");
    assert_eq!(kinds(&one), ["charge.succeeded"]);
    assert_eq!(
        kinds(&family),
        ["payment_intent.succeeded", "payment_intent.created"]
    );
    assert_eq!(kinds(&two), ["charge.succeeded", "payment_intent.created"]);
}

#[tokio::test]
async fn events_are_listed_by_time_and_for_thirty_days() {
    let harness = Harness::new().await;
    harness.paid().await;
    harness.knob("clock", json!({ "advanceSeconds": 60 })).await;
    let second = harness.session().await;
    harness
        .post(&format!("/v1/checkout/sessions/{second}/expire"), "")
        .await;

    let since = harness
        .get(&format!("/v1/events?created[gte]={}", NOW + 60))
        .await
        .json();
    let after = harness
        .get(&format!("/v1/events?created[gt]={NOW}"))
        .await
        .json();
    let before = harness
        .get(&format!("/v1/events?created[lt]={}", NOW + 60))
        .await
        .json();
    harness
        .knob("clock", json!({ "advanceSeconds": 30 * 24 * 60 * 60 - 30 }))
        .await;
    let much_later = harness.get("/v1/events").await.json();

    assert_eq!(kinds(&since), ["checkout.session.expired"]);
    assert_eq!(kinds(&after), ["checkout.session.expired"]);
    assert_eq!(kinds(&before).len(), 4);
    assert_eq!(kinds(&much_later), ["checkout.session.expired"]);
}

#[tokio::test]
async fn an_event_keeps_the_object_as_it_was() {
    let harness = Harness::new().await;
    let (_, intent) = harness.paid().await;
    harness
        .post("/v1/refunds", &format!("payment_intent={intent}"))
        .await;

    let page = harness.get("/v1/events?type=charge.succeeded").await.json();

    let event = &page["data"][0];
    assert_eq!(event["data"]["object"]["refunded"], false);
    let retrieved = harness
        .get(&format!("/v1/events/{}", text(event, "id")))
        .await
        .json();
    assert_eq!(retrieved["data"], event["data"]);
}

#[tokio::test]
async fn events_are_delivered_when_every_endpoint_has_acknowledged() {
    let harness = Harness::new().await;
    harness.paid().await;
    harness.simulator.settled().await;

    let delivered = harness.get("/v1/events?delivery_success=true").await.json();

    assert_eq!(kinds(&delivered).len(), 4);
    assert_eq!(delivered["data"][0]["pending_webhooks"], 0);
}

/// It is a place in the list of all events, even when it would not be listed any more.
#[tokio::test]
async fn a_page_begins_after_an_event_that_was_delivered_since() {
    let harness = Harness::new().await;
    harness.knob("deliveries", json!({ "hold": true })).await;
    harness.paid().await;
    let undelivered = "/v1/events?delivery_success=false&limit=2";
    let first = harness.get(undelivered).await.json();
    assert_eq!(first["has_more"], true);

    let after = text(&first["data"][1], "id");
    let order = json!({ "order": [after] });
    harness.knob("deliver_due", order).await;
    let rest = format!("{undelivered}&starting_after={after}");
    let rest = harness.get(&rest).await.json();

    assert_eq!(rest["has_more"], false);
}
