//! Injected faults: each kind, and how long it lasts.

use serde_json::json;

use super::harness::{Harness, session_form, text};

const SESSIONS: &str = "/v1/checkout/sessions";
const CREATE: &str = "POST /v1/checkout/sessions$";

#[tokio::test]
async fn a_fault_lasts_as_often_as_it_was_planted_for() {
    let harness = Harness::new().await;
    harness
        .knob(
            "faults",
            json!({ "route": CREATE, "times": 2, "kind": "status", "status": 429 }),
        )
        .await;

    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(harness.post(SESSIONS, &session_form()).await.status);
    }

    assert_eq!(statuses, [429, 429, 200]);
}

#[tokio::test]
async fn a_fault_meets_only_its_route() {
    let harness = Harness::new().await;
    let id = harness.session().await;
    harness
        .knob(
            "faults",
            json!({
                "route": "POST /v1/checkout/sessions/*/expire", "kind": "status", "status": 500,
            }),
        )
        .await;

    let created = harness.post(SESSIONS, &session_form()).await;
    let expired = harness.post(&format!("{SESSIONS}/{id}/expire"), "").await;

    assert_eq!((created.status, expired.status), (200, 500));
}

#[tokio::test]
async fn a_rate_limit_names_its_reason_and_a_lock_does_not() {
    let harness = Harness::new().await;
    let fault =
        |code: Option<&str>| json!({ "route": "*", "kind": "status", "status": 429, "code": code });

    harness.knob("faults", fault(None)).await;
    let limited = harness.get("/v1/balance").await;
    harness.knob("faults", fault(Some("lock_timeout"))).await;
    let locked = harness.get("/v1/balance").await;

    assert_eq!(limited.error()["code"], "rate_limit");
    assert_eq!(
        limited.header("stripe-rate-limited-reason"),
        Some("global-rate")
    );
    assert_eq!(locked.error()["code"], "lock_timeout");
    assert_eq!(locked.header("stripe-rate-limited-reason"), None);
}

#[tokio::test]
async fn an_unavailable_proxy_speaks_no_json() {
    let harness = Harness::new().await;
    harness
        .knob(
            "faults",
            json!({ "route": "*", "kind": "status", "status": 503, "should_retry": true }),
        )
        .await;

    let reply = harness.get("/v1/balance").await;

    assert_eq!(reply.header("content-type"), Some("text/html"));
    assert_eq!(reply.header("stripe-should-retry"), Some("true"));
}

#[tokio::test]
async fn a_reset_connection_executes_nothing() {
    let harness = Harness::new().await;
    harness
        .knob("faults", json!({ "route": CREATE, "kind": "reset" }))
        .await;

    let reply = harness.try_post(SESSIONS, &session_form()).await;

    assert!(reply.is_err());
    assert_eq!(harness.look("sessions").await, json!([]));
}

#[tokio::test]
async fn a_lost_answer_was_executed_and_can_be_asked_for_again() {
    let harness = Harness::new().await;
    harness
        .knob("faults", json!({ "route": CREATE, "kind": "lost_answer" }))
        .await;

    let lost = harness
        .try_post_with_key("k", SESSIONS, &session_form())
        .await;
    let sessions = harness.look("sessions").await;
    let again = harness.post_with_key("k", SESSIONS, &session_form()).await;

    assert!(lost.is_err());
    assert_eq!(sessions[0]["answered"], false);
    assert_eq!(again.json()["id"], sessions[0]["id"]);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn garbage_is_no_json_but_the_session_exists() {
    let harness = Harness::new().await;
    harness
        .knob("faults", json!({ "route": CREATE, "kind": "garbage" }))
        .await;

    let reply = harness.post(SESSIONS, &session_form()).await;

    assert_eq!(reply.status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&reply.text).is_err());
    assert_eq!(harness.look("sessions").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_stored_failure_can_hide_what_was_executed() {
    let harness = Harness::new().await;
    let fault =
        json!({ "route": CREATE, "kind": "status", "status": 500, "stored": true, "after": true });
    harness.knob("faults", fault).await;

    let first = harness.post_with_key("k", SESSIONS, &session_form()).await;
    let again = harness.post_with_key("k", SESSIONS, &session_form()).await;

    assert_eq!((first.status, again.status), (500, 500));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let sessions = harness.look("sessions").await;
    assert_eq!(sessions.as_array().unwrap().len(), 1);
    assert_eq!(
        (&sessions[0]["status"], &sessions[0]["answered"]),
        (&json!("open"), &json!(false))
    );
}

#[tokio::test]
async fn a_session_can_be_paid_before_its_creation_is_answered() {
    let harness = Harness::new().await;
    harness
        .knob(
            "faults",
            json!({ "route": CREATE, "kind": "pay_then_answer" }),
        )
        .await;

    let created = harness.post(SESSIONS, &session_form()).await.json();

    assert_eq!(created["status"], "open");
    assert_eq!(
        harness.receiver.kinds().last().unwrap(),
        "checkout.session.completed"
    );
    assert_eq!(
        harness.retrieve(&text(&created, "id")).await["status"],
        "complete"
    );
}

#[tokio::test]
async fn a_session_whose_answer_is_delayed_can_be_seen_and_paid() {
    let harness = Harness::new().await;
    harness
        .knob(
            "faults",
            json!({ "route": CREATE, "kind": "delay", "after": true, "seconds": 3600 }),
        )
        .await;
    let form = session_form();
    let slow = harness.try_post(SESSIONS, &form);
    let buyer = async {
        loop {
            let sessions = harness.look("sessions").await;
            if let Some(session) = sessions.get(0) {
                return harness
                    .knob("pay", json!({ "session": session["id"] }))
                    .await;
            }
        }
    };

    let paid = tokio::select! {
        _ = slow => panic!("the answer is delayed for an hour"),
        paid = buyer => paid,
    };

    assert_eq!(paid["events"].as_array().unwrap().len(), 4);
    assert_eq!(harness.look("sessions").await[0]["answered"], false);
}

#[tokio::test]
async fn a_hanging_request_is_never_answered() {
    let harness = Harness::new().await;
    harness
        .knob("faults", json!({ "route": CREATE, "kind": "hang" }))
        .await;
    let form = session_form();
    let hanging = harness.try_post(SESSIONS, &form);
    let impatience = async {
        while harness
            .look("requests")
            .await
            .as_array()
            .unwrap()
            .is_empty()
        {}
    };

    tokio::select! {
        _ = hanging => panic!("it hangs"),
        () = impatience => {}
    }

    let requests = harness.look("requests").await;
    assert_eq!(requests[0]["status"], json!(null));
    assert_eq!(requests[0]["fault"], "Hang");
    assert_eq!(harness.look("sessions").await, json!([]));
}

#[tokio::test]
async fn the_log_of_requests_keeps_what_was_asked() {
    let harness = Harness::new().await;

    harness.post_with_key("k", SESSIONS, "mode=payment").await;
    harness.get("/v1/events?limit=1").await;

    let requests = harness.look("requests").await;
    assert_eq!(requests[0]["method"], "POST");
    assert_eq!(requests[0]["path"], SESSIONS);
    assert_eq!(requests[0]["raw"], "mode=payment");
    assert_eq!(requests[0]["idempotencyKey"], "k");
    assert_eq!(requests[0]["status"], 400);
    assert_eq!(requests[1]["query"], "limit=1");
}
