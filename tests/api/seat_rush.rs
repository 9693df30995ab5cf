//! Many want the same seats at once.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{TestApp, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_who_want_one_seat_over_two_servers_one_has_it() {
    let harness = TestApp::new().await;
    let second = harness.second_server().await;
    let show = harness.show().await;
    let body = json!({ "kind": "show", "showId": show, "seats": ["A2"] }).to_string();

    let requests = (0..50).map(|number| {
        let server = if number % 2 == 0 {
            &harness.url
        } else {
            &second
        };
        let token = harness
            .issuer
            .token(&harness.claims(&format!("user_{number}"), "buyer@example.com"));
        let request = harness
            .http
            .post(format!("{server}/api/bookings"))
            .bearer_auth(token);
        send(
            request
                .header("content-type", "application/json")
                .body(body.clone()),
        )
    });
    let answers = join_all(requests).await;

    let won = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(won, 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.refused(409, "seat_unavailable");
        assert_eq!(answer.body["seats"], json!(["A2"]));
        assert!(answer.body.get("ownBooking").is_none());
    }
    for (count, table) in [
        ("1", "bookings"),
        ("1", "seat_claims"),
        ("1", "checkout_attempts"),
    ] {
        assert_eq!(
            harness.sql(&format!("select count(*) from {table}")).await,
            count,
            "{table}"
        );
    }
    harness.reconcile().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_seats_in_another_order_never_deadlock() {
    let harness = TestApp::new().await;
    let second = harness.second_server().await;
    let show = harness.show().await;

    let requests = (0..40).map(|number| {
        let (server, seats) = if number % 2 == 0 {
            (&harness.url, ["A2", "A3"])
        } else {
            (&second, ["A3", "A2"])
        };
        let token = harness
            .issuer
            .token(&harness.claims(&format!("user_{number}"), "buyer@example.com"));
        let body = json!({ "kind": "show", "showId": show, "seats": seats }).to_string();
        let request = harness
            .http
            .post(format!("{server}/api/bookings"))
            .bearer_auth(token);
        send(
            request
                .header("content-type", "application/json")
                .body(body),
        )
    });
    let answers = join_all(requests).await;

    assert_eq!(
        answers.iter().filter(|answer| answer.status == 201).count(),
        1
    );
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 409).count(),
        39
    );
    assert_eq!(harness.sql("select count(*) from seat_claims").await, "2");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_booking_that_cannot_have_all_its_seats_has_none() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    harness.customer("first").booked(&show, &["A5"]).await;

    let answer = harness
        .customer("second")
        .book(&show, &["A4", "A5", "A6"])
        .await;

    answer.refused(409, "seat_unavailable");
    assert_eq!(answer.body["seats"], json!(["A5"]));
    assert_eq!(
        harness
            .sql("select string_agg(label, ',') from seat_claims")
            .await,
        "A5"
    );
    assert_eq!(harness.sql("select count(*) from bookings").await, "1");
}
