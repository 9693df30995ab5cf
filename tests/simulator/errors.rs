//! The shell of every answer: keys, headers, and errors that concern no parameter.

use reqwest::Method;
use serde_json::Value;

use super::harness::{Harness, session_form, text};

#[tokio::test]
async fn only_test_keys_are_accepted() {
    let harness = Harness::new().await;
    for (authorization, status) in [
        ("Bearer sk_test_1", 200),
        ("Bearer rk_test_1", 200),
        ("Basic c2tfdGVzdF8xOg==", 200),
        ("Bearer sk_live_1", 401),
        ("Bearer pk_test_1", 401),
        ("Bearer ", 401),
    ] {
        let headers = [("authorization", authorization)];
        let reply = harness
            .send(Method::GET, "/v1/balance", &headers, String::new())
            .await
            .unwrap();

        assert_eq!(reply.status, status, "{authorization}: {}", reply.text);
    }
}

#[tokio::test]
async fn no_key_is_an_invalid_request() {
    let harness = Harness::new().await;

    let reply = harness
        .send(Method::POST, "/v1/checkout/sessions", &[], session_form())
        .await
        .unwrap();

    assert_eq!(reply.status, 401);
    assert_eq!(text(&reply.error(), "type"), "invalid_request_error");
    assert_eq!(reply.error()["code"], Value::Null);
}

#[tokio::test]
async fn every_answer_names_its_request_version_and_time() {
    let harness = Harness::new().await;
    let headers = [
        ("authorization", "Bearer sk_test_1"),
        ("stripe-version", "2026-09-30.endive"),
        ("idempotency-key", "key-1"),
    ];

    let reply = harness
        .send(
            Method::POST,
            "/v1/checkout/sessions",
            &headers,
            session_form(),
        )
        .await
        .unwrap();

    assert!(reply.header("request-id").unwrap().starts_with("req_"));
    assert_eq!(reply.header("stripe-version"), Some("2026-09-30.endive"));
    assert_eq!(reply.header("idempotency-key"), Some("key-1"));
    assert_eq!(reply.header("date"), Some("Sat, 21 Nov 2026 12:00:00 GMT"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn an_error_links_to_its_explanation_and_its_log() {
    let harness = Harness::new().await;

    let reply = harness.post("/v1/checkout/sessions", "mode=payment").await;

    let error = reply.error();
    assert_eq!(
        text(&error, "message"),
        "Missing required param: line_items."
    );
    assert_eq!(
        text(&error, "doc_url"),
        "https://docs.stripe.com/error-codes/parameter-missing"
    );
    let request = reply.header("request-id").unwrap();
    assert!(text(&error, "request_log_url").ends_with(request));
}

#[tokio::test]
async fn an_unknown_route_is_not_found() {
    let harness = Harness::new().await;

    let reply = harness.get("/v1/unicorns").await;

    assert_eq!(reply.status, 404);
    assert!(
        text(&reply.error(), "message").starts_with("Unrecognized request URL (GET: /v1/unicorns)")
    );
}

#[tokio::test]
async fn what_cannot_be_expanded_is_refused() {
    let harness = Harness::new().await;
    let session = harness.session().await;

    let reply = harness
        .get(&format!("/v1/checkout/sessions/{session}?expand[]=colour"))
        .await;

    assert_eq!(reply.status, 400);
    assert_eq!(
        text(&reply.error(), "message"),
        "This property cannot be expanded (colour)."
    );
}

#[tokio::test]
async fn a_knob_refuses_what_it_does_not_know() {
    let harness = Harness::new().await;

    let reply = harness
        .turn("deliveries", serde_json::json!({ "colour": "red" }))
        .await;

    assert_eq!(reply.status, 400);
}
