//! The same request twice is one booking.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{TestApp, send};

#[tokio::test]
async fn the_same_key_gives_the_same_answer() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let body = json!({ "kind": "show", "showId": show, "seats": ["A2"] });

    let first = dana
        .post_keyed("/api/bookings", body.clone(), "key-1")
        .await;
    harness.pay(&first.body).await;
    let again = dana.post_keyed("/api/bookings", body, "key-1").await;

    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body, again.body);
    assert_eq!(first.headers["location"], again.headers["location"]);
    assert!(first.headers.get("idempotent-replayed").is_none());
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(harness.sql("select count(*) from bookings").await, "1");
    harness.reconcile().await;
}

#[tokio::test]
async fn spaces_and_order_do_not_make_another_request() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let spaced = format!(r#"{{ "seats" : ["A2"], "showId":"{show}", "kind":"show" }}"#);

    dana.post_keyed(
        "/api/bookings",
        json!({ "kind": "show", "showId": show, "seats": ["A2"] }),
        "key-1",
    )
    .await;
    let request = dana
        .request(reqwest::Method::POST, "/api/bookings")
        .header("idempotency-key", "key-1");
    let again = send(
        request
            .header("content-type", "application/json")
            .body(spaced),
    )
    .await;

    assert_eq!(again.headers["idempotent-replayed"], "true");
}

#[tokio::test]
async fn the_same_key_for_another_request_is_refused() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");

    let body = |seat| json!({ "kind": "show", "showId": show, "seats": [seat] });
    dana.post_keyed("/api/bookings", body("A2"), "key-1").await;
    let other = dana.post_keyed("/api/bookings", body("A3"), "key-1").await;

    other.refused(422, "idempotency_key_reused");
    assert_eq!(harness.sql("select count(*) from bookings").await, "1");
}

#[tokio::test]
async fn the_key_is_looked_at_before_the_rules() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");

    dana.post_keyed(
        "/api/bookings",
        json!({ "kind": "show", "showId": show, "seats": ["A2"] }),
        "key-1",
    )
    .await;
    let wrong = json!({ "kind": "show", "showId": show, "seats": [] });
    let other = dana.post_keyed("/api/bookings", wrong, "key-1").await;

    other.refused(422, "idempotency_key_reused");
}

#[tokio::test]
async fn keys_of_different_callers_never_meet() {
    let harness = TestApp::new().await;
    let show = harness.show().await;

    let body = |seat| json!({ "kind": "show", "showId": show, "seats": [seat] });
    let dana = harness
        .customer("dana")
        .post_keyed("/api/bookings", body("A2"), "key-1")
        .await;
    let emil = harness
        .customer("emil")
        .post_keyed("/api/bookings", body("A3"), "key-1")
        .await;

    assert_eq!((dana.status, emil.status), (201, 201));
}

#[tokio::test]
async fn while_the_first_request_runs_the_second_is_refused() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let body = json!({ "kind": "show", "showId": show, "seats": ["A2"] });
    harness
        .knob(
            "faults",
            json!({ "route": "POST /v1/checkout/sessions$", "kind": "delay", "seconds": 1 }),
        )
        .await;

    let first = dana.post_keyed("/api/bookings", body.clone(), "key-1");
    let second = async {
        until(&harness, "select count(*) from idempotency_keys", "1").await;
        dana.post_keyed("/api/bookings", body.clone(), "key-1")
            .await
    };
    let (first, second) = tokio::join!(first, second);

    assert_eq!(first.status, 201, "{first:?}");
    second.refused(409, "idempotency_in_progress");
    assert!(second.headers.contains_key("retry-after"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_at_once_with_one_key_make_one_booking() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let body = json!({ "kind": "show", "showId": show, "seats": ["A2"] });

    let answers =
        join_all((0..10).map(|_| dana.post_keyed("/api/bookings", body.clone(), "key-1"))).await;

    for answer in &answers {
        let known = [(201, None), (409, Some("idempotency_in_progress"))];
        assert!(
            known.contains(&(answer.status, answer.body["code"].as_str())),
            "{answer:?}"
        );
    }
    let last = dana.post_keyed("/api/bookings", body, "key-1").await;
    assert_eq!(last.status, 201);
    assert_eq!(harness.sql("select count(*) from bookings").await, "1");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_refusal_is_stored_too() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let first = harness.customer("first").booked(&show, &["A2"]).await;
    let dana = harness.customer("dana");
    let body = json!({ "kind": "show", "showId": show, "seats": ["A2"] });

    let refused = dana
        .post_keyed("/api/bookings", body.clone(), "key-1")
        .await;
    end_at_stripe(&harness, &first).await;
    let again = dana
        .post_keyed("/api/bookings", body.clone(), "key-1")
        .await;
    let with_a_new_key = dana.post_keyed("/api/bookings", body, "key-2").await;

    refused.refused(409, "seat_unavailable");
    again.refused(409, "seat_unavailable");
    assert_eq!(again.body["seats"], refused.body["seats"]);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(with_a_new_key.status, 201);
}

#[tokio::test]
async fn after_a_fault_the_same_key_goes_on_with_the_same_booking() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let body = json!({ "kind": "show", "showId": show, "seats": ["A2"] });
    let down = json!({
        "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 503, "times": 7,
    });
    harness.knob("faults", down).await;

    let failed = dana
        .post_keyed("/api/bookings", body.clone(), "key-1")
        .await;
    let again = dana.post_keyed("/api/bookings", body, "key-1").await;

    failed.refused(503, "payment_provider_unavailable");
    assert_eq!(again.status, 201, "{again:?}");
    assert!(again.headers.get("idempotent-replayed").is_none());
    assert_eq!(harness.sql("select count(*) from bookings").await, "1");
    harness.pay(&again.body).await;
    assert_eq!(dana.booking(&again.body).await["status"], "confirmed");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_booking_that_has_ended_is_no_answer_to_who_repeats_their_request() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let body = json!({ "kind": "show", "showId": show, "seats": ["A2"] });
    let refusal =
        json!({ "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 400 });
    harness.knob("faults", refusal).await;

    let refused = dana
        .post_keyed("/api/bookings", body.clone(), "key-1")
        .await;
    let again = dana.post_keyed("/api/bookings", body, "key-1").await;

    refused.refused(502, "payment_provider_error");
    assert_eq!(
        (again.status, &again.body["status"]),
        (201, &json!("pending")),
        "{again:?}"
    );
    assert!(again.body["checkout"]["url"].is_string());
    harness.reconcile().await;
}

#[tokio::test]
async fn a_key_counts_for_a_day() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let body = json!({ "kind": "show", "showId": show, "seats": ["A2"] });
    harness
        .customer("dana")
        .post_keyed("/api/bookings", body.clone(), "key-1")
        .await;

    harness
        .advance(TimeDelta::hours(24) - TimeDelta::seconds(1))
        .await;
    let within = harness
        .customer("dana")
        .post_keyed("/api/bookings", body.clone(), "key-1")
        .await;
    harness.advance(TimeDelta::seconds(1)).await;
    let after = harness
        .customer("dana")
        .post_keyed("/api/bookings", body, "key-1")
        .await;

    assert_eq!(within.headers["idempotent-replayed"], "true");
    assert!(
        after.headers.get("idempotent-replayed").is_none(),
        "{after:?}"
    );
    assert_eq!(after.status, 201);
}

#[tokio::test]
async fn a_key_is_visible_ascii_of_bounded_length() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let body = json!({ "kind": "show", "showId": show, "seats": ["A2"] });

    for key in ["", "two words", &"x".repeat(256)] {
        let answer = dana.post_keyed("/api/bookings", body.clone(), key).await;

        answer.refused(422, "validation_failed");
        assert_eq!(answer.body["errors"][0]["field"], "Idempotency-Key");
    }
    let longest = dana
        .post_keyed("/api/bookings", body, &"x".repeat(255))
        .await;
    assert_eq!(longest.status, 201);
}

