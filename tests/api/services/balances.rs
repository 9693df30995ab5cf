//! A deposit confirms; the balance is paid afterwards.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{Answer, Caller, TestApp};

pub(super) const AFTERNOON: &str = "2026-12-01T09:00:00Z";

pub(super) async fn checkout(caller: &Caller<'_>, booking: &Value, body: Value) -> Answer {
    let id = booking["id"].as_str().unwrap();
    caller
        .post(&format!("/api/bookings/{id}/checkout"), body)
        .await
}

#[tokio::test]
async fn the_deposit_confirms_and_the_balance_is_the_exact_rest() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
    assert_eq!(booked["dueNow"]["amountMinor"], 501);
    let early = checkout(&dana, &booked, json!({ "part": "balance" })).await;
    early.refused(409, "booking_not_payable");
    harness.pay(&booked).await;

    let confirmed = dana.booking(&booked).await;
    let opened = checkout(&dana, &booked, json!({ "part": "balance" })).await;
    let again = checkout(&dana, &booked, json!({ "part": "balance" })).await;
    harness.pay(&opened.body).await;

    assert_eq!(confirmed["status"], "confirmed");
    assert_eq!(confirmed["paymentStatus"], "depositPaid");
    assert_eq!(confirmed["balance"]["amountMinor"], 500);
    assert_eq!(opened.status, 200, "{opened:?}");
    assert_eq!(opened.body["checkout"], again.body["checkout"]);
    let settled = dana.booking(&booked).await;
    assert_eq!(settled["paymentStatus"], "paid");
    assert_eq!(settled["balance"]["amountMinor"], 0);
    let more = checkout(&dana, &booked, json!({ "part": "balance" })).await;
    more.refused(409, "already_paid");
    let eve = checkout(
        &harness.customer("eve"),
        &booked,
        json!({ "part": "balance" }),
    )
    .await;
    eve.refused(404, "not_found");
    harness.reconcile().await;
    assert_eq!(harness.verify().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_admin_frees_the_slot_only_once_the_page_of_the_balance_is_closed() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
    harness.pay(&booked).await;
    let opened = checkout(&dana, &booked, json!({ "part": "balance" })).await;
    let session = opened.body["checkout"]["sessionId"].as_str().unwrap();
    let id = booked["id"].as_str().unwrap();
    let path = format!("/api/admin/bookings/{id}/refunds");
    let body = json!({ "reason": "the carer is ill", "releaseSeats": true });
    let away = json!({
        "route": "POST /v1/checkout/sessions/*/expire", "kind": "status", "status": 503,
        "should_retry": false,
    });

    harness.knob("faults", away).await;
    let unsure = harness.admin().post(&path, body.clone()).await;
    let kept = dana.booking(&booked).await;
    let refunded = harness.admin().post(&path, body).await;

    unsure.refused(503, "payment_provider_unavailable");
    assert_eq!(kept["status"], "confirmed");
    assert_eq!(refunded.status, 202, "{refunded:?}");
    assert_eq!(dana.booking(&booked).await["status"], "cancelled");
    let path = format!("/v1/checkout/sessions/{session}");
    assert_eq!(harness.ask_stripe(&path).await["status"], "expired");
    harness.run_jobs().await;
    harness.reconcile().await;
    assert_eq!(harness.verify().await, Vec::<String>::new());
}

/// One of two payments is not kept silently when the slot goes.
#[tokio::test]
async fn whose_slot_is_released_is_asked_which_of_their_payments_goes_back() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
    harness.pay(&booked).await;
    let opened = checkout(&dana, &booked, json!({ "part": "balance" })).await;
    harness.pay(&opened.body).await;
    let refunds = format!(
        "/api/admin/bookings/{}/refunds",
        booked["id"].as_str().unwrap()
    );

    let whole = json!({ "reason": "ill", "releaseSeats": true });
    let refused = harness.admin().post(&refunds, whole).await;
    let deposit = "select id from payments where part = 'deposit'";
    let of_one = json!({ "paymentId": harness.sql(deposit).await, "reason": "ill" });
    let first = harness.admin().post(&refunds, of_one).await;
    let rest = json!({ "reason": "ill", "releaseSeats": true });
    let second = harness.admin().post(&refunds, rest).await;

    refused.refused(422, "validation_failed");
    assert_eq!(refused.body["errors"][0]["field"], "paymentId");
    assert_eq!(first.status, 202, "{first:?}");
    assert_eq!(second.status, 202, "{second:?}");
    harness.run_jobs().await;
    assert_eq!(dana.booking(&booked).await["paymentStatus"], "refunded");
    harness.reconcile().await;
}

#[tokio::test]
async fn what_is_refused_leaves_the_page_of_the_balance_open() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
    harness.pay(&booked).await;
    let opened = checkout(&dana, &booked, json!({ "part": "balance" })).await;
    let session = opened.body["checkout"]["sessionId"].as_str().unwrap();
    let id = booked["id"].as_str().unwrap();
    let too_much = json!({
        "amount": { "amountMinor": 502, "currency": "usd" }, "reason": "ill", "releaseSeats": true,
    });
    let refunds = format!("/api/admin/bookings/{id}/refunds");
    let cancel = format!("/api/bookings/{id}/cancel");

    let refused = harness.admin().post(&refunds, too_much).await;
    let outdated = dana.post(&cancel, json!({ "version": 1 })).await;

    refused.refused(422, "refund_exceeds_payment");
    outdated.refused(409, "version_conflict");
    let path = format!("/v1/checkout/sessions/{session}");
    assert_eq!(harness.ask_stripe(&path).await["status"], "open");
}

