//! Stripe takes only so many calls. Whoever asks or pays back must not keep others from booking,
//! and a Stripe that has had enough is not asked again and again.

use chrono::TimeDelta;
use futures_util::future::join_all;
use holdfast::config::StripeLimits;
use serde_json::{Value, json};

use crate::harness::TestApp;

const CREATE: &str = "POST /v1/checkout/sessions$";

/// How often Stripe got a call whose path begins so.
async fn calls(harness: &TestApp, method: &str, path: &str) -> usize {
    let asked = harness.stripe_requests().await;
    let is_such = |asked: &&Value| {
        asked["method"] == method && asked["path"].as_str().unwrap().starts_with(path)
    };
    asked.iter().filter(is_such).count()
}

/// Bookings of a buyer each, of as many seats.
async fn booked(harness: &TestApp, show: &str, count: usize) -> Vec<Value> {
    let mut bookings = Vec::new();
    for number in 0..count {
        let buyer = harness.customer(&number.to_string());
        bookings.push(buyer.booked(show, &[&format!("A{}", number + 1)]).await);
    }
    bookings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_books_is_served_and_our_record_answers_where_more_ask_than_stripe_takes() {
    const ASKERS: usize = 40;
    let harness = TestApp::new().await;
    let rows = json!([{ "row": "A", "seats": 50, "tier": "regular" }]);
    let own = json!({ "rows": rows, "blocked": [] });
    let show = harness.show_with(own).await;
    let bookings = booked(&harness, &show, ASKERS).await;
    let limits = StripeLimits {
        of_account: 1,
        ..StripeLimits::LIVE
    };
    let server = harness.limited_server(limits).await;

    let asking = bookings.iter().enumerate().map(|(number, booking)| {
        let session = json!({ "sessionId": booking["checkout"]["sessionId"] });
        let (buyer, server) = (harness.customer(&number.to_string()), &server);
        async move {
            let path = "/api/payments/verify?wait=0";
            buyer.post_to(server, path, &session).await
        }
    });
    let wanted = json!({ "kind": "show", "showId": show, "seats": ["A50"] });
    let late = harness.customer("late");
    let booking = late.post_to(&server, "/api/bookings", &wanted);
    let (asked, booking) = tokio::join!(join_all(asking), booking);

    assert_eq!(booking.status, 201, "{booking:?}");
    for answer in &asked {
        assert_eq!(
            (answer.status, &answer.body["status"]),
            (200, &json!("pending"))
        );
    }
    let reads = calls(&harness, "GET", "/v1/checkout/sessions/").await;
    assert!((1..ASKERS).contains(&reads), "{reads} reads");
}

#[tokio::test]
async fn a_booking_makes_three_calls_where_stripe_answers_429_and_each_reopening_one() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let enough = json!({ "route": CREATE, "kind": "status", "status": 429, "times": 1_000 });
    harness.knob("faults", enough).await;

    let unanswered = dana.book(&show, &["A2"]).await;
    let of_booking = calls(&harness, "POST", "/v1/checkout/sessions").await;
    let own = dana.get("/api/bookings").await.body;
    let path = format!(
        "/api/bookings/{}/checkout",
        own["items"][0]["id"].as_str().unwrap()
    );
    for _ in 0..10 {
        let reopened = dana.post(&path, json!({})).await;
        reopened.refused(503, "payment_provider_unavailable");
    }

    unanswered.refused(503, "payment_provider_unavailable");
    assert_eq!(of_booking, 3);
    assert_eq!(calls(&harness, "POST", "/v1/checkout/sessions").await, 13);
}

