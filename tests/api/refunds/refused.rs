//! Refunds that Stripe refuses: for now, for good, or because somebody was faster.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    HAPPENED, LEDGER, LEFT, OPEN, REFUNDS, VISA, asked, deafen, paid, pass, refund_by_hand,
    surplus, told,
};
use crate::harness::TestApp;

/// Stripe refuses to make refunds, and repeats that under the same key.
async fn refuse(harness: &TestApp, code: &str, times: u32) {
    let refused = json!({
        "route": "POST /v1/refunds", "kind": "status", "status": 400, "code": code, "stored": true,
        "times": times,
    });
    harness.knob("faults", refused).await;
}

/// The refund, as admins see it.
async fn shown(harness: &TestApp, booking: &Value) -> Value {
    let path = format!("/api/admin/bookings/{}", booking["id"].as_str().unwrap());
    harness.admin().get(&path).await.body["refunds"][0].clone()
}

#[tokio::test]
async fn a_refund_that_is_refused_for_now_is_tried_again_and_shown_meanwhile() {
    for code in ["balance_insufficient", "insufficient_balance_for_refund"] {
        let harness = TestApp::new().await;
        let surplus = surplus(&harness, VISA).await;
        refuse(&harness, code, 3).await;

        harness.run_jobs().await;
        let refund = shown(&harness, &surplus.booking).await;
        assert_eq!(refund["status"], "requested");
        let reason = refund["failureReason"].as_str().unwrap();
        assert!(reason.contains(code), "{reason}");
        assert_eq!(harness.sql(OPEN).await, "refund_not_gone");
        for _ in 0..2 {
            pass(&harness, TimeDelta::days(1)).await;
            assert_eq!(harness.sql(REFUNDS).await, "surplus requested 1200");
        }
        pass(&harness, TimeDelta::days(1)).await;

        let refund = shown(&harness, &surplus.booking).await;
        assert_eq!(refund["status"], "succeeded");
        assert_eq!(refund["failureReason"], Value::Null);
        assert_eq!(harness.sql(LEDGER).await, LEFT);
        let happened = "refundRequested, refundRefused, refundSettled succeeded";
        assert_eq!(harness.sql(HAPPENED).await, happened);
        assert_eq!(harness.sql(OPEN).await, "");
        let mut keys: Vec<_> = asked(&harness).await;
        keys.dedup_by_key(|asked| asked["idempotencyKey"].clone());
        assert_eq!(keys.len(), 4, "{keys:?}");
        assert_eq!(harness.all_at_stripe("refunds").await.len(), 1);
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn a_refund_that_is_refused_for_a_month_has_failed() {
    let harness = TestApp::new().await;
    let surplus = surplus(&harness, VISA).await;
    refuse(&harness, "balance_insufficient", 99).await;

    harness.run_jobs().await;
    pass(&harness, TimeDelta::days(29)).await;
    assert_eq!(harness.sql(REFUNDS).await, "surplus requested 1200");
    pass(&harness, TimeDelta::days(2)).await;

    let refund = shown(&harness, &surplus.booking).await;
    assert_eq!(refund["status"], "failed");
    assert_eq!(harness.sql(LEDGER).await, "");
    assert_eq!(harness.sql(OPEN).await, "refund_not_gone");
    harness.reconcile().await;
}

/// The key is not accepted, which says nothing about the refund.
#[tokio::test]
async fn a_refund_waits_for_a_key_that_is_accepted() {
    let harness = TestApp::new().await;
    let surplus = surplus(&harness, VISA).await;
    let refused = json!({ "route": "POST /v1/refunds", "kind": "status", "status": 401 });
    harness.knob("faults", refused).await;

    harness.run_jobs().await;
    let refund = shown(&harness, &surplus.booking).await;
    assert_eq!(refund["status"], "requested");
    assert!(refund["failureReason"].as_str().unwrap().contains("401"));
    pass(&harness, TimeDelta::minutes(1)).await;

    assert_eq!(harness.sql(REFUNDS).await, "surplus succeeded 1200");
    let tries = asked(&harness).await;
    assert_eq!(tries.len(), 2);
    assert_eq!(tries[0]["idempotencyKey"], tries[1]["idempotencyKey"]);
    harness.reconcile().await;
}

#[tokio::test]
async fn a_refusal_that_is_about_the_payment_itself_is_final() {
    for (status, code) in [
        (404, "resource_missing"),
        (400, "charge_already_refunded"),
        (400, "charge_not_refundable"),
    ] {
        let harness = TestApp::new().await;
        let surplus = surplus(&harness, VISA).await;
        let refused = json!({
            "route": "POST /v1/refunds", "kind": "status", "status": status, "code": code,
        });
        harness.knob("faults", refused).await;

        harness.run_jobs().await;

        let refund = shown(&harness, &surplus.booking).await;
        assert_eq!(refund["status"], "failed");
        let reason = refund["failureReason"].as_str().unwrap();
        assert!(reason.contains(code), "{reason}");
        assert_eq!(harness.sql(OPEN).await, "refund_not_gone");
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn a_refund_that_somebody_has_made_by_hand_meanwhile_is_recognised() {
    for is_heard in [false, true] {
        let harness = TestApp::new().await;
        let surplus = surplus(&harness, VISA).await;
        if !is_heard {
            deafen(&harness).await;
        }
        let by_hand = refund_by_hand(&harness, &surplus.intent, 1_200).await;

        harness.run_jobs().await;

        assert_eq!(
            harness.sql(REFUNDS).await,
            "surplus succeeded 1200",
            "{is_heard}"
        );
        let stripe_id = harness.sql("select stripe_refund_id from refunds").await;
        assert_eq!(by_hand["id"], stripe_id);
        assert_eq!(harness.sql(LEDGER).await, LEFT);
        let happened = "refundRequested, refundMadeByHand, refundSettled succeeded";
        assert_eq!(harness.sql(HAPPENED).await, happened);
        assert_eq!(harness.sql(OPEN).await, "");
        assert_eq!(asked(&harness).await.len(), if is_heard { 1 } else { 2 });
        for event in told(&harness).await {
            harness.deliver(&event.to_string()).await;
        }
        assert_eq!(harness.sql(HAPPENED).await, happened);
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn what_somebody_has_left_over_is_asked_for_afresh() {
    for is_heard in [false, true] {
        let harness = TestApp::new().await;
        let surplus = surplus(&harness, VISA).await;
        if !is_heard {
            deafen(&harness).await;
        }
        refund_by_hand(&harness, &surplus.intent, 500).await;

        harness.run_jobs().await;

        let mut refunds: Vec<_> = harness
            .sql(REFUNDS)
            .await
            .split(", ")
            .map(str::to_owned)
            .collect();
        refunds.sort_unstable();
        let expected = [
            "dashboard succeeded 500",
            "surplus canceled 1200",
            "surplus succeeded 700",
        ];
        assert_eq!(refunds, expected, "{is_heard}");
        assert_eq!(harness.sql(OPEN).await, "");
        assert_eq!(harness.all_at_stripe("refunds").await.len(), 2);
        assert_eq!(
            harness
                .sql("select count(*) from jobs where key like 'refund%'")
                .await,
            "0"
        );
        harness.reconcile().await;
    }
}

/// Stripe forgets keys: what was made in an earlier try is found before it is asked for again.
#[tokio::test]
async fn a_refund_whose_key_may_be_forgotten_is_looked_for_first() {
    let harness = TestApp::new().await;
    surplus(&harness, VISA).await;
    deafen(&harness).await;
    let lost = json!({ "route": "POST /v1/refunds", "kind": "lost_answer" });
    harness.knob("faults", lost).await;
    let unavailable = json!({
        "route": "POST /v1/refunds", "kind": "status", "status": 503, "should_retry": false,
    });
    harness.knob("faults", unavailable).await;
    harness.run_jobs().await;
    assert_eq!(harness.sql(REFUNDS).await, "surplus requested 1200");
    let before = asked(&harness).await.len();

    harness.advance(TimeDelta::days(2)).await;
    harness.run_jobs().await;

    assert_eq!(harness.sql(REFUNDS).await, "surplus succeeded 1200");
    assert_eq!(asked(&harness).await.len(), before);
    assert_eq!(harness.all_at_stripe("refunds").await.len(), 1);
    harness.reconcile().await;
}

/// Two refunds of as much fit into the payment: the one that Stripe does not make for now is the
/// one that somebody has made in its place.
#[tokio::test]
async fn a_part_that_was_put_off_and_made_by_hand_is_made_once() {
    let harness = TestApp::new().await;
    let (booking, intent) = paid(&harness, VISA).await;
    refuse(&harness, "balance_insufficient", 1).await;
    let part = json!({ "amountMinor": 500, "currency": "eur" });
    let path = format!(
        "/api/admin/bookings/{}/refunds",
        booking["id"].as_str().unwrap()
    );
    let body = json!({ "amount": part, "reason": "late" });
    assert_eq!(harness.admin().post(&path, body).await.status, 202);
    harness.run_jobs().await;
    assert_eq!(harness.sql(REFUNDS).await, "admin requested 500");

    refund_by_hand(&harness, &intent, 500).await;
    pass(&harness, TimeDelta::days(1)).await;

    assert_eq!(harness.sql(REFUNDS).await, "admin succeeded 500");
    assert_eq!(harness.all_at_stripe("refunds").await.len(), 1);
    assert_eq!(harness.sql(OPEN).await, "");
    harness.reconcile().await;
}

/// What a person was shown stays until that has gone, or all has.
#[tokio::test]
async fn a_refund_that_goes_hides_no_other_that_did_not() {
    let harness = TestApp::new().await;
    let (booking, _) = paid(&harness, VISA).await;
    let path = format!(
        "/api/admin/bookings/{}/refunds",
        booking["id"].as_str().unwrap()
    );
    let refund = async |amount: i64| {
        let part = json!({ "amountMinor": amount, "currency": "eur" });
        let body = json!({ "amount": part, "reason": "late" });
        assert_eq!(harness.admin().post(&path, body).await.status, 202);
        harness.run_jobs().await;
    };
    refuse(&harness, "charge_not_refundable", 3).await;
    for amount in [200, 200, 300] {
        refund(amount).await;
    }
    let shown = "select string_agg(ours #>> '{amount,amountMinor}', ', ' order by id)
                 from discrepancies where status = 'open'";
    assert_eq!(harness.sql(shown).await, "200, 200, 300");

    for (amount, still_shown) in [
        (400, "200, 200, 300"),
        (200, "200, 300"),
        (300, "200"),
        (300, ""),
    ] {
        refund(amount).await;

        assert_eq!(harness.sql(shown).await, still_shown, "{amount}");
    }
    harness.reconcile().await;
}
