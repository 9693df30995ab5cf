//! The hold of a slot: as with seats, nothing goes free that could still be paid for.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::delayed::SEPA;
use crate::harness::TestApp;

const AFTERNOON: &str = "2026-12-01T09:00:00Z";

/// A service of one carer, paid in euros.
async fn one_carer(harness: &TestApp) -> Value {
    let price = json!({ "amountMinor": 1001, "currency": "eur" });
    let own = json!({ "resources": ["Carer 1"], "pricePerHour": price });
    harness.service_with(own).await
}

#[tokio::test]
async fn an_abandoned_page_is_closed_at_stripe_before_its_slot_goes_free() {
    let harness = TestApp::new().await;
    let service = one_carer(&harness).await;
    let (dana, emil) = (harness.customer("dana"), harness.customer("emil"));
    let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;

    harness.advance(TimeDelta::seconds(599)).await;
    harness.run_jobs().await;
    let early = emil.book_slot(&service, AFTERNOON, 1, "half").await;
    harness.advance(TimeDelta::seconds(1)).await;
    harness.run_jobs().await;

    early.refused(409, "slot_unavailable");
    assert_eq!(dana.booking(&booked).await["status"], "expired");
    let session = booked["checkout"]["sessionId"].as_str().unwrap();
    let path = format!("/v1/checkout/sessions/{session}");
    assert_eq!(harness.ask_stripe(&path).await["status"], "expired");
    let free = emil.book_slot(&service, AFTERNOON, 1, "half").await;
    assert_eq!(free.status, 201, "{free:?}");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_buyer_who_has_just_paid_a_deposit_keeps_their_slot_when_the_hold_ends() {
    let harness = TestApp::new().await;
    let service = one_carer(&harness).await;
    let dana = harness.customer("dana");
    let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
    let paid = json!({ "session": booked["checkout"]["sessionId"] });
    let events = harness.pay_unheard(paid).await;

    harness.advance(TimeDelta::minutes(10)).await;
    harness.run_jobs().await;

    let confirmed = dana.booking(&booked).await;
    assert_eq!(confirmed["status"], "confirmed");
    assert_eq!(confirmed["paymentStatus"], "depositPaid");
    for body in events.values() {
        assert_eq!(harness.deliver(body).await.status, 200);
    }
    assert_eq!(harness.sql("select count(*) from payments").await, "1");
    harness.reconcile().await;
}

#[tokio::test]
async fn an_unsure_answer_keeps_the_slot_and_is_asked_again() {
    let harness = TestApp::new().await;
    let service = one_carer(&harness).await;
    let dana = harness.customer("dana");
    let booked = dana.book_slot(&service, AFTERNOON, 1, "full").await.body;
    let down = json!({
        "route": "POST /v1/checkout/sessions/*/expire", "kind": "status", "status": 503, "times": 7,
    });
    harness.knob("faults", down).await;

    harness.advance(TimeDelta::minutes(10)).await;
    harness.run_jobs().await;
    let unsure = dana.booking(&booked).await;
    let claims = harness.sql("select count(*) from slot_claims").await;
    harness.run_jobs().await;

    assert_eq!(
        (&unsure["status"], claims.as_str()),
        (&json!("pending"), "1")
    );
    assert_eq!(dana.booking(&booked).await["status"], "expired");
    assert_eq!(harness.sql("select count(*) from slot_claims").await, "0");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_slot_that_is_called_off_is_free_at_once_unless_it_has_been_paid() {
    let harness = TestApp::new().await;
    let service = one_carer(&harness).await;
    let (dana, emil) = (harness.customer("dana"), harness.customer("emil"));
    let cancel = |booking: &Value| {
        let id = booking["id"].as_str().unwrap();
        format!("/api/bookings/{id}/cancel")
    };
    let left = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;

    let cancelled = dana.post(&cancel(&left), json!({ "version": 1 })).await;
    let taken = emil.book_slot(&service, AFTERNOON, 1, "half").await.body;
    let paid = json!({ "session": taken["checkout"]["sessionId"] });
    harness.pay_unheard(paid).await;
    let late = emil.post(&cancel(&taken), json!({})).await;

    assert_eq!(cancelled.body["status"], "cancelled", "{cancelled:?}");
    late.refused(409, "already_paid");
    assert_eq!(emil.booking(&taken).await["status"], "confirmed");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_deposit_that_takes_days_keeps_the_slot_until_its_bank_has_decided() {
    for (outcome, status, claims) in [("succeeded", "confirmed", "1"), ("failed", "failed", "0")] {
        let harness = TestApp::new().await;
        let service = one_carer(&harness).await;
        let dana = harness.customer("dana");
        let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
        let session = &booked["checkout"]["sessionId"];
        let pay = json!({ "session": session, "card": SEPA, "unoffered": true });
        harness.knob("pay", pay).await;
        harness.simulator.settled().await;
        let meanwhile = dana.booking(&booked).await;
        harness.advance(TimeDelta::minutes(40)).await;
        harness.run_jobs().await;
        let kept = harness.sql("select count(*) from slot_claims").await;

        let settle = json!({ "session": session, "outcome": outcome });
        harness.knob("settle", settle).await;
        harness.simulator.settled().await;

        assert_eq!(meanwhile["status"], "processing");
        assert_eq!(meanwhile["paymentStatus"], "processing");
        assert_eq!(kept, "1");
        let after = harness.customer("dana").booking(&booked).await;
        assert_eq!(after["status"], status);
        assert_eq!(
            harness.sql("select count(*) from slot_claims").await,
            claims
        );
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn a_slot_that_stripe_has_not_answered_for_is_finished_in_the_background() {
    let harness = TestApp::new().await;
    let service = one_carer(&harness).await;
    let down = json!({
        "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 503, "times": 7,
    });
    harness.knob("faults", down).await;
    let dana = harness.customer("dana");
    let unanswered = dana.book_slot(&service, AFTERNOON, 1, "half").await;
    unanswered.refused(503, "payment_provider_unavailable");

    harness.advance(TimeDelta::seconds(5)).await;
    harness.run_jobs().await;

    let booking = dana.get("/api/bookings").await.body["items"][0].clone();
    harness.pay(&booking).await;
    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_key_gets_the_same_slot_again() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let body = json!({
        "kind": "service", "serviceId": service["id"], "startsAt": AFTERNOON, "hours": 1,
    });

    let first = dana.post_keyed("/api/bookings", body.clone(), "key").await;
    let again = dana.post_keyed("/api/bookings", body, "key").await;

    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(again.body, first.body);
    assert_eq!(harness.sql("select count(*) from slot_claims").await, "1");
}

#[tokio::test]
async fn a_slot_that_costs_nothing_is_confirmed_without_stripe() {
    let harness = TestApp::new().await;
    let price = json!({ "amountMinor": 0, "currency": "eur" });
    let service = harness.service_with(json!({ "pricePerHour": price })).await;
    let dana = harness.customer("dana");

    for option in ["full", "half"] {
        let booked = dana.book_slot(&service, AFTERNOON, 1, option).await;

        assert_eq!(booked.status, 201, "{booked:?}");
        assert_eq!(booked.body["status"], "confirmed");
        assert_eq!(booked.body["paymentStatus"], "paid");
        assert_eq!(booked.body["checkout"], Value::Null);
    }
    assert!(harness.stripe_requests().await.is_empty());
    harness.reconcile().await;
}
