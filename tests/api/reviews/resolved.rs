//! What an admin decides about a booking under review.

use serde_json::{Value, json};

use super::{HAPPENED, changed};
use crate::harness::{Answer, TestApp};

const MOVED: &str = "select string_agg(concat_ws(' ', kind, debit, credit, amount_minor), ', '
                                       order by created_at, id)
                     from ledger_transfers where kind <> 'capture'";

/// A booking of A2 that is under review, as Stripe's event differs so.
async fn under_review(harness: &TestApp, object: Value) -> Value {
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    let body = &events["checkout.session.completed"];
    harness.deliver(&changed(body, "evt_odd", &object)).await;
    let reviewed = harness.customer("dana").booking(&booking).await;
    assert_eq!(reviewed["status"], "review");
    reviewed
}

async fn resolve(harness: &TestApp, booking: &Value, body: Value) -> Answer {
    let id = booking["id"].as_str().unwrap();
    let path = format!("/api/admin/bookings/{id}/resolve");
    harness.admin().post(&path, body).await
}

#[tokio::test]
async fn a_booking_is_confirmed_for_the_money_that_came() {
    for amount in [1_199, 1_200, 1_300] {
        let harness = TestApp::new().await;
        let other = json!({ "bookingId": "0193a000-0000-7000-8000-000000000000" });
        let odd = if amount == 1_200 {
            json!({ "metadata": other })
        } else {
            json!({ "amount_total": amount })
        };
        let booking = under_review(&harness, odd).await;

        let body = json!({ "action": "confirm", "reason": "close enough" });
        let resolved = resolve(&harness, &booking, body).await;

        assert_eq!(resolved.status, 200, "{resolved:?}");
        assert_eq!(resolved.body["status"], "confirmed");
        assert_eq!(resolved.body["paymentStatus"], "paid");
        assert_eq!(resolved.body["isPaid"], true);
        assert_eq!(resolved.body["paid"]["amountMinor"], amount);
        assert_eq!(resolved.body["balance"]["amountMinor"], 0);
        assert_eq!(resolved.body["checkout"], Value::Null);
        assert_ne!(resolved.body["confirmedAt"], Value::Null);
        let moved = format!("acceptance customer_surplus customer_payments {amount}");
        assert_eq!(harness.sql(MOVED).await, moved);
        let happened = "held attemptOpened surplusKept review reviewResolved confirmed";
        assert_eq!(harness.sql(HAPPENED).await, happened);
        let seen_to = "select status || ' ' || dismiss_reason from discrepancies";
        assert_eq!(harness.sql(seen_to).await, "dismissed close enough");
        let logged = "select concat_ws(' ', actor, action, reason) from audit_log
                      where action = 'resolveReview'";
        let expected = "user_admin resolveReview close enough";
        assert_eq!(harness.sql(logged).await, expected);
        harness.run_jobs().await;
        let seats = "select string_agg(label, ',') from seat_claims";
        assert_eq!(harness.sql(seats).await, "A2");
        if amount == 1_200 {
            harness.reconcile().await;
        }
    }
}

#[tokio::test]
async fn a_booking_is_cancelled_and_its_money_goes_back() {
    for odd in [
        json!({ "amount_total": 1_199 }),
        json!({ "metadata": { "bookingId": "0193a000-0000-7000-8000-000000000000" } }),
    ] {
        let harness = TestApp::new().await;
        let booking = under_review(&harness, odd).await;
        let show = booking["show"]["id"].as_str().unwrap();

        let body = json!({ "action": "cancel", "reason": "not theirs" });
        let resolved = resolve(&harness, &booking, body).await;
        harness.run_jobs().await;

        assert_eq!(resolved.status, 200, "{resolved:?}");
        assert_eq!(resolved.body["status"], "cancelled");
        assert_eq!(resolved.body["isPaid"], false);
        let happened = "held attemptOpened surplusKept review reviewResolved cancelled \
                        refundRequested refundSettled";
        assert_eq!(harness.sql(HAPPENED).await, happened);
        let refund = "select concat_ws(' ', source, reason, status) from refunds";
        assert_eq!(harness.sql(refund).await, "admin not theirs succeeded");
        assert_eq!(harness.all_at_stripe("refunds").await.len(), 1);
        let id = booking["id"].as_str().unwrap();
        let timeline = format!("/api/admin/bookings/{id}/timeline");
        let told = harness.admin().get(&timeline).await.body.to_string();
        assert!(
            told.contains("An admin has decided to cancel it: not theirs"),
            "{told}"
        );
        harness.customer("emil").booked(show, &["A2"]).await;
    }
}

