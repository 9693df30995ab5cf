//! The payment page: what Stripe is asked for, and what happens when it does not answer.

mod remedies;
mod stored_failures;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{ORIGIN, TestApp, send};

#[tokio::test]
async fn stripe_is_asked_for_what_the_contract_says() {
    let harness = TestApp::new().await;
    let show = harness.show().await;

    let booking = harness
        .customer("dana")
        .booked(&show, &["A3", "B1", "A2"])
        .await;

    let asked = &harness.stripe_requests().await[0];
    let form = form(asked);
    let id = booking["id"].as_str().unwrap();
    let attempt = harness.sql("select id from checkout_attempts").await;
    assert_eq!(asked["idempotencyKey"], format!("cs-{attempt}"));
    assert_eq!(asked["stripeVersion"], "2026-09-30.endive");
    let expires_at = (harness.now() + TimeDelta::minutes(35))
        .timestamp()
        .to_string();
    let held = harness.now() + TimeDelta::minutes(10);
    let held = held
        .with_timezone(&chrono_tz::Europe::Berlin)
        .format("%H:%M");
    let held = format!("Held for you until {held} (Europe/Berlin).");
    for (name, value) in [
        ("mode", "payment"),
        ("ui_mode", "hosted_page"),
        ("client_reference_id", id),
        ("metadata[bookingId]", id),
        ("metadata[attemptId]", &attempt),
        ("metadata[part]", "full"),
        ("metadata[app]", "holdfast"),
        ("metadata[showId]", &show),
        ("payment_intent_data[metadata][bookingId]", id),
        ("payment_intent_data[metadata][attemptId]", &attempt),
        ("payment_intent_data[metadata][part]", "full"),
        ("payment_intent_data[metadata][app]", "holdfast"),
        ("payment_intent_data[metadata][showId]", &show),
        ("expires_at", &expires_at),
        (
            "success_url",
            &format!("{ORIGIN}/booking/success?session_id={{CHECKOUT_SESSION_ID}}"),
        ),
        (
            "cancel_url",
            &format!("{ORIGIN}/booking/cancel?booking={id}"),
        ),
        ("customer_email", "dana@example.com"),
        ("submit_type", "book"),
        ("locale", "auto"),
        ("custom_text[submit][message]", &held),
    ] {
        let sent = form.iter().find(|(key, _)| key == name);
        assert_eq!(sent.map(|(_, value)| value.as_str()), Some(value), "{name}");
    }
    assert_eq!(form.len(), 30, "{form:?}");
}

