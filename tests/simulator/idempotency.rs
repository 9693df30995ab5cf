//! Idempotency keys: one execution, its answer replayed, and what is not kept.

use serde_json::json;

use super::harness::{Harness, session_form, session_form_with, text};

const SESSIONS: &str = "/v1/checkout/sessions";

#[tokio::test]
async fn the_same_request_is_executed_once() {
    let harness = Harness::new().await;

    let first = harness.post_with_key("k", SESSIONS, &session_form()).await;
    let again = harness.post_with_key("k", SESSIONS, &session_form()).await;

    assert_eq!(first.text, again.text);
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.header("original-request"), first.header("request-id"));
    assert_eq!(harness.look("sessions").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_replay_shows_the_state_of_then() {
    let harness = Harness::new().await;
    let first = harness.post_with_key("k", SESSIONS, &session_form()).await;
    let id = text(&first.json(), "id");
    harness.knob("pay", json!({ "session": id })).await;

    let again = harness.post_with_key("k", SESSIONS, &session_form()).await;

    assert_eq!(again.json()["status"], "open");
}

#[tokio::test]
async fn other_parameters_or_another_path_are_refused() {
    let harness = Harness::new().await;
    let id = text(
        &harness
            .post_with_key("k", SESSIONS, &session_form())
            .await
            .json(),
        "id",
    );

    let other = harness
        .post_with_key(
            "k",
            SESSIONS,
            &session_form_with("client_reference_id", "other"),
        )
        .await;
    let elsewhere = harness
        .post_with_key("k", &format!("{SESSIONS}/{id}/expire"), "")
        .await;

    for reply in [other, elsewhere] {
        assert_eq!(reply.status, 400);
        assert_eq!(text(&reply.error(), "type"), "idempotency_error");
        assert!(
            text(&reply.error(), "message").starts_with("Keys for idempotent requests can only")
        );
    }
}

#[tokio::test]
async fn a_failed_validation_leaves_the_key_free() {
    let harness = Harness::new().await;

    let refused = harness.post_with_key("k", SESSIONS, "mode=payment").await;
    let accepted = harness.post_with_key("k", SESSIONS, &session_form()).await;

    assert_eq!((refused.status, accepted.status), (400, 200));
}

#[tokio::test]
async fn a_refusal_by_the_objects_state_is_kept() {
    let harness = Harness::new().await;
    let (session, _) = harness.paid().await;
    let expire = format!("{SESSIONS}/{session}/expire");

    harness.post_with_key("k", &expire, "").await;
    let again = harness.post_with_key("k", &expire, "").await;

    assert_eq!(again.status, 400);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn a_stored_failure_is_replayed_and_another_is_not() {
    let harness = Harness::new().await;
    for (stored, then) in [(true, 500), (false, 200)] {
        let key = format!("stored-{stored}");
        harness
            .knob(
                "faults",
                json!({
                    "route": "POST /v1/checkout/sessions", "kind": "status", "status": 500,
                    "stored": stored,
                }),
            )
            .await;

        let first = harness.post_with_key(&key, SESSIONS, &session_form()).await;
        let again = harness.post_with_key(&key, SESSIONS, &session_form()).await;

        assert_eq!(first.status, 500);
        assert_eq!(again.status, then);
    }
}

#[tokio::test]
async fn a_key_in_use_is_a_conflict() {
    let harness = Harness::new().await;
    harness
        .knob(
            "faults",
            json!({ "route": "*", "kind": "delay", "seconds": 3600 }),
        )
        .await;
    let form = session_form();
    let first = harness.try_post_with_key("k", SESSIONS, &form);
    let second = async {
        while harness
            .look("requests")
            .await
            .as_array()
            .unwrap()
            .is_empty()
        {}
        harness.post_with_key("k", SESSIONS, &form).await
    };

    let second = tokio::select! {
        _ = first => panic!("the first request is delayed for an hour"),
        second = second => second,
    };

    assert_eq!(second.status, 409);
    assert_eq!(second.error()["code"], "idempotency_key_in_use");
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let harness = Harness::new().await;
    let first = harness.post_with_key("k", SESSIONS, &session_form()).await;
    harness
        .knob("clock", json!({ "advanceSeconds": 24 * 60 * 60 + 1 }))
        .await;

    let later = harness.post_with_key("k", SESSIONS, &session_form()).await;

    assert_ne!(text(&first.json(), "id"), text(&later.json(), "id"));
}

#[tokio::test]
async fn the_key_travels_with_the_event() {
    let harness = Harness::new().await;
    let id = harness.session().await;

    let expired = harness
        .post_with_key("release-1", &format!("{SESSIONS}/{id}/expire"), "")
        .await;

    harness.simulator.settled().await;
    let event = harness.receiver.all()[0].json();
    assert_eq!(text(&event["request"], "idempotency_key"), "release-1");
    assert_eq!(
        text(&event["request"], "id"),
        expired.header("request-id").unwrap()
    );
}