#[tokio::test]
async fn refunds_and_questions_pause_while_stripe_answers_429_and_go_on_after_it() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let paid = dana.booked(&show, &["A2"]).await;
    harness.pay(&paid).await;
    let pending = dana.booked(&show, &["A3"]).await;
    let late = harness.customer("late");
    let path = format!("/api/bookings/{}/cancel", paid["id"].as_str().unwrap());
    assert_eq!(dana.post(&path, json!({})).await.status, 200);
    let enough = json!({ "route": "*", "kind": "status", "status": 429, "times": 8 });
    harness.knob("faults", enough).await;

    let unanswered = late.book(&show, &["A4"]).await;
    let session = json!({ "sessionId": pending["checkout"]["sessionId"] });
    let verified = dana.post("/api/payments/verify?wait=0", session).await;
    harness.run_jobs().await;
    let waiting = harness.sql("select status from refunds").await;

    unanswered.refused(503, "payment_provider_unavailable");
    assert_eq!(
        (verified.status, &verified.body["status"]),
        (200, &json!("pending"))
    );
    assert_eq!(waiting, "requested");
    // One each if the pause is over already, and then no other try.
    assert!(calls(&harness, "POST", "/v1/refunds").await <= 1);
    assert!(calls(&harness, "GET", "/v1/checkout/sessions/").await <= 1);
    // Who books tries whether Stripe takes calls again, and then the others need not wait.
    let own = late.get("/api/bookings").await.body;
    let path = format!(
        "/api/bookings/{}/checkout",
        own["items"][0]["id"].as_str().unwrap()
    );
    while late.post(&path, json!({})).await.status != 200 {}
    harness.run_jobs().await;
    assert_eq!(harness.sql("select status from refunds").await, "succeeded");
}

/// A booking that nobody waits for any more is finished in the background.
#[tokio::test]
async fn only_pages_of_buyers_who_wait_are_opened_while_stripe_wants_to_be_left_alone() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let enough = json!({ "route": CREATE, "kind": "status", "status": 429, "seconds": 60 });
    harness.knob("faults", enough).await;
    let unanswered = dana.book(&show, &["A2"]).await;
    unanswered.refused(503, "payment_provider_unavailable");

    harness.advance(TimeDelta::seconds(3)).await;
    harness.run_jobs().await;
    let unasked = calls(&harness, "POST", "/v1/checkout/sessions").await;
    let booked = harness.customer("emil").book(&show, &["A3"]).await;
    harness.run_jobs().await;

    assert_eq!(unasked, 1, "no other try");
    assert_eq!(booked.status, 201, "{booked:?}");
    // Stripe takes calls again, so that the others need not wait either.
    assert_eq!(calls(&harness, "POST", "/v1/checkout/sessions").await, 3);
}

#[tokio::test]
async fn one_429_is_a_matter_of_a_moment() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let enough = json!({ "route": CREATE, "kind": "status", "status": 429 });
    harness.knob("faults", enough).await;

    let booking = harness.customer("dana").booked(&show, &["A2"]).await;

    assert_eq!(calls(&harness, "POST", "/v1/checkout/sessions").await, 2);
    harness.pay(&booking).await;
    harness.reconcile().await;
}

#[tokio::test]
async fn a_stripe_that_is_away_is_not_asked_seven_times_by_everybody() {
    const BUYERS: usize = 8;
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let down = json!({ "route": CREATE, "kind": "status", "status": 503, "times": 1_000 });
    harness.knob("faults", down).await;

    let limits = StripeLimits {
        retries_at_once: 10,
        ..StripeLimits::SIMULATED
    };
    let server = harness.limited_server(limits).await;

    let booking = (2..2 + BUYERS).map(async |number| {
        let buyer = harness.customer(&number.to_string());
        let wanted = json!({ "kind": "show", "showId": show, "seats": [format!("A{number}")] });
        buyer.post_to(&server, "/api/bookings", &wanted).await
    });
    let answers = join_all(booking).await;

    for answer in &answers {
        answer.refused(503, "payment_provider_unavailable");
    }
    // The first of each, ten that are always there, and one a second.
    let calls = calls(&harness, "POST", "/v1/checkout/sessions").await;
    assert!((BUYERS + 10..BUYERS + 20).contains(&calls), "{calls}");
}