#[tokio::test]
async fn only_a_review_is_resolved_and_only_once() {
    let harness = TestApp::new().await;
    let booking = under_review(&harness, json!({ "amount_total": 1_199 })).await;
    let confirm = json!({ "action": "confirm", "reason": "fine" });

    let (first, second) = tokio::join!(
        resolve(&harness, &booking, confirm.clone()),
        resolve(
            &harness,
            &booking,
            json!({ "action": "cancel", "reason": "no" })
        ),
    );

    let (done, refused) = if first.status == 200 {
        (first, second)
    } else {
        (second, first)
    };
    assert_eq!(done.status, 200, "{done:?}");
    refused.refused(409, "booking_not_payable");
    assert_eq!(refused.body["bookingStatus"], done.body["status"]);
    let nobodys = json!({ "id": "0193a000-0000-7000-8000-000000000000" });
    let nobodys = resolve(&harness, &nobodys, confirm).await;
    nobodys.refused(404, "not_found");
    for (body, field) in [
        (json!({ "action": "confirm" }), "reason"),
        (json!({ "action": "confirm", "reason": "" }), "reason"),
        (json!({ "action": "refund", "reason": "x" }), "action"),
        (json!({ "reason": "x" }), "action"),
    ] {
        let refused = resolve(&harness, &booking, body.clone()).await;
        refused.refused(422, "validation_failed");
        assert_eq!(refused.body["errors"][0]["field"], field, "{body}");
    }
    harness.run_jobs().await;
}

#[tokio::test]
async fn what_came_in_another_currency_cannot_confirm() {
    let harness = TestApp::new().await;
    let booking = under_review(&harness, json!({ "currency": "usd" })).await;

    let body = json!({ "action": "confirm", "reason": "dollars will do" });
    let refused = resolve(&harness, &booking, body).await;

    refused.refused(422, "validation_failed");
    assert_eq!(refused.body["errors"][0]["field"], "action");
    let after = harness.customer("dana").booking(&booking).await;
    assert_eq!(after["status"], "review");
    assert_eq!(harness.sql(MOVED).await, "");
}

/// A confirmed booking whose balance came odd, and another page of which can still be paid.
async fn under_review_with_an_open_page(harness: &TestApp) -> Value {
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let slot = "2026-12-01T09:00:00Z";
    let booking = dana.book_slot(&service, slot, 1, "half").await.body;
    harness.pay(&booking).await;
    let path = format!("/api/bookings/{}/checkout", booking["id"].as_str().unwrap());
    let first = dana.post(&path, json!({ "part": "balance" })).await.body;
    let session = &first["checkout"]["sessionId"];
    let events = harness.pay_unheard(json!({ "session": session })).await;
    harness.hear_of_expiry(&first).await;
    let second = dana.post(&path, json!({ "part": "balance" })).await;
    assert_eq!(second.status, 200, "{second:?}");
    let odd = changed(
        &events["checkout.session.completed"],
        "evt_odd",
        &json!({ "amount_total": 499 }),
    );
    harness.deliver(&odd).await;
    let reviewed = dana.booking(&booking).await;
    assert_eq!(reviewed["status"], "review", "{reviewed}");
    reviewed
}

#[tokio::test]
async fn while_stripe_does_not_close_the_page_nothing_is_decided() {
    for (status, answer, code) in [
        (401, 502, "payment_provider_error"),
        (403, 502, "payment_provider_error"),
        (503, 503, "payment_provider_unavailable"),
        (429, 503, "payment_provider_unavailable"),
    ] {
        let harness = TestApp::new().await;
        let booking = under_review_with_an_open_page(&harness).await;
        let fault = json!({
            "route": "POST /v1/checkout/sessions/*/expire", "kind": "status", "status": status,
            "should_retry": false,
        });
        harness.knob("faults", fault).await;
        let body = json!({ "action": "cancel", "reason": "not theirs" });

        let refused = resolve(&harness, &booking, body.clone()).await;
        let kept = harness.customer("dana").booking(&booking).await;
        let resolved = resolve(&harness, &booking, body).await;

        refused.refused(answer, code);
        assert_eq!(kept["status"], "review", "{status}");
        assert_eq!(resolved.status, 200, "{status}: {resolved:?}");
        assert_eq!(resolved.body["status"], "cancelled");
        harness.run_jobs().await;
    }
}
