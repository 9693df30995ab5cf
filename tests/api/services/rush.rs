//! Many want the same slot at once.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{TestApp, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_who_want_one_slot_over_two_servers_as_many_have_it_as_there_are_resources() {
    let harness = TestApp::new().await;
    let second = harness.second_server().await;
    let service = harness.service_with(json!({})).await;

    let requests = (0..50).map(|number| {
        let server = if number % 2 == 0 {
            &harness.url
        } else {
            &second
        };
        let hour = 5 + number % 3;
        let body = json!({
            "kind": "service", "serviceId": service["id"], "hours": 3,
            "startsAt": format!("2026-12-01T{hour:02}:00:00Z"),
        });
        let token = harness
            .issuer
            .token(&harness.claims(&format!("user_{number}"), "buyer@example.com"));
        let request = harness
            .http
            .post(format!("{server}/api/bookings"))
            .bearer_auth(token)
            .header("content-type", "application/json");
        send(request.body(body.to_string()))
    });
    let answers = join_all(requests).await;

    let won = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(won, 2);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.refused(409, "slot_unavailable");
    }
    assert_eq!(harness.sql("select count(*) from slot_claims").await, "2");
    assert_eq!(harness.sql("select count(*) from bookings").await, "2");
    harness.reconcile().await;
}