#[tokio::test]
async fn the_balance_stays_where_an_admin_has_accepted_another_deposit() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
    let session = json!({ "session": booked["checkout"]["sessionId"] });
    let events = harness.pay_unheard(session).await;
    let mut less: Value = serde_json::from_str(&events["checkout.session.completed"]).unwrap();
    less["data"]["object"]["amount_total"] = json!(499);
    harness.deliver(&less.to_string()).await;
    let path = format!(
        "/api/admin/bookings/{}/resolve",
        booked["id"].as_str().unwrap()
    );
    let body = json!({ "action": "confirm", "reason": "close enough" });

    let resolved = harness.admin().post(&path, body).await.body;
    let opened = checkout(&dana, &booked, json!({ "part": "balance" })).await;
    harness.pay(&opened.body).await;

    assert_eq!(resolved["paymentStatus"], "depositPaid", "{resolved}");
    assert_eq!(resolved["balance"]["amountMinor"], 500);
    let settled = dana.booking(&booked).await;
    assert_eq!(settled["paymentStatus"], "paid");
    assert_eq!(settled["paid"]["amountMinor"], 999);
    assert_eq!(settled["balance"]["amountMinor"], 0);
    harness.run_jobs().await;
    assert_eq!(harness.verify().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_deposit_or_a_balance_that_is_too_small_is_refused_before_anything_is_held() {
    // Of a dollar: once 49 cents are the deposit, once they are the balance.
    for percent in [49, 51] {
        let harness = TestApp::new().await;
        let price = json!({ "amountMinor": 100, "currency": "usd" });
        let own = json!({ "pricePerHour": price, "depositPercent": percent });
        let service = harness.service_with(own).await;
        let dana = harness.customer("dana");

        let refused = dana.book_slot(&service, AFTERNOON, 1, "half").await;

        refused.refused(422, "amount_too_small");
        assert_eq!(refused.body["minimum"]["amountMinor"], 50);
        assert_eq!(harness.sql("select count(*) from bookings").await, "0");
    }
}

#[tokio::test]
async fn two_who_ask_for_the_balance_at_once_get_one_page_and_later_ones_a_fresh_one() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
    harness.pay(&booked).await;
    let balance = || checkout(&dana, &booked, json!({ "part": "balance" }));

    let (one, two) = tokio::join!(balance(), balance());
    harness.advance(TimeDelta::minutes(36)).await;
    let lapsed = harness.customer("dana").booking(&booked).await;
    let dana = harness.customer("dana");
    let fresh = checkout(&dana, &booked, json!({ "part": "balance" })).await;

    assert_eq!((one.status, two.status), (200, 200), "{one:?} {two:?}");
    assert_eq!(one.body["checkout"], two.body["checkout"]);
    assert_eq!(lapsed["status"], "confirmed");
    assert_eq!(lapsed["checkout"], Value::Null);
    assert_eq!(lapsed["balance"]["amountMinor"], 500);
    assert_eq!(fresh.status, 200, "{fresh:?}");
    assert_ne!(
        fresh.body["checkout"]["sessionId"],
        one.body["checkout"]["sessionId"]
    );
    harness.reconcile().await;
    assert_eq!(harness.verify().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_balance_that_stripe_does_not_answer_for_is_opened_in_the_background() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
    harness.pay(&booked).await;
    let down = json!({
        "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 503, "times": 7,
    });
    harness.knob("faults", down).await;

    let unanswered = checkout(&dana, &booked, json!({})).await;
    harness.advance(TimeDelta::seconds(5)).await;
    harness.run_jobs().await;

    unanswered.refused(503, "payment_provider_unavailable");
    let opened = dana.booking(&booked).await;
    assert!(opened["checkout"]["url"].is_string(), "{opened}");
    harness.pay(&opened).await;
    assert_eq!(dana.booking(&booked).await["paymentStatus"], "paid");
    harness.reconcile().await;
    assert_eq!(harness.verify().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_balance_that_we_have_not_heard_of_is_found_by_asking() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let dana = harness.customer("dana");
    let booked = dana.book_slot(&service, AFTERNOON, 1, "half").await.body;
    harness.pay(&booked).await;
    let opened = checkout(
        &dana,
        &booked,
        json!({ "part": "balance", "ui": "embedded" }),
    )
    .await
    .body;
    assert!(opened["checkout"]["clientSecret"].is_string(), "{opened}");
    let session = json!({ "sessionId": opened["checkout"]["sessionId"] });
    let paid = json!({ "session": opened["checkout"]["sessionId"] });
    let events = harness.pay_unheard(paid).await;

    let verified = dana.post("/api/payments/verify?wait=0", session).await;

    assert_eq!(verified.body["status"], "confirmed", "{verified:?}");
    assert_eq!(verified.body["booking"]["paymentStatus"], "paid");
    for body in events.values() {
        assert_eq!(harness.deliver(body).await.status, 200);
    }
    assert_eq!(harness.sql("select count(*) from payments").await, "2");
    harness.reconcile().await;
    assert_eq!(harness.verify().await, Vec::<String>::new());
}
