//! What a request may name, and how much of it a refusal repeats.

use serde_json::{Value, json};

use crate::harness::TestApp;

fn labels(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("Z{number}")).collect()
}

#[tokio::test]
async fn what_cannot_be_a_label_is_refused_by_its_place() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let book = async |seats: Value| {
        let body = json!({ "kind": "show", "showId": show, "seats": seats });
        dana.post("/api/bookings", body).await
    };

    for (label, code) in [
        ("Ä-1.2 b".to_owned(), "unknown_seat"),
        ("東１２".to_owned(), "unknown_seat"),
        ("x".repeat(32), "unknown_seat"),
        ("x".repeat(33), "validation_failed"),
        ("x".repeat(60_000), "validation_failed"),
        (String::new(), "validation_failed"),
        ("A,2".to_owned(), "validation_failed"),
        ("A\n2".to_owned(), "validation_failed"),
        ("<A2>".to_owned(), "validation_failed"),
    ] {
        let answer = book(json!(["A2", label])).await;

        answer.refused(422, code);
        if code == "validation_failed" {
            assert_eq!(answer.fields(), ["seats[1]"]);
            assert!(answer.body.to_string().len() < 500, "{answer:?}");
        } else {
            assert_eq!(answer.body["seats"], json!([label]));
        }
    }
    let many = book(json!(vec!["<A2>"; 100])).await;
    assert_eq!(many.refused(422, "validation_failed").fields().len(), 20);
    assert_eq!(harness.sql("select count(*) from bookings").await, "0");
}

#[tokio::test]
async fn at_most_a_hundred_are_named_and_at_most_twenty_repeated() {
    let harness = TestApp::new().await;
    let show = harness.long_row(json!({ "maxSeatsPerBooking": 100 })).await;
    let dana = harness.customer("dana");
    let book = async |seats: Vec<String>| {
        let body = json!({ "kind": "show", "showId": show, "seats": seats });
        dana.post("/api/bookings", body).await
    };
    let row: Vec<String> = (1..=21).map(|number| format!("A{number}")).collect();
    let held = harness.customer("emil");
    let body = json!({ "kind": "show", "showId": show, "seats": row });
    assert_eq!(held.post("/api/bookings", body).await.status, 201);

    let too_many = book(labels(101)).await;
    let unknown = book(labels(100)).await;
    let gone = book(row).await;

    too_many.refused(422, "validation_failed");
    assert_eq!(too_many.fields(), ["seats"]);
    unknown.refused(422, "unknown_seat");
    assert_eq!(unknown.body["seats"], json!(labels(20)));
    let detail = unknown.body["detail"].as_str().unwrap();
    assert!(detail.ends_with("Z20 and 80 more."), "{detail}");
    gone.refused(409, "seat_unavailable");
    assert_eq!(gone.body["seats"].as_array().unwrap().len(), 20);
    let detail = gone.body["detail"].as_str().unwrap();
    assert!(
        detail.ends_with("A20 and 1 more are no longer free."),
        "{detail}"
    );
}

#[tokio::test]
async fn a_show_repeats_at_most_twenty_of_the_seats_that_it_does_not_have() {
    let harness = TestApp::new().await;
    let mut blocked = labels(30);
    blocked.push("<b>".to_owned());
    let show = json!({
        "title": "Metropolis", "startsAt": "2026-12-24T19:30:00Z", "timezone": "Europe/Berlin",
        "tiers": [{ "name": "a", "price": { "amountMinor": 1200, "currency": "eur" } }],
        "rows": [{ "row": "A", "seats": 1, "tier": "a" }], "blocked": blocked,
    });

    let refused = harness.admin().post("/api/admin/shows", show).await;

    refused.refused(422, "validation_failed");
    let message = refused.body["errors"][0]["message"].as_str().unwrap();
    assert_eq!(message.matches('Z').count(), 20, "{message}");
    assert!(!message.contains('<'), "{message}");
}
