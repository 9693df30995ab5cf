//! The buyer's ways out of a booking, and back into a pending one.

mod disputed;
mod paid;
mod previewed;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{Answer, Caller, TestApp};

async fn cancel(caller: &Caller<'_>, booking: &Value, body: Value) -> Answer {
    caller
        .post(
            &format!("/api/bookings/{}/cancel", booking["id"].as_str().unwrap()),
            body,
        )
        .await
}

async fn reopen(caller: &Caller<'_>, booking: &Value) -> Answer {
    caller
        .post(
            &format!("/api/bookings/{}/checkout", booking["id"].as_str().unwrap()),
            json!({}),
        )
        .await
}

#[tokio::test]
async fn a_pending_booking_can_be_called_off_and_its_seats_are_free_at_once() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;

    let cancelled = cancel(&dana, &booking, json!({ "version": 1, "reason": "ill" })).await;
    let again = cancel(&dana, &booking, json!({})).await;
    let rebooked = dana.book(&show, &["A2"]).await;

    assert_eq!(
        (cancelled.status, &cancelled.body["status"]),
        (200, &json!("cancelled")),
        "{cancelled:?}"
    );
    assert_eq!(cancelled.body["cancelledAt"], "2026-11-21T12:00:00Z");
    assert_eq!(again.body["status"], "cancelled");
    assert_eq!(rebooked.status, 201);
    let session = booking["checkout"]["sessionId"].as_str().unwrap();
    assert_eq!(
        harness
            .ask_stripe(&format!("/v1/checkout/sessions/{session}"))
            .await["status"],
        "expired"
    );
    assert_eq!(
        harness
            .sql("select cancel_reason from bookings where status = 'cancelled'")
            .await,
        "ill"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn a_payment_that_was_faster_than_the_cancellation_stands() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;

    cancel(&dana, &booking, json!({}))
        .await
        .refused(409, "already_paid");

    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_cancellation_that_stripe_does_not_confirm_frees_nothing_and_goes_on_in_the_background() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let down = json!({
        "route": "POST /v1/checkout/sessions/*/expire", "kind": "status", "status": 503, "times": 7,
    });
    harness.knob("faults", down).await;

    cancel(&dana, &booking, json!({}))
        .await
        .refused(503, "payment_provider_unavailable");
    let kept = dana.booking(&booking).await;
    harness.advance(TimeDelta::seconds(5)).await;
    harness.run_jobs().await;

    assert_eq!(kept["status"], "pending");
    assert_eq!(dana.booking(&booking).await["status"], "cancelled");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_cancellation_that_stripe_refuses_to_confirm_frees_nothing() {
    for status in [401, 403] {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        let dana = harness.customer("dana");
        let booking = dana.booked(&show, &["A2"]).await;
        let refused = json!({
            "route": "POST /v1/checkout/sessions/*/expire", "kind": "status", "status": status,
        });
        harness.knob("faults", refused).await;

        let cancelled = cancel(&dana, &booking, json!({})).await;

        cancelled.refused(502, "payment_provider_error");
        assert_eq!(dana.booking(&booking).await["status"], "pending");
        assert_eq!(harness.sql("select count(*) from seat_claims").await, "1");
        harness.advance(TimeDelta::seconds(5)).await;
        harness.run_jobs().await;
        assert_eq!(dana.booking(&booking).await["status"], "cancelled");
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn only_the_buyer_or_an_admin_cancels_and_only_what_they_have_seen() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;

    cancel(&harness.customer("emil"), &booking, json!({}))
        .await
        .refused(404, "not_found");
    cancel(&dana, &booking, json!({ "version": 7 }))
        .await
        .refused(409, "version_conflict");
    cancel(&dana, &booking, json!({ "because": "ill" }))
        .await
        .refused(422, "validation_failed");
    cancel(&dana, &booking, json!({ "reason": "x".repeat(501) }))
        .await
        .refused(422, "validation_failed");
    let by_admin = cancel(&harness.admin(), &booking, json!({})).await;

    assert_eq!(by_admin.body["status"], "cancelled");
}

#[tokio::test]
async fn the_open_page_is_given_again() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;

    let (one, other) = tokio::join!(reopen(&dana, &booking), reopen(&dana, &booking));
    let strangers = reopen(&harness.customer("emil"), &booking).await;

    assert_eq!((one.status, other.status), (200, 200));
    assert_eq!(one.body["checkout"], booking["checkout"]);
    assert_eq!(other.body["checkout"], booking["checkout"]);
    strangers.refused(404, "not_found");
}

#[tokio::test]
async fn who_wants_another_page_gets_the_open_one_as_it_is() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    for (opened, seat, secret_is_told) in [
        ("hosted", "A2", false),
        ("embedded", "A3", true),
        ("custom", "A4", true),
    ] {
        let dana = harness.customer(opened);
        let body = json!({ "kind": "show", "showId": show, "seats": [seat], "ui": opened });
        let booking = dana.post("/api/bookings", body).await.body;
        for wanted in ["hosted", "embedded", "custom"] {
            let path = format!("/api/bookings/{}/checkout", booking["id"].as_str().unwrap());
            let again = dana.post(&path, json!({ "ui": wanted })).await;

            assert_eq!(
                (again.status, &again.body["checkout"]),
                (200, &booking["checkout"]),
                "{opened}, {wanted}"
            );
            assert_eq!(
                again.body["checkout"]["clientSecret"].is_string(),
                secret_is_told,
                "{again:?}"
            );
            assert_eq!(
                again.body["checkout"]["url"].is_null(),
                secret_is_told,
                "{again:?}"
            );
        }
    }
    let sessions = harness.all_at_stripe("checkout/sessions").await;
    assert_eq!(sessions.len(), 3);
}