/// Lets a booking's session end unpaid, so that its seats are free.
async fn end_at_stripe(harness: &TestApp, booking: &serde_json::Value) {
    let session = booking["checkout"]["sessionId"].as_str().unwrap();
    let url = format!(
        "{}/v1/checkout/sessions/{session}/expire",
        harness.simulator.url()
    );
    assert_eq!(
        send(harness.http.post(url).bearer_auth("sk_test_stage"))
            .await
            .status,
        200
    );
    harness.simulator.settled().await;
}

/// Waits until the database says so; the test ends by its own limit if it never does.
async fn until(harness: &TestApp, query: &str, value: &str) {
    while harness.sql(query).await != value {
        tokio::task::yield_now().await;
    }
}

/// A refusal may repeat what was sent; what is kept of it is bounded.
#[tokio::test]
async fn a_refusal_keeps_at_most_16_kib_of_what_was_sent() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let bodies = [
        json!({ "kind": "show", "showId": show, "seats": ["x".repeat(63_000)] }),
        json!({ "kind": "show", "showId": show, "seats": ["\u{1}".repeat(9_000)] }),
        json!({ "kind": "show", "showId": show, "x".repeat(63_000): 1, "seats": ["A2"] }),
    ];

    for (number, body) in bodies.into_iter().enumerate() {
        let key = format!("key-{number}");
        let first = dana.post_keyed("/api/bookings", body.clone(), &key).await;
        let mut again = dana.post_keyed("/api/bookings", body, &key).await;

        assert_eq!(first.status, 422, "{first:?}");
        assert!(first.body.to_string().len() <= 16 << 10, "{first:?}");
        again.body["requestId"] = first.body["requestId"].clone();
        assert_eq!(again.body, first.body);
    }
    let longest = "select max(octet_length(response_body)) <= 16384 from idempotency_keys";
    assert_eq!(harness.sql(longest).await, "true");
}

#[tokio::test]
async fn a_caller_uses_at_most_2_000_keys_a_day() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let (dana, emil) = (harness.customer("dana"), harness.customer("emil"));
    let body = |seat| json!({ "kind": "show", "showId": show, "seats": [seat] });
    let first = dana.post_keyed("/api/bookings", body("A2"), "key-1").await;
    let others = sqlx::query(
        "insert into idempotency_keys
           (caller, key, request_hash, locked_until, response_status, response_body, created_at)
         select caller, 'other-' || number, request_hash, locked_until, 409, '{}', created_at
         from idempotency_keys cross join generate_series(1, 1999) as number",
    );
    others.execute(harness.db()).await.unwrap();

    let one_more = dana.post_keyed("/api/bookings", body("A3"), "key-2").await;
    let again = dana.post_keyed("/api/bookings", body("A2"), "key-1").await;
    let unkeyed = dana.post("/api/bookings", json!({ "kind": "show" })).await;
    let emils = emil.post_keyed("/api/bookings", body("A4"), "key-1").await;
    harness.advance(TimeDelta::hours(24)).await;
    let dana = harness.customer("dana");
    let next_day = dana.post_keyed("/api/bookings", body("A3"), "key-2").await;

    one_more.refused(429, "rate_limited");
    assert_eq!(one_more.headers["retry-after"], "86401");
    assert_eq!((again.status, &again.body["id"]), (201, &first.body["id"]));
    unkeyed.refused(422, "validation_failed");
    assert_eq!(emils.status, 201, "{emils:?}");
    assert_eq!(next_day.status, 201, "{next_day:?}");
}
