//! A show may limit how many of its seats one user has.

use serde_json::{Value, json};

use super::{cancel, order};
use crate::harness::{Answer, TestApp};

#[track_caller]
fn refused_for(answer: &Answer, maximum: u32) {
    answer.refused(422, "too_many_seats");
    assert_eq!(answer.body["maximum"], maximum);
}

#[tokio::test]
async fn what_is_held_and_what_is_bought_count_together() {
    let harness = TestApp::new().await;
    let show = harness.show_with(json!({ "maxSeatsPerUser": 4 })).await;
    let dana = harness.customer("dana");

    refused_for(&dana.book(&show, &["A2", "A3", "A4", "A5", "A6"]).await, 4);
    let bought = dana.booked(&show, &["A2", "A3"]).await;
    harness.pay(&bought).await;
    refused_for(&dana.book(&show, &["A4", "A5", "A6"]).await, 4);
    let held = dana.booked(&show, &["A4", "A5"]).await;
    refused_for(&dana.book(&show, &["A6"]).await, 4);
    cancel(&dana, &held).await;
    harness.pay(&dana.booked(&show, &["A6", "A7"]).await).await;
    refused_for(&dana.book(&show, &["A8"]).await, 4);

    let emil = harness.customer("emil").book(&show, &["A8"]).await;
    assert_eq!(emil.status, 201);
    let elsewhere = harness.show_with(json!({ "maxSeatsPerUser": 4 })).await;
    assert_eq!(dana.book(&elsewhere, &["A8"]).await.status, 201);
    harness.reconcile().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_as_many_as_may_be_are_served() {
    let harness = TestApp::holding_freely().await;
    let show = harness.long_row(json!({ "maxSeatsPerUser": 4 })).await;

    let orders = (1..=20).map(|number| order(&show, &format!("A{number}")));
    let answers = harness.post_at_once(orders.collect()).await;

    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((won.len(), lost.len()), (4, 16));
    for answer in lost {
        refused_for(answer, 4);
    }
    assert_eq!(harness.sql("select count(*) from seat_claims").await, "4");
    harness.reconcile().await;
}

#[tokio::test]
async fn seats_that_cost_nothing_count_and_are_no_holds() {
    let harness = TestApp::new().await;
    let free = json!([{ "name": "regular", "price": { "amountMinor": 0, "currency": "eur" } }]);
    let show = harness
        .long_row(json!({ "tiers": free, "maxSeatsPerUser": 4 }))
        .await;
    let dana = harness.customer("dana");

    for seat in ["A1", "A2", "A3", "A4"] {
        dana.booked(&show, &[seat]).await;
    }

    refused_for(&dana.book(&show, &["A5"]).await, 4);
}

#[tokio::test]
async fn a_show_names_its_limit_or_none() {
    let harness = TestApp::new().await;
    for limit in [Value::Null, json!(1), json!(10_000)] {
        harness.show_with(json!({ "maxSeatsPerUser": limit })).await;
    }
    for limit in [json!(0), json!(10_001), json!(-1), json!("4"), json!(1.5)] {
        let show = json!({
            "title": "Metropolis", "startsAt": "2026-12-24T19:30:00Z", "timezone": "Europe/Berlin",
            "tiers": [{ "name": "a", "price": { "amountMinor": 1200, "currency": "eur" } }],
            "rows": [{ "row": "A", "seats": 1, "tier": "a" }], "maxSeatsPerUser": limit,
        });

        let refused = harness.admin().post("/api/admin/shows", show).await;

        refused.refused(422, "validation_failed");
        assert_eq!(refused.fields(), ["maxSeatsPerUser"], "{limit}");
    }
}
