//! The payment page: what Stripe is asked for, and what happens when it does not answer.

use chrono::TimeDelta;
use holdfast::domain::job::Job;
use holdfast::jobs;
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
    for (name, value) in [
        ("mode", "payment"),
        ("ui_mode", "hosted_page"),
        ("client_reference_id", id),
        ("metadata[bookingId]", id),
        ("metadata[attemptId]", &attempt),
        ("metadata[part]", "full"),
        ("metadata[app]", "holdfast"),
        ("payment_intent_data[metadata][bookingId]", id),
        ("payment_intent_data[metadata][attemptId]", &attempt),
        ("payment_intent_data[metadata][part]", "full"),
        ("payment_intent_data[metadata][app]", "holdfast"),
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
        ("line_items[0][price_data][unit_amount]", "1200"),
        ("line_items[0][quantity]", "2"),
        ("line_items[1][price_data][unit_amount]", "2500"),
        ("line_items[1][price_data][currency]", "eur"),
        ("line_items[1][quantity]", "1"),
    ] {
        assert_eq!(
            form.iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str()),
            Some(value),
            "{name}"
        );
    }
    assert_eq!(form.len(), 25, "{form:?}");
}

#[tokio::test]
async fn an_allowed_origin_is_where_the_buyer_returns_to() {
    let harness = TestApp::new().await;
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
        let wish = json!({ "kind": "show", "showId": show, "seats": [seat] }).to_string();
        let answer = send(
            request
                .header("content-type", "application/json")
                .body(wish),
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
async fn an_embedded_or_custom_page_gets_a_client_secret_and_one_return_url() {
    let harness = TestApp::new().await;
    let show = harness.show().await;

    for (ui, ui_mode, seat) in [
        ("embedded", "embedded_page", "A2"),
        ("custom", "elements", "A3"),
    ] {
        let wish = json!({ "kind": "show", "showId": show, "seats": [seat], "ui": ui });
        let booking = harness
            .customer("dana")
            .post("/api/bookings", wish)
            .await
            .body;

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
    }
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
async fn a_failure_that_stripe_stored_is_left_behind_with_a_new_key() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let stored = json!({ "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 500, "stored": true });
    harness.knob("faults", stored).await;
    let dana = harness.customer("dana");

    let booking = dana.booked(&show, &["A2"]).await;
    harness.pay(&booking).await;

    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    assert_eq!(
        harness
            .sql("select string_agg(status::text, ',' order by id) from checkout_attempts")
            .await,
        "failed,paid"
    );
    let last = harness.stripe_requests().await.pop().unwrap();
    let attempt = harness
        .sql("select id from checkout_attempts where status = 'paid'")
        .await;
    assert_eq!(last["idempotencyKey"], format!("cs-{attempt}"));
    assert!(form(&last).contains(&("metadata[attemptId]".to_owned(), attempt)));
    harness.reconcile().await;
}

#[tokio::test]
async fn a_session_that_ended_unseen_beside_a_paid_one_is_closed() {
    let harness = TestApp::new().await;
    book_behind_a_failure(&harness).await;
    // Of another session the answer is lost.
    let create = "POST /v1/checkout/sessions$";
    harness
        .knob("faults", json!({ "route": create, "kind": "delay" }))
        .await;
    harness
        .knob("faults", json!({ "route": create, "kind": "lost_answer" }))
        .await;
    harness
        .knob(
            "faults",
            json!({ "route": create, "kind": "status", "status": 503, "should_retry": false }),
        )
        .await;
    harness.advance(TimeDelta::seconds(5)).await;
    assert_eq!(harness.run_jobs().await, 0);
    let sessions = harness.ask_stripe("/v1/checkout/sessions").await["data"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(sessions.len(), 2);

    harness
        .knob("pay", json!({ "session": sessions[1]["id"] }))
        .await;
    harness.simulator.settled().await;
    harness.knob("deliveries", json!({ "drop": true })).await;
    harness.advance(TimeDelta::minutes(45)).await;
    harness.run_jobs().await;

    let attempts = "select string_agg(status::text, ',' order by id) from checkout_attempts";
    assert_eq!(harness.sql(attempts).await, "paid,expired");
    assert_eq!(
        harness.sql("select status from bookings").await,
        "confirmed"
    );
    assert_eq!(harness.sql("select count(*) from jobs").await, "0");
    harness.reconcile().await;
}

#[tokio::test]
async fn an_attempt_that_lost_its_job_is_closed_though_another_was_paid() {
    let harness = TestApp::new().await;
    book_behind_a_failure(&harness).await;
    // Whoever asks under another key dies before Stripe hears of it.
    let create = "POST /v1/checkout/sessions$";
    harness
        .knob("faults", json!({ "route": create, "kind": "delay" }))
        .await;
    harness
        .knob(
            "faults",
            json!({ "route": create, "kind": "status", "status": 503, "should_retry": false }),
        )
        .await;
    harness.advance(TimeDelta::seconds(5)).await;
    assert_eq!(harness.run_jobs().await, 0);
    sqlx::query("delete from jobs")
        .execute(harness.db())
        .await
        .unwrap();
    let sessions = harness.ask_stripe("/v1/checkout/sessions").await["data"]
        .as_array()
        .unwrap()
        .clone();

    harness
        .knob("pay", json!({ "session": sessions[0]["id"] }))
        .await;
    harness.simulator.settled().await;
    harness.advance(TimeDelta::minutes(1)).await;
    jobs::perform(&harness.app, &Job::Sweep).await.unwrap();
    harness.run_jobs().await;

    assert_eq!(
        harness.sql("select status from bookings").await,
        "confirmed"
    );
    assert_eq!(
        harness
            .sql("select string_agg(status::text, ',' order by id) from checkout_attempts")
            .await,
        "paid,expired"
    );
    assert_eq!(
        harness
            .ask_stripe("/v1/checkout/sessions?status=open")
            .await["data"],
        json!([])
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn an_attempt_that_can_only_fail_is_closed_once_another_was_paid() {
    let harness = TestApp::new().await;
    book_behind_a_failure(&harness).await;
    // Under every other key there is a failure with nothing behind it.
    let stored = json!({ "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 500, "stored": true, "times": 99 });
    harness.knob("faults", stored).await;
    harness.advance(TimeDelta::seconds(5)).await;
    harness.run_jobs().await;
    let sessions = harness.ask_stripe("/v1/checkout/sessions").await["data"]
        .as_array()
        .unwrap()
        .clone();

    harness
        .knob("pay", json!({ "session": sessions[0]["id"] }))
        .await;
    harness.simulator.settled().await;
    harness.advance(TimeDelta::minutes(45)).await;
    harness.run_jobs().await;

    assert_eq!(sessions.len(), 1);
    assert_eq!(
        harness.sql("select status from bookings").await,
        "confirmed"
    );
    assert_eq!(
        harness
            .sql("select string_agg(distinct status::text, ',') from checkout_attempts")
            .await,
        "failed,paid"
    );
    assert_eq!(harness.sql("select count(*) from jobs").await, "0");
    harness.reconcile().await;
}

#[tokio::test]
async fn when_stripe_is_away_the_seats_stay_held_and_the_caller_is_told() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let down = json!({ "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 503, "times": 100 });
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
async fn a_caller_who_hangs_up_does_not_stop_his_booking() {
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
/// Reconcile, and the session is made behind a failure that Stripe keeps telling.
async fn book_behind_a_failure(harness: &TestApp) {
    let show = harness.show().await;
    let stored = json!({ "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 500, "stored": true, "after": true, "should_retry": false });
    harness.knob("faults", stored).await;
    harness
        .customer("dana")
        .book(&show, &["A2"])
        .await
        .refused(503, "payment_provider_unavailable");
}

fn form(asked: &Value) -> Vec<(String, String)> {
    form_urlencoded::parse(asked["raw"].as_str().unwrap().as_bytes())
        .into_owned()
        .collect()
}

/// The first key is spent, but somebody pays the session behind it while the second is asked for.
/// The answer to the wish to close the second session is lost, so that it is found closed.
#[tokio::test]
async fn a_second_session_that_nobody_waits_for_is_closed_even_if_the_answer_is_lost() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let create = "POST /v1/checkout/sessions$";
    for fault in [
        json!({ "route": create, "kind": "status", "status": 500, "stored": true, "after": true }),
        json!({ "route": create, "kind": "delay", "seconds": 0 }),
        json!({ "route": create, "kind": "delay", "after": true, "seconds": 3 }),
        json!({ "route": "POST /v1/checkout/sessions/*/expire", "kind": "lost_answer" }),
    ] {
        harness.knob("faults", fault).await;
    }
    let dana = harness.customer("dana");
    let ghost = async {
        loop {
            let sessions = send(
                harness
                    .http
                    .get(format!("{}/_simulator/sessions", harness.simulator.url())),
            )
            .await
            .body;
            if sessions.as_array().unwrap().len() == 2 {
                return harness
                    .pay(&json!({ "checkout": { "sessionId": sessions[0]["id"] } }))
                    .await;
            }
        }
    };

    let wish = json!({ "kind": "show", "showId": show, "seats": ["A2"] });
    let (booked, _) = tokio::join!(dana.post("/api/bookings", wish), ghost);

    assert_eq!(
        (booked.status, &booked.body["status"]),
        (201, &json!("confirmed")),
        "{booked:?}"
    );
    harness.run_jobs().await;
    assert_eq!(
        harness
            .sql("select string_agg(status::text, ',' order by id) from checkout_attempts")
            .await,
        "paid,expired"
    );
    harness.reconcile().await;
}
