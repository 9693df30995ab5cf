//! How often Stripe is asked about one session: at most once in five seconds, however many ask.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{SOON, asked, verify};
use crate::harness::{Caller, TestApp};

/// A buyer and their booking, which they have paid, and of which we have heard nothing.
async fn paid_unheard(harness: &TestApp) -> (Caller<'_>, Value) {
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let session = json!({ "session": booking["checkout"]["sessionId"] });
    harness.pay_unheard(session).await;
    (dana, booking)
}

/// A buyer and their booking, about which Stripe has just been asked; they have paid since.
async fn paid_after_a_question(harness: &TestApp) -> (Caller<'_>, Value) {
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    assert_eq!(verify(&dana, &booking, 0).await.body["status"], "pending");
    let session = json!({ "session": booking["checkout"]["sessionId"] });
    harness.pay_unheard(session).await;
    (dana, booking)
}

#[tokio::test]
async fn within_five_seconds_our_record_is_the_answer() {
    let harness = TestApp::new().await;
    let (dana, booking) = paid_after_a_question(&harness).await;

    harness.advance(TimeDelta::milliseconds(4_999)).await;
    let soon = verify(&dana, &booking, 0).await;
    let asked_soon = asked(&harness, &booking).await;
    harness.advance(TimeDelta::milliseconds(1)).await;
    let later = verify(&dana, &booking, 0).await;

    assert_eq!((&soon.body["status"], asked_soon), (&json!("pending"), 1));
    assert_eq!(later.body["status"], "confirmed", "{later:?}");
    assert_eq!(asked(&harness, &booking).await, 2);
    harness.reconcile().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_at_once_ask_once() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let session = json!({ "sessionId": booking["checkout"]["sessionId"] });
    let servers = [harness.url.clone(), harness.second_server().await];
    let delay = json!({
        "route": "GET /v1/checkout/sessions", "kind": "delay", "seconds": 0.2, "times": 9,
    });
    harness.knob("faults", delay).await;

    for round in 1..=5 {
        let tabs = (0..8).map(|tab| {
            let path = "/api/payments/verify?wait=0";
            dana.post_to(&servers[tab % 2], path, &session)
        });
        let answers = join_all(tabs).await;

        let is_pending = |status: u16, body: &Value| status == 200 && body["status"] == "pending";
        assert!(
            answers
                .iter()
                .all(|answer| is_pending(answer.status, &answer.body)),
            "{answers:?}"
        );
        assert_eq!(asked(&harness, &booking).await, round);
        harness.advance(TimeDelta::seconds(5)).await;
    }
}

#[tokio::test]
async fn whoever_waits_asks_again_when_they_may() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;

    let waiting = verify(&dana, &booking, 25);
    let time_passes = async {
        while !is_answered(&harness, &booking).await {
            tokio::task::yield_now().await;
        }
        let session = json!({ "session": booking["checkout"]["sessionId"] });
        harness.pay_unheard(session).await;
        harness.advance(TimeDelta::seconds(5)).await;
        // They look again whenever the booking may have changed.
        let id = booking["id"].as_str().unwrap().parse().unwrap();
        while asked(&harness, &booking).await < 2 {
            harness.app.feed.publish(id);
            tokio::task::yield_now().await;
        }
    };
    let both = async { tokio::join!(waiting, time_passes) };
    let (verified, ()) = timeout(SOON, both).await.unwrap();

    assert_eq!(verified.body["status"], "confirmed", "{verified:?}");
    harness.reconcile().await;
}

/// One process has seen that Stripe has had enough, and the other has not.
#[tokio::test]
async fn a_question_that_was_not_sent_keeps_nobody_else_from_asking() {
    let harness = TestApp::new().await;
    let (dana, booking) = paid_unheard(&harness).await;
    let other = harness.second_server().await;
    let enough = json!({
        "route": "POST /v1/checkout/sessions$", "kind": "status", "status": 429, "seconds": 60,
    });
    harness.knob("faults", enough).await;
    let emil = harness.customer("emil");
    let unanswered = emil.book(&harness.show().await, &["A2"]).await;
    unanswered.refused(503, "payment_provider_unavailable");

    let unsent = verify(&dana, &booking, 0).await;
    let unasked = asked(&harness, &booking).await;
    let session = json!({ "sessionId": booking["checkout"]["sessionId"] });
    let path = "/api/payments/verify?wait=0";
    let sent = dana.post_to(&other, path, &session).await;

    assert_eq!((&unsent.body["status"], unasked), (&json!("pending"), 0));
    assert_eq!(sent.body["status"], "confirmed", "{sent:?}");
    harness.reconcile().await;
}

/// Whether Stripe has answered how the session of a booking stands.
async fn is_answered(harness: &TestApp, booking: &Value) -> bool {
    let path = format!(
        "/v1/checkout/sessions/{}",
        booking["checkout"]["sessionId"].as_str().unwrap()
    );
    let requests = harness.stripe_requests().await;
    let is_answer =
        |asked: &Value| asked["method"] == "GET" && asked["path"] == path && asked["status"] == 200;
    requests.iter().any(is_answer)
}

#[tokio::test]
async fn a_question_that_a_clock_which_was_ahead_has_noted_keeps_nobody_from_asking() {
    let harness = TestApp::new().await;
    let (dana, booking) = paid_unheard(&harness).await;
    let ahead = harness.now() + TimeDelta::hours(1);
    sqlx::query("update checkout_attempts set asked_at = $1")
        .bind(ahead)
        .execute(harness.db())
        .await
        .unwrap();

    let verified = verify(&dana, &booking, 0).await;

    assert_eq!(verified.body["status"], "confirmed", "{verified:?}");
    harness.reconcile().await;
}

#[tokio::test]
async fn an_admin_asks_at_once_and_saves_the_buyers_question() {
    let harness = TestApp::new().await;
    let (dana, booking) = paid_after_a_question(&harness).await;
    let other = dana.booked(&harness.show().await, &["A2"]).await;
    let ask = async |booking: &Value| {
        let path = format!(
            "/api/admin/bookings/{}/verify",
            booking["id"].as_str().unwrap()
        );
        harness.admin().post(&path, json!({})).await.body["status"].clone()
    };

    let of_paid = ask(&booking).await;
    let of_other = ask(&other).await;
    let buyers = verify(&dana, &other, 0).await;

    assert_eq!((of_paid, of_other), (json!("confirmed"), json!("pending")));
    assert_eq!(buyers.body["status"], "pending");
    assert_eq!(asked(&harness, &other).await, 1);
    harness.reconcile().await;
}

#[tokio::test]
async fn seats_are_not_freed_by_our_record() {
    let harness = TestApp::new().await;
    let (dana, booking) = paid_after_a_question(&harness).await;

    // Stripe is asked to close the page, and then why it is not open, whoever has just asked.
    let path = format!("/api/bookings/{}/cancel", booking["id"].as_str().unwrap());
    let cancelled = dana.post(&path, json!({})).await;

    cancelled.refused(409, "already_paid");
    assert_eq!(asked(&harness, &booking).await, 2);
    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    harness.reconcile().await;
}