#[tokio::test]
async fn a_line_of_the_page_is_what_is_booked_at_one_price() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    dana.booked(&show, &["A3", "B1", "A2"]).await;

    let form = form(&harness.stripe_requests().await[0]);
    for (name, value) in [
        (
            "line_items[0][price_data][product_data][name]",
            "Metropolis",
        ),
        (
            "line_items[0][price_data][product_data][description]",
            "regular · A2, A3",
        ),
        (
            "line_items[1][price_data][product_data][description]",
            "box · B1",
        ),
        ("line_items[0][price_data][unit_amount]", "1200"),
        ("line_items[0][quantity]", "2"),
        ("line_items[1][price_data][unit_amount]", "2500"),
        ("line_items[1][price_data][currency]", "eur"),
        ("line_items[1][quantity]", "1"),
    ] {
        let sent = form.iter().find(|(key, _)| key == name);
        assert_eq!(sent.map(|(_, value)| value.as_str()), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_front_end_that_is_there_already_says_where_buyers_return_and_what_they_give() {
    let harness = TestApp::with(&[
        ("APP_NAME", "riverside"),
        ("CHECKOUT_SUCCESS_PATH", "/danke"),
        ("CHECKOUT_CANCEL_PATH", "/kasse"),
        ("CHECKOUT_TERMS", "required"),
        ("CHECKOUT_BILLING_ADDRESS", "required"),
    ])
    .await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;

    let form = form(&harness.stripe_requests().await[0]);
    let id = booking["id"].as_str().unwrap();
    for (name, value) in [
        ("metadata[app]", "riverside"),
        ("payment_intent_data[metadata][app]", "riverside"),
        (
            "success_url",
            &*format!("{ORIGIN}/danke?session_id={{CHECKOUT_SESSION_ID}}"),
        ),
        ("cancel_url", &format!("{ORIGIN}/kasse?booking={id}")),
        ("consent_collection[terms_of_service]", "required"),
        ("billing_address_collection", "required"),
    ] {
        let sent = form.iter().find(|(key, _)| key == name);
        assert_eq!(sent.map(|(_, value)| value.as_str()), Some(value), "{name}");
    }
}

#[tokio::test]
async fn an_allowed_origin_is_where_the_buyer_returns_to() {
    let harness = TestApp::holding_freely().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");

    for (origin, seat, returns_to) in [
        (
            "http://other-front.example",
            "A2",
            "http://other-front.example",
        ),
        ("http://foreign.example", "A3", ORIGIN),
    ] {
        let request = dana
            .request(reqwest::Method::POST, "/api/bookings")
            .header("origin", origin);
        let body = json!({ "kind": "show", "showId": show, "seats": [seat] }).to_string();
        let answer = send(
            request
                .header("content-type", "application/json")
                .body(body),
        )
        .await;

        assert_eq!(answer.status, 201);
        let form = form(harness.stripe_requests().await.last().unwrap());
        let success_url = &form.iter().find(|(key, _)| key == "success_url").unwrap().1;
        assert!(
            success_url.starts_with(&format!("{returns_to}/booking/success?")),
            "{success_url}"
        );
    }
}

#[tokio::test]
async fn an_embedded_or_custom_page_gets_a_client_secret_the_key_for_it_and_one_return_url() {
    let harness = TestApp::with(&[("STRIPE_PUBLISHABLE_KEY", "pk_test_stage")]).await;
    let show = harness.show().await;

    for (ui, ui_mode, seat) in [
        ("embedded", "embedded_page", "A2"),
        ("custom", "elements", "A3"),
    ] {
        let body = json!({ "kind": "show", "showId": show, "seats": [seat], "ui": ui });
        let booking = harness.customer(ui).post("/api/bookings", body).await.body;

        let form = form(harness.stripe_requests().await.last().unwrap());
        let value = |name: &str| {
            form.iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        assert_eq!(value("ui_mode"), Some(ui_mode));
        assert!(
            value("return_url")
                .unwrap()
                .contains("session_id={CHECKOUT_SESSION_ID}")
        );
        assert_eq!((value("success_url"), value("cancel_url")), (None, None));
        assert!(booking["checkout"]["clientSecret"].is_string(), "{booking}");
        assert_eq!(booking["checkout"]["url"], Value::Null);
        assert_eq!(booking["checkout"]["publishableKey"], "pk_test_stage");
    }
    let hosted = harness.customer("dana").booked(&show, &["A4"]).await;
    assert_eq!(hosted["checkout"].get("publishableKey"), None, "{hosted}");
}

#[tokio::test]
async fn a_buyer_without_an_address_is_not_given_one() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let mut claims = harness.claims("user_quiet", "");
    claims.as_object_mut().unwrap().remove("email");

    harness
        .bearer(harness.issuer.token(&claims))
        .booked(&show, &["A2"])
        .await;

    assert!(
        !form(&harness.stripe_requests().await[0])
            .iter()
            .any(|(key, _)| key == "customer_email")
    );
}

#[tokio::test]
async fn every_try_uses_the_same_key_and_the_same_parameters() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    for fault in [
        json!({ "kind": "status", "status": 429 }),
        json!({ "kind": "status", "status": 503 }),
        json!({ "kind": "reset" }),
        json!({ "kind": "garbage" }),
        json!({ "kind": "lost_answer" }),
    ] {
        let mut fault = fault;
        fault["route"] = json!("POST /v1/checkout/sessions$");
        harness.knob("faults", fault).await;
    }

    let booking = harness.customer("dana").booked(&show, &["A2"]).await;

    let tries = harness.stripe_requests().await;
    assert!(tries.len() >= 5, "{}", tries.len());
    assert!(
        tries
            .iter()
            .all(|asked| asked["idempotencyKey"] == tries[0]["idempotencyKey"])
    );
    assert!(tries.iter().all(|asked| asked["raw"] == tries[0]["raw"]));
    assert_eq!(
        harness.ask_stripe("/v1/checkout/sessions").await["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    harness.pay(&booking).await;
    harness.reconcile().await;
}

#[tokio::test]
async fn when_stripe_is_away_the_seats_stay_held_and_the_caller_is_told() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let down = json!({
        "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 503, "times": 100,
    });
    harness.knob("faults", down).await;

    let answer = harness.customer("dana").book(&show, &["A2"]).await;

    answer.refused(503, "payment_provider_unavailable");
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(
        harness.sql("select status from checkout_attempts").await,
        "creating"
    );
    assert_eq!(harness.sql("select count(*) from seat_claims").await, "1");
    harness.reconcile().await;
}

#[tokio::test]
async fn when_stripe_refuses_for_good_the_seats_are_free_at_once() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let refusal =
        json!({ "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 400 });
    harness.knob("faults", refusal).await;

    let answer = harness.customer("emil").book(&show, &["A2"]).await;

    answer.refused(502, "payment_provider_error");
    assert_eq!(harness.sql("select status from bookings").await, "failed");
    assert_eq!(harness.sql("select count(*) from seat_claims").await, "0");
    assert_eq!(
        harness.customer("dana").book(&show, &["A2"]).await.status,
        201
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_stop_their_booking() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    harness
        .knob(
            "faults",
            json!({ "route": "POST /v1/checkout/sessions$", "kind": "delay", "seconds": 1 }),
        )
        .await;
    let dana = harness.customer("dana");

    let booking = dana.book(&show, &["A2"]);
    let held = async {
        while harness.sql("select count(*) from bookings").await != "1" {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = booking => panic!("it was to be cut off: {answer:?}"),
        () = held => {}
    }
    while harness.sql("select status from checkout_attempts").await != "open" {
        tokio::task::yield_now().await;
    }

    let bookings = dana.get("/api/bookings").await.body;
    assert!(bookings["items"][0]["checkout"]["url"].is_string());
}

/// The form that Stripe was sent.
fn form(asked: &Value) -> Vec<(String, String)> {
    form_urlencoded::parse(asked["raw"].as_str().unwrap().as_bytes())
        .into_owned()
        .collect()
}

/// Whatever part is named, as long as nothing is due; and what is not due names no other part.
#[tokio::test]
async fn a_confirmed_booking_says_that_it_is_paid_or_what_is_not_payable() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let paid = dana.booked(&show, &["A2"]).await;
    harness.pay(&paid).await;
    let service = harness.service_with(json!({})).await;
    let slot = "2026-12-01T09:00:00Z";
    let half = dana.book_slot(&service, slot, 1, "half").await.body;
    harness.pay(&half).await;
    let checkout = async |booking: &Value, part: &str| {
        let path = format!("/api/bookings/{}/checkout", booking["id"].as_str().unwrap());
        dana.post(&path, json!({ "part": part })).await
    };

    for part in ["full", "deposit", "balance"] {
        checkout(&paid, part).await.refused(409, "already_paid");
    }
    for part in ["full", "deposit"] {
        let refused = checkout(&half, part).await;
        refused.refused(409, "booking_not_payable");
        assert_eq!(refused.body["bookingStatus"], "confirmed", "{part}");
    }
    assert_eq!(
        harness.sql("select count(*) from checkout_attempts").await,
        "2"
    );
    assert_eq!(checkout(&half, "balance").await.status, 200);
}
