//! Refunds that are pending are asked about until they settle.

use chrono::TimeDelta;
use serde_json::json;

use super::{
    BACK, LEDGER, LEFT, OPEN, REFUNDED_SLOWLY, REFUNDS, asked, deafen, decided, pass, surplus,
};
use crate::harness::TestApp;

#[tokio::test]
async fn what_a_bank_has_decided_is_found_although_no_event_comes() {
    for (status, ledger, open) in [
        ("succeeded", LEFT.to_owned(), ""),
        ("failed", format!("{LEFT}, {BACK}"), "refund_not_gone"),
        ("canceled", format!("{LEFT}, {BACK}"), "refund_not_gone"),
    ] {
        let harness = TestApp::new().await;
        surplus(&harness, REFUNDED_SLOWLY).await;
        deafen(&harness).await;
        harness.run_jobs().await;
        assert_eq!(harness.sql(REFUNDS).await, "surplus pending 1200");
        decided(&harness, status).await;

        pass(&harness, TimeDelta::hours(1)).await;

        assert_eq!(harness.sql(REFUNDS).await, format!("surplus {status} 1200"));
        assert_eq!(harness.sql(LEDGER).await, ledger);
        assert_eq!(harness.sql(OPEN).await, open);
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn a_bank_that_takes_its_time_is_asked_about_less_and_less_often() {
    let harness = TestApp::new().await;
    surplus(&harness, REFUNDED_SLOWLY).await;
    harness.run_jobs().await;
    let asked_about = async || {
        let requests = harness.stripe_requests().await;
        let lists = requests
            .iter()
            .filter(|asked| asked["method"] == "GET" && asked["path"] == "/v1/refunds");
        lists.count()
    };

    for (by, expected) in [
        (TimeDelta::minutes(59), 0),
        (TimeDelta::minutes(1), 1),
        (TimeDelta::minutes(59), 1),
        (TimeDelta::minutes(1), 2),
        (TimeDelta::hours(1), 2),
        (TimeDelta::hours(1), 3),
        (TimeDelta::days(10), 4),
        (TimeDelta::hours(23), 4),
        (TimeDelta::hours(1), 5),
    ] {
        pass(&harness, by).await;
        assert_eq!(asked_about().await, expected, "{by}");
    }
    assert_eq!(harness.sql(REFUNDS).await, "surplus pending 1200");
    assert_eq!(asked(&harness).await.len(), 1);
}

#[tokio::test]
async fn a_stripe_that_does_not_answer_is_asked_again() {
    let harness = TestApp::new().await;
    surplus(&harness, REFUNDED_SLOWLY).await;
    deafen(&harness).await;
    harness.run_jobs().await;
    decided(&harness, "failed").await;
    let unavailable = json!({
        "route": "GET /v1/refunds", "kind": "status", "status": 503, "should_retry": false,
    });
    harness.knob("faults", unavailable).await;

    pass(&harness, TimeDelta::hours(1)).await;
    assert_eq!(harness.sql(REFUNDS).await, "surplus pending 1200");
    harness.run_jobs().await;

    assert_eq!(harness.sql(REFUNDS).await, "surplus failed 1200");
    harness.reconcile().await;
}
