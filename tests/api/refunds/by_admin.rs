//! Refunds that admins ask for: reserved before Stripe is asked, and never more than came.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    HAPPENED, LEDGER, OPEN, REFUNDED_SLOWLY, REFUNDS, VISA, asked, deafen, decided, paid, pass,
    refund_by_hand,
};
use crate::harness::{Answer, TestApp};

const GONE: &str = "refund customer_payments stripe_balance 1200";

fn eur(amount: i64) -> Value {
    json!({ "amountMinor": amount, "currency": "eur" })
}

fn path(booking: &Value) -> String {
    format!("/api/admin/bookings/{}", booking["id"].as_str().unwrap())
}

/// An admin asks for a refund.
async fn refund(harness: &TestApp, booking: &Value, body: Value) -> Answer {
    let path = format!("{}/refunds", path(booking));
    harness.admin().post(&path, body).await
}

/// The same, and Stripe makes it.
async fn refunded(harness: &TestApp, booking: &Value, body: Value) {
    let answer = refund(harness, booking, body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    harness.run_jobs().await;
}

#[tokio::test]
async fn all_of_a_payment_goes_back_and_everybody_sees_it() {
    let harness = TestApp::new().await;
    let (booking, _) = paid(&harness, VISA).await;

    let answer = refund(&harness, &booking, json!({ "reason": "The film tore." })).await;

    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.headers["location"], path(&booking));
    assert_eq!(answer.body["bookingId"], booking["id"]);
    assert_eq!(answer.body["amount"], eur(1_200));
    for (name, expected) in [
        ("status", "requested"),
        ("source", "admin"),
        ("reason", "The film tore."),
    ] {
        assert_eq!(answer.body[name], expected);
    }
    assert_eq!(answer.body["settledAt"], Value::Null);
    assert_eq!(harness.sql(LEDGER).await, "");
    let before = harness.customer("dana").booking(&booking).await;
    assert_eq!(before["paymentStatus"], "paid");

    harness.run_jobs().await;

    let overview = harness.admin().get(&path(&booking)).await.body;
    assert_eq!(overview["refunds"][0]["id"], answer.body["id"]);
    assert_eq!(overview["refunds"][0]["status"], "succeeded");
    assert_eq!(overview["payments"][0]["refunded"], eur(1_200));
    let after = harness.customer("dana").booking(&booking).await;
    assert_eq!(after["status"], "confirmed");
    assert_eq!(after["paymentStatus"], "refunded");
    assert_eq!(after["isPaid"], false);
    assert_eq!(after["paid"], eur(1_200));
    assert_eq!(after["refunded"], eur(1_200));
    assert_eq!(harness.sql(LEDGER).await, GONE);
    let happened = "refundRequested, refundSettled succeeded";
    assert_eq!(harness.sql(HAPPENED).await, happened);
    let timeline = format!("{}/timeline", path(&booking));
    let told = harness.admin().get(&timeline).await.body.to_string();
    let sentence = "An admin has asked for a refund of 12.00 EUR: The film tore.";
    assert!(told.contains(sentence), "{told}");
    let logged = "select concat_ws(' ', actor, action, subject, reason) from audit_log
                  where action = 'refund'";
    let id = booking["id"].as_str().unwrap();
    let expected = format!("user_admin refund {id} The film tore.");
    assert_eq!(harness.sql(logged).await, expected);
    harness.reconcile().await;
}

#[tokio::test]
async fn a_part_goes_back_and_then_the_rest() {
    let harness = TestApp::new().await;
    let (booking, _) = paid(&harness, VISA).await;
    let payment = harness.sql("select id from payments").await;

    let part = json!({ "paymentId": payment, "amount": eur(500), "reason": "late" });
    refunded(&harness, &booking, part).await;
    let after = harness.customer("dana").booking(&booking).await;
    assert_eq!(after["paymentStatus"], "partiallyRefunded");
    assert_eq!(after["refunded"], eur(500));
    assert_eq!(after["isPaid"], false);
    let too_much = json!({ "amount": eur(701), "reason": "later" });
    let refused = refund(&harness, &booking, too_much).await;
    refused.refused(422, "refund_exceeds_payment");
    assert_eq!(refused.body["refundable"], eur(700));
    refunded(&harness, &booking, json!({ "reason": "too late" })).await;

    let after = harness.customer("dana").booking(&booking).await;
    assert_eq!(after["paymentStatus"], "refunded");
    let refunds = "admin succeeded 500, admin succeeded 700";
    assert_eq!(harness.sql(REFUNDS).await, refunds);
    let nothing = refund(&harness, &booking, json!({ "reason": "again" })).await;
    nothing.refused(422, "refund_exceeds_payment");
    assert_eq!(nothing.body["refundable"], eur(0));
    harness.reconcile().await;
}

