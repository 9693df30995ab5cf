//! The simulator's clock: it stands still, it is moved, and sessions expire by it.

use serde_json::json;

use super::harness::{Harness, NOW, session_form_with, text};

#[tokio::test]
async fn the_clock_stands_until_it_is_moved() {
    let harness = Harness::new().await;
    assert_eq!(
        harness.look("clock").await,
        json!({ "now": "2026-11-21T12:00:00Z" })
    );

    harness.knob("clock", json!({ "advanceSeconds": 90 })).await;
    assert_eq!(
        harness.look("clock").await,
        json!({ "now": "2026-11-21T12:01:30Z" })
    );

    harness
        .knob("clock", json!({ "now": "2027-01-01T00:00:00Z" }))
        .await;
    assert_eq!(
        harness.look("clock").await,
        json!({ "now": "2027-01-01T00:00:00Z" })
    );
}

#[tokio::test]
async fn a_session_expires_at_its_second_and_not_before() {
    let harness = Harness::new().await;
    let expires_at = (NOW + 1800).to_string();
    let form = session_form_with("expires_at", &expires_at);
    let id = text(
        &harness.post("/v1/checkout/sessions", &form).await.json(),
        "id",
    );

    harness
        .knob("clock", json!({ "advanceSeconds": 1799 }))
        .await;
    assert_eq!(harness.retrieve(&id).await["status"], "open");

    harness.knob("clock", json!({ "advanceSeconds": 1 })).await;
    assert_eq!(harness.retrieve(&id).await["status"], "expired");
    harness.simulator.settled().await;
    assert_eq!(harness.receiver.kinds(), ["checkout.session.expired"]);
    assert_eq!(harness.receiver.all()[0].json()["created"], NOW + 1800);
}

#[tokio::test]
async fn a_paid_session_does_not_expire() {
    let harness = Harness::new().await;
    let (session, _) = harness.paid().await;

    harness
        .knob("clock", json!({ "advanceSeconds": 25 * 60 * 60 }))
        .await;

    assert_eq!(harness.retrieve(&session).await["status"], "complete");
}

#[tokio::test]
async fn a_reset_forgets_everything_but_the_endpoints() {
    let harness = Harness::new().await;
    harness.session().await;
    harness.knob("clock", json!({ "advanceSeconds": 90 })).await;

    harness.knob("reset", json!({})).await;

    assert_eq!(harness.look("sessions").await, json!([]));
    assert_eq!(
        harness.look("clock").await,
        json!({ "now": "2026-11-21T12:00:00Z" })
    );
    harness.paid().await;
    harness.simulator.settled().await;
    assert_eq!(harness.receiver.all().len(), 4);
}