#[tokio::test]
async fn ones_own_pending_booking_locks_nobody_out() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let forgotten = dana.booked(&show, &["A2", "A3"]).await;

    let refused = dana.book(&show, &["A2"]).await;
    let own = json!({ "id": refused.body["ownBooking"] });
    let resumed = reopen(&dana, &own).await;
    let called_off = cancel(&dana, &own, json!({})).await;
    let again = dana.booked(&show, &["A2"]).await;
    harness.pay(&again).await;

    refused.refused(409, "seat_unavailable");
    assert_eq!(own["id"], forgotten["id"]);
    assert_eq!((resumed.status, &resumed.body), (200, &forgotten));
    assert_eq!(
        (called_off.status, &called_off.body["status"]),
        (200, &json!("cancelled")),
        "{called_off:?}"
    );
    assert_eq!(dana.booking(&again).await["status"], "confirmed");
    assert_eq!(
        harness
            .sql("select string_agg(label, ',') from seat_claims")
            .await,
        "A2"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn a_booking_that_was_resumed_can_be_paid() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    dana.booked(&show, &["A2"]).await;
    let own = json!({ "id": dana.book(&show, &["A2"]).await.body["ownBooking"] });

    let resumed = reopen(&dana, &own).await.body;
    harness.pay(&resumed).await;

    assert_eq!(dana.booking(&own).await["status"], "confirmed");
    harness.reconcile().await;
}

#[tokio::test]
async fn two_tabs_that_finish_an_unanswered_create_get_the_same_session() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let lost = json!({ "route": "POST /v1/checkout/sessions$", "kind": "lost_answer", "times": 7 });
    harness.knob("faults", lost).await;
    let dana = harness.customer("dana");
    dana.book(&show, &["A2"])
        .await
        .refused(503, "payment_provider_unavailable");
    let booking = dana.get("/api/bookings").await.body["items"][0].clone();

    let (one, other) = tokio::join!(reopen(&dana, &booking), reopen(&dana, &booking));

    assert_eq!((one.status, other.status), (200, 200), "{one:?} {other:?}");
    assert!(one.body["checkout"]["url"].is_string());
    assert_eq!(one.body["checkout"], other.body["checkout"]);
    assert_eq!(
        harness.ask_stripe("/v1/checkout/sessions").await["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn what_cannot_be_paid_any_more_is_not_opened_again() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let paid = dana.booked(&show, &["A2"]).await;
    harness.pay(&paid).await;
    let called_off = dana.booked(&show, &["A3"]).await;
    cancel(&dana, &called_off, json!({})).await;
    let over = dana.booked(&show, &["A4"]).await;

    reopen(&dana, &paid).await.refused(409, "already_paid");
    let refused = reopen(&dana, &called_off).await;
    harness.advance(TimeDelta::minutes(10)).await;
    reopen(&dana, &over).await.refused(409, "booking_expired");

    refused.refused(409, "booking_not_payable");
    assert_eq!(refused.body["bookingStatus"], "cancelled");
}

#[tokio::test]
async fn a_cancellation_is_repeated_without_harm() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let down = json!({
        "route": "POST /v1/checkout/sessions/*/expire", "kind": "status", "status": 503, "times": 7,
    });
    harness.knob("faults", down).await;

    cancel(&dana, &booking, json!({ "version": 1 }))
        .await
        .refused(503, "payment_provider_unavailable");
    let (one, other) = tokio::join!(
        cancel(&dana, &booking, json!({ "version": 1 })),
        cancel(&dana, &booking, json!({}))
    );

    assert_eq!(
        (&one.body["status"], &other.body["status"]),
        (&json!("cancelled"), &json!("cancelled")),
        "{one:?} {other:?}"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn a_booking_whose_page_stripe_never_made_can_be_called_off() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let stored = json!({
        "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 500, "stored": true,
        "times": 9,
    });
    harness.knob("faults", stored).await;
    let dana = harness.customer("dana");
    dana.book(&show, &["A2"])
        .await
        .refused(503, "payment_provider_unavailable");
    let booking = dana.get("/api/bookings").await.body["items"][0].clone();

    let cancelled = cancel(&dana, &booking, json!({})).await;

    assert_eq!(cancelled.body["status"], "cancelled", "{cancelled:?}");
    harness.reconcile().await;
}