#[tokio::test]
async fn of_two_who_refund_the_rest_at_once_one_does() {
    let harness = TestApp::new().await;
    let (booking, _) = paid(&harness, VISA).await;
    let body = json!({ "reason": "both of us" });

    let (first, second) = tokio::join!(
        refund(&harness, &booking, body.clone()),
        refund(&harness, &booking, body.clone()),
    );

    let (granted, refused) = if first.status == 202 {
        (first, second)
    } else {
        (second, first)
    };
    assert_eq!(granted.status, 202, "{granted:?}");
    refused.refused(409, "refund_in_progress");
    harness.run_jobs().await;
    assert_eq!(harness.all_at_stripe("refunds").await.len(), 1);
    assert_eq!(harness.sql(REFUNDS).await, "admin succeeded 1200");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_refund_that_is_asked_for_again_under_its_key_is_the_same() {
    let harness = TestApp::new().await;
    let (booking, _) = paid(&harness, VISA).await;
    let path = format!("{}/refunds", path(&booking));
    let body = json!({ "amount": eur(500), "reason": "late" });
    let other = json!({ "amount": eur(600), "reason": "late" });
    let admin = harness.admin();

    let first = admin.post_keyed(&path, body.clone(), "key").await;
    let again = admin.post_keyed(&path, body, "key").await;
    let reused = admin.post_keyed(&path, other, "key").await;

    assert_eq!(first.status, 202, "{first:?}");
    assert_eq!(again.body, first.body);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    reused.refused(422, "idempotency_key_reused");
    assert_eq!(harness.sql(REFUNDS).await, "admin requested 500");
    harness.run_jobs().await;
    harness.reconcile().await;
}

#[tokio::test]
async fn a_refund_whose_answer_is_lost_is_made_once() {
    let harness = TestApp::new().await;
    let (booking, _) = paid(&harness, VISA).await;
    deafen(&harness).await;
    let lost = json!({ "route": "POST /v1/refunds", "kind": "lost_answer" });
    harness.knob("faults", lost).await;

    refunded(&harness, &booking, json!({ "reason": "lost" })).await;
    pass(&harness, TimeDelta::minutes(1)).await;

    assert_eq!(harness.sql(REFUNDS).await, "admin succeeded 1200");
    assert_eq!(harness.all_at_stripe("refunds").await.len(), 1);
    let mut keys = asked(&harness).await;
    keys.dedup_by_key(|asked| asked["idempotencyKey"].clone());
    assert_eq!(keys.len(), 1, "{keys:?}");
    harness.reconcile().await;
}

#[tokio::test]
async fn what_was_refunded_in_the_dashboard_cannot_go_back_again() {
    let harness = TestApp::new().await;
    let (booking, intent) = paid(&harness, VISA).await;

    refund_by_hand(&harness, &intent, 500).await;
    let all = json!({ "amount": eur(1_200), "reason": "all" });
    let refused = refund(&harness, &booking, all).await;
    refunded(&harness, &booking, json!({ "reason": "the rest" })).await;

    refused.refused(422, "refund_exceeds_payment");
    assert_eq!(refused.body["refundable"], eur(700));
    let refunds = "dashboard succeeded 500, admin succeeded 700";
    assert_eq!(harness.sql(REFUNDS).await, refunds);
    harness.reconcile().await;
}

#[tokio::test]
async fn a_refund_that_has_failed_can_be_asked_for_again() {
    let harness = TestApp::new().await;
    let (booking, _) = paid(&harness, REFUNDED_SLOWLY).await;

    refunded(&harness, &booking, json!({ "reason": "first" })).await;
    let too_early = refund(&harness, &booking, json!({ "reason": "second" })).await;
    decided(&harness, "failed").await;
    let flagged = harness.sql(OPEN).await;
    let failed = harness.customer("dana").booking(&booking).await;
    refunded(&harness, &booking, json!({ "reason": "third" })).await;
    decided(&harness, "succeeded").await;

    too_early.refused(409, "refund_in_progress");
    assert_eq!(flagged, "refund_not_gone");
    assert_eq!(failed["paymentStatus"], "paid");
    assert_eq!(failed["refunded"], eur(0));
    let refunds = "admin failed 1200, admin succeeded 1200";
    assert_eq!(harness.sql(REFUNDS).await, refunds);
    assert_eq!(harness.sql(OPEN).await, "");
    harness.reconcile().await;
}

#[tokio::test]
async fn disputed_money_is_not_refunded_and_the_admin_is_told_why() {
    let harness = TestApp::new().await;
    let (booking, intent) = paid(&harness, VISA).await;
    harness
        .knob("disputes", json!({ "paymentIntent": intent }))
        .await;
    harness.simulator.settled().await;

    let refused = refund(&harness, &booking, json!({ "reason": "sorry" })).await;

    refused.refused(422, "refund_exceeds_payment");
    assert_eq!(refused.body["refundable"], eur(0));
    let why = "The payment is disputed; its bank decides who gets the money.";
    assert_eq!(refused.body["detail"], why);
    assert_eq!(harness.sql(REFUNDS).await, "");
}

#[tokio::test]
async fn a_refund_can_give_the_seats_back_too() {
    let harness = TestApp::new().await;
    let (booking, _) = paid(&harness, VISA).await;
    let show = booking["show"]["id"].as_str().unwrap();

    let body = json!({ "amount": eur(600), "reason": "half is fair", "releaseSeats": true });
    refunded(&harness, &booking, body).await;

    let after = harness.customer("dana").booking(&booking).await;
    assert_eq!(after["status"], "cancelled");
    assert_eq!(after["paymentStatus"], "partiallyRefunded");
    assert_ne!(after["cancelledAt"], Value::Null);
    harness.customer("emil").booked(show, &["A2"]).await;
    let body = json!({ "reason": "the other half", "releaseSeats": true });
    refunded(&harness, &booking, body).await;
    assert_eq!(harness.sql("select count(*) from seat_claims").await, "1");
    harness.reconcile().await;
}

/// Somebody has given a part of it back in Stripe's dashboard before Stripe was asked.
#[tokio::test]
async fn what_is_left_of_it_is_asked_for_with_its_reason() {
    let harness = TestApp::new().await;
    let (booking, intent) = paid(&harness, VISA).await;
    let answer = refund(&harness, &booking, json!({ "reason": "The film tore." })).await;
    assert_eq!(answer.status, 202, "{answer:?}");

    refund_by_hand(&harness, &intent, 400).await;
    harness.run_jobs().await;

    let rest = "select concat_ws(' ', source, status, amount_minor, reason) from refunds
                where amount_minor = 800";
    let expected = "admin succeeded 800 The film tore.";
    assert_eq!(harness.sql(rest).await, expected);
    let timeline = format!("{}/timeline", path(&booking));
    let told = harness.admin().get(&timeline).await.body.to_string();
    for amount in ["12.00", "8.00"] {
        let sentence = format!("An admin has asked for a refund of {amount} EUR: The film tore.");
        assert_eq!(told.matches(&sentence).count(), 1, "{told}");
    }
    harness.reconcile().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let harness = TestApp::new().await;
    let (booking, _) = paid(&harness, VISA).await;
    let show = booking["show"]["id"].as_str().unwrap();
    let pending = harness.customer("emil").booked(show, &["A3"]).await;
    let id = &booking["id"];
    let long = "x".repeat(501);

    for (body, field) in [
        (json!({ "reason": "" }), "reason"),
        (json!({ "reason": " " }), "reason"),
        (json!({ "reason": long }), "reason"),
        (json!({}), "reason"),
        (json!({ "reason": "x", "seats": [] }), "seats"),
        (
            json!({ "reason": "x", "amount": eur(0) }),
            "amount.amountMinor",
        ),
        (
            json!({ "reason": "x", "amount": eur(-1) }),
            "amount.amountMinor",
        ),
        (
            json!({ "reason": "x", "amount": { "amountMinor": 1, "currency": "usd" } }),
            "amount.currency",
        ),
    ] {
        let refused = refund(&harness, &booking, body.clone()).await;
        refused.refused(422, "validation_failed");
        assert_eq!(refused.body["errors"][0]["field"], field, "{body}");
    }
    let unknown = json!({ "paymentId": id, "reason": "x" });
    let unknown = refund(&harness, &booking, unknown).await;
    unknown.refused(404, "not_found");
    let unpaid = refund(&harness, &pending, json!({ "reason": "x" })).await;
    unpaid.refused(422, "refund_exceeds_payment");
    let nobodys = json!({ "id": "0193a000-0000-7000-8000-000000000000" });
    let nobodys = refund(&harness, &nobodys, json!({ "reason": "x" })).await;
    nobodys.refused(404, "not_found");
    assert_eq!(harness.sql(REFUNDS).await, "");
    assert_eq!(
        harness
            .sql("select count(*) from audit_log where action = 'refund'")
            .await,
        "0"
    );
}
