//! Stripe says odd things of a session: it does not know it, or calls it something that nobody
//! knows. Nothing is held for ever, and nothing is released on a guess.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::TestApp;

/// Whatever is asked about one session.
const ABOUT_A_SESSION: &str = "* /v1/checkout/sessions/*";

impl TestApp {
    /// Lets every later answer be this one, and no event come.
    async fn odd(&self, route: &str, mut fault: Value) {
        self.knob("deliveries", json!({ "drop": true })).await;
        fault["route"] = json!(route);
        fault["times"] = json!(1_000);
        self.knob("faults", fault).await;
    }

    async fn pass(&self, minutes: i64) {
        self.advance(TimeDelta::minutes(minutes)).await;
        self.run_jobs().await;
    }
}

#[tokio::test]
async fn a_session_that_stripe_does_not_know_frees_its_seats_after_its_time() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let unknown = json!({ "kind": "status", "status": 404, "code": "resource_missing" });
    harness.odd(ABOUT_A_SESSION, unknown).await;

    harness.pass(11).await;
    assert_eq!(dana.booking(&booking).await["status"], "pending");
    harness.pass(30).await;
    assert_eq!(
        dana.booking(&booking).await["status"],
        "pending",
        "one look"
    );
    harness.pass(2).await;

    assert_eq!(dana.booking(&booking).await["status"], "expired");
    dana.booked(&show, &["A2"]).await;
    harness.reconcile().await;
}

#[tokio::test]
async fn a_cancellation_of_what_stripe_does_not_know_is_taken_and_done_later() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let unknown = json!({ "kind": "status", "status": 404, "code": "resource_missing" });
    harness.odd(ABOUT_A_SESSION, unknown).await;

    let cancel = format!("/api/bookings/{}/cancel", booking["id"].as_str().unwrap());
    let answer = dana.post(&cancel, json!({})).await;
    answer.refused(503, "payment_provider_unavailable");
    harness.pass(41).await;
    harness.pass(2).await;

    assert_eq!(dana.booking(&booking).await["status"], "cancelled");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_session_that_comes_back_is_settled_as_ever() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    // As many as the first look at its end asks: to end it, and how it stands.
    let unknown = json!({
        "route": ABOUT_A_SESSION, "times": 2,
        "kind": "status", "status": 404, "code": "resource_missing",
    });
    harness.knob("faults", unknown).await;

    harness.pass(41).await;
    assert_eq!(dana.booking(&booking).await["status"], "pending");
    harness.pass(2).await;

    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_state_that_nobody_knows_is_left_to_a_person_who_is_told_why() {
    for (members, why) in [
        (
            json!({ "status": "complete", "payment_status": "no_payment_required" }),
            "it is complete, and nothing had to be paid",
        ),
        (
            json!({ "status": "complete", "payment_status": "surprising" }),
            "it is complete, and its payment is in no known state",
        ),
        (json!({ "status": "surprising" }), "it is in no known state"),
        (
            json!({ "status": "complete", "payment_status": "unpaid", "payment_intent": null }),
            "it is complete, and nobody has paid for it",
        ),
        (
            json!({ "status": "open" }),
            "it is open, and cannot be ended",
        ),
    ] {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        let dana = harness.customer("dana");
        let booking = dana.booked(&show, &["A2"]).await;
        let refused = json!({ "kind": "status", "status": 400 });
        harness
            .odd("POST /v1/checkout/sessions/*/expire", refused)
            .await;
        let altered = json!({ "kind": "altered", "members": members });
        harness.odd("GET /v1/checkout/sessions/*", altered).await;

        harness.pass(11).await;
        harness.pass(30).await;
        assert_eq!(dana.booking(&booking).await["status"], "pending", "{why}");
        harness.pass(2).await;

        assert_eq!(dana.booking(&booking).await["status"], "review", "{why}");
        let theirs = harness
            .sql("select theirs ->> 'session' from discrepancies")
            .await;
        assert_eq!(theirs, why);
        let told = "select payload -> 'theirs' ->> 'session' from booking_events
                    where kind = 'review'";
        let told = harness.sql(told).await;
        assert_eq!(told, why);
        assert_eq!(harness.run_jobs().await, 0);
        harness.reconcile().await;
    }
}

/// Nobody was given a link that cannot be used.
#[tokio::test]
async fn an_answer_that_cannot_be_used_frees_the_seats_after_its_time() {
    for members in [
        json!({ "url": "javascript:alert(1)" }),
        json!({ "url": null, "client_secret": null }),
        json!({ "id": "cs_test/../../v1/refunds" }),
        json!({ "id": null }),
        json!({ "id": 17 }),
        json!({ "url": 17, "client_secret": [] }),
    ] {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        let dana = harness.customer("dana");
        let altered = json!({ "kind": "altered", "members": members });
        harness.odd("POST /v1/checkout/sessions$", altered).await;

        let answer = dana.book(&show, &["A2"]).await;
        answer.refused(503, "payment_provider_unavailable");
        harness.pass(11).await;
        assert_eq!(harness.sql("select status from bookings").await, "pending");
        harness.pass(30).await;

        assert_eq!(
            harness.sql("select status from bookings").await,
            "expired",
            "{members}"
        );
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn a_refusal_to_say_how_a_session_stands_is_left_to_a_person() {
    for (status, end) in [(400, "review"), (403, "review"), (401, "pending")] {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        let dana = harness.customer("dana");
        let booking = dana.booked(&show, &["A2"]).await;
        let refused = json!({ "kind": "status", "status": status });
        harness.odd(ABOUT_A_SESSION, refused).await;

        for minutes in [11, 30, 2] {
            assert_eq!(
                dana.booking(&booking).await["status"],
                "pending",
                "{status}"
            );
            harness.pass(minutes).await;
        }

        // A key that Stripe does not take says nothing of the session: `holdfast doctor` tells.
        assert_eq!(dana.booking(&booking).await["status"], end, "{status}");
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn a_session_ends_when_it_was_asked_to_whatever_it_says() {
    for expires_at in [
        json!(0),
        json!(250_000_000_000_i64),
        json!(1.5),
        json!(null),
    ] {
        let harness = TestApp::new().await;
        let show = harness.show().await;
        let altered = json!({ "kind": "altered", "members": { "expires_at": expires_at } });
        harness.odd("POST /v1/checkout/sessions$", altered).await;

        harness.customer("dana").booked(&show, &["A2"]).await;

        let minutes = "select extract(epoch from expires_at - created_at) / 60
                       from checkout_attempts";
        let minutes: f64 = harness.sql(minutes).await.parse().unwrap();
        assert!((34.0..36.0).contains(&minutes), "{expires_at}: {minutes}");
    }
}
