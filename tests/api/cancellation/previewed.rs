//! What a preview has said is what who cancels by its version gets, or they are told that it has
//! changed.

use chrono::TimeDelta;
use serde_json::json;

use super::cancel;
use super::paid::{REFUNDS, before_start, paid, preview};
use crate::disputes;
use crate::harness::TestApp;

#[tokio::test]
async fn a_step_that_passes_while_the_buyer_decides_does_not_count_against_them() {
    for (left, refund) in [
        (TimeDelta::hours(48) - TimeDelta::minutes(4), 1_200),
        (TimeDelta::hours(48) - TimeDelta::minutes(6), 600),
    ] {
        let harness = TestApp::new().await;
        let booking = paid(&harness).await;
        before_start(&harness, TimeDelta::hours(48)).await;
        let dana = harness.customer("dana");
        let previewed = preview(&dana, &booking).await.body;
        assert_eq!(previewed["refund"]["amountMinor"], 1_200);
        before_start(&harness, left).await;

        let cancelled = cancel(&dana, &booking, json!({ "version": previewed["version"] })).await;
        harness.run_jobs().await;

        assert_eq!(cancelled.status, 200, "{cancelled:?}");
        assert_eq!(
            harness.sql(REFUNDS).await,
            format!("policy succeeded {refund}")
        );
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn a_refund_or_a_dispute_in_between_is_another_version() {
    for what in ["refund", "dispute"] {
        let harness = TestApp::new().await;
        let booking = paid(&harness).await;
        let dana = harness.customer("dana");
        let previewed = preview(&dana, &booking).await.body;
        if what == "refund" {
            let id = booking["id"].as_str().unwrap();
            let part = json!({ "amountMinor": 600, "currency": "eur" });
            let body = json!({ "amount": part, "reason": "a bad seat" });
            let path = format!("/api/admin/bookings/{id}/refunds");
            assert_eq!(harness.admin().post(&path, body).await.status, 202);
        } else {
            let intent = harness
                .sql("select stripe_payment_intent_id from payments")
                .await;
            disputes::disputed(&harness, &intent).await;
        }

        let seen = json!({ "version": previewed["version"] });
        let outdated = cancel(&dana, &booking, seen).await;

        outdated.refused(409, "version_conflict");
        let again = preview(&dana, &booking).await.body;
        assert_eq!(again["version"], outdated.body["version"], "{what}");
        harness.run_jobs().await;
    }
}

/// The policy's refund of a payment that is disputed is owed, and waits for the bank.
#[tokio::test]
async fn who_cancels_while_their_payment_is_disputed_gets_it_back_once_the_bank_lets_go() {
    for (end, status) in [("won", "succeeded"), ("lost", "failed")] {
        let harness = TestApp::new().await;
        let booking = paid(&harness).await;
        let dana = harness.customer("dana");
        let intent = harness
            .sql("select stripe_payment_intent_id from payments")
            .await;
        let dispute = disputes::disputed(&harness, &intent).await;
        let previewed = preview(&dana, &booking).await.body;

        let cancelled = cancel(&dana, &booking, json!({ "version": previewed["version"] })).await;
        harness.run_jobs().await;
        let waiting = harness.sql(REFUNDS).await;
        disputes::decided(&harness, &dispute, end).await;
        harness.run_jobs().await;

        assert_eq!(previewed["refund"]["amountMinor"], 1_200);
        assert_eq!(cancelled.body["status"], "cancelled", "{cancelled:?}");
        assert_eq!(waiting, "policy requested 1200");
        assert_eq!(harness.sql(REFUNDS).await, format!("policy {status} 1200"));
    }
}

#[tokio::test]
async fn an_admin_who_cancels_is_logged_and_told_apart() {
    for is_paid in [false, true] {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        let booking = harness.customer("dana").booked(&show, &["A2"]).await;
        if is_paid {
            harness.pay(&booking).await;
        }

        let body = json!({ "reason": "they called" });
        let cancelled = cancel(&harness.admin(), &booking, body).await;
        let again = cancel(&harness.admin(), &booking, json!({})).await;

        assert_eq!(cancelled.body["status"], "cancelled", "{cancelled:?}");
        assert_eq!(again.status, 200, "{again:?}");
        let id = booking["id"].as_str().unwrap();
        let logged = "select string_agg(concat_ws(' ', actor, action, subject, reason), ', ')
                      from audit_log where action = 'cancelBooking'";
        let expected = format!("user_admin cancelBooking {id} they called");
        assert_eq!(harness.sql(logged).await, expected);
        let timeline = format!("/api/admin/bookings/{id}/timeline");
        let told = harness.admin().get(&timeline).await.body.to_string();
        assert!(
            told.contains("An admin has cancelled it: they called"),
            "{told}"
        );
        harness.run_jobs().await;
        harness.reconcile().await;
    }
}
