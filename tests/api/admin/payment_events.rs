//! The ledger of Stripe's events: listed, looked at, and settled again.

use serde_json::{Value, json};

use super::paid_unheard;
use crate::harness::TestApp;

const EVENTS: &str = "/api/admin/payment-events";

/// An event of nothing of ours.
fn foreign(id: &str, kind: &str) -> String {
    let object = json!({ "object": "customer", "id": "cus_1" });
    json!({
        "id": id, "object": "event", "type": kind, "created": 1_795_000_000, "livemode": false,
        "api_version": "2026-09-30.endive", "data": { "object": object },
    })
    .to_string()
}

fn ids(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|event| event["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_event_is_shown_with_what_became_of_it() {
    let harness = TestApp::new().await;
    let (booking, body) = paid_unheard(&harness).await;
    let event: Value = serde_json::from_str(&body).unwrap();
    let id = event["id"].as_str().unwrap();

    for _ in 0..2 {
        harness.deliver(&body).await;
    }

    let shown = harness.admin().get(&format!("{EVENTS}/{id}")).await;
    assert_eq!(shown.status, 200, "{shown:?}");
    let expected = json!({
        "id": id, "type": "checkout.session.completed", "status": "processed",
        "outcome": "the payment is applied and the booking confirmed",
        "bookingId": booking["id"], "deliveries": 2,
        "receivedAt": shown.body["receivedAt"], "processedAt": shown.body["processedAt"],
        "payload": event,
    });
    assert_eq!(shown.body, expected);
    let listed = harness.admin().get(EVENTS).await.body;
    assert_eq!(listed["items"], json!([expected]));
}

#[tokio::test]
async fn events_are_listed_by_status_and_type_and_page_by_page() {
    let harness = TestApp::new().await;
    let (_, body) = paid_unheard(&harness).await;
    harness.deliver(&body).await;
    for number in 1..=3 {
        let event = foreign(&format!("evt_{number}"), "customer.created");
        harness.deliver(&event).await;
    }
    let admin = harness.admin();
    let list = async |query: &str| admin.get(&format!("{EVENTS}?{query}")).await.body;

    assert_eq!(
        ids(&list("status=ignored").await),
        ["evt_3", "evt_2", "evt_1"]
    );
    assert_eq!(ids(&list("status=processed").await).len(), 1);
    assert_eq!(ids(&list("type=customer.created&limit=1").await), ["evt_3"]);
    assert_eq!(ids(&list("type=wibble").await), Vec::<&str>::new());

    let first = list("limit=2").await;
    let cursor = first["nextCursor"].as_str().unwrap();
    let rest = list(&format!("limit=2&cursor={cursor}")).await;
    let mut all = [ids(&first), ids(&rest)].concat();
    assert_eq!(rest["nextCursor"], Value::Null);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 4);

    for query in [
        "status=wibble",
        "limit=0",
        "cursor=evt_1",
        "cursor=9223372036854775807_x",
        "x=1",
    ] {
        let refused = admin.get(&format!("{EVENTS}?{query}")).await;
        refused.refused(422, "validation_failed");
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_read_by_everybody_is_shown_as_a_text() {
    let harness = TestApp::new().await;
    let odd = foreign("evt_1", "customer.created").replace("cus_1", r"cus_\ud800");

    harness.deliver(&odd).await;

    let shown = harness.admin().get(&format!("{EVENTS}/evt_1")).await.body;
    assert_eq!(shown["payload"], odd);
}

#[tokio::test]
async fn what_was_ignored_by_mistake_is_settled_by_its_replay() {
    let harness = TestApp::new().await;
    let (booking, body) = paid_unheard(&harness).await;
    let event: Value = serde_json::from_str(&body).unwrap();
    let id = event["id"].as_str().unwrap();
    let mut unreadable = event.clone();
    unreadable["livemode"] = json!(true);
    harness.deliver(&unreadable.to_string()).await;
    // The mistake was in what was stored, and has been put right.
    let repaired = format!("update payment_events set payload = '{body}'");
    sqlx::query(sqlx::AssertSqlSafe(repaired))
        .execute(harness.db())
        .await
        .unwrap();
    let path = format!("{EVENTS}/{id}/replay");
    let admin = harness.admin();

    let replayed = admin
        .post(&path, json!({ "reason": "the mode was wrong" }))
        .await;
    let again = admin.post(&path, json!({})).await;

    assert_eq!(replayed.status, 200, "{replayed:?}");
    assert_eq!(replayed.body["status"], "processed");
    assert_eq!(again.body, replayed.body);
    let dana = harness.customer("dana");
    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    let settled_by = "select string_agg(settled_by, ' ') from payments";
    assert_eq!(harness.sql(settled_by).await, "replay");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_replay_of_what_is_ignored_or_deferred_leaves_it_so() {
    let harness = TestApp::new().await;
    harness.deliver(&foreign("evt_1", "customer.created")).await;
    let admin = harness.admin();

    let replayed = admin
        .post(&format!("{EVENTS}/evt_1/replay"), json!({}))
        .await;

    assert_eq!(replayed.body["status"], "ignored");
    assert_eq!(replayed.body["deliveries"], 1);
    for body in [json!({ "reason": 1 }), json!({ "wibble": 1 })] {
        let refused = admin.post(&format!("{EVENTS}/evt_1/replay"), body).await;
        refused.refused(422, "validation_failed");
    }
    admin
        .get(&format!("{EVENTS}/evt_2"))
        .await
        .refused(404, "not_found");
    let unknown = admin
        .post(&format!("{EVENTS}/evt_2/replay"), json!({}))
        .await;
    unknown.refused(404, "not_found");
}
