//! Clocks that are wrong: who is told, and what is left of it once they are right again.

use chrono::TimeDelta;
use holdfast::domain::job::Job;
use holdfast::jobs;
use serde_json::{Value, json};

use crate::delayed::SEPA;
use crate::harness::{Answer, TestApp};

/// How far a clock may be off without a word, and at all.
const NOTICED: TimeDelta = TimeDelta::seconds(31);
const TOO_LARGE: TimeDelta = TimeDelta::seconds(241);
/// By how much a clock jumps.
const JUMP: TimeDelta = TimeDelta::hours(1);
const HOLD: TimeDelta = TimeDelta::minutes(10);

const HELD_UNTIL: &str = "select to_char(hold_expires_at, 'HH24:MI:SS') from bookings";
const DUE: &str =
    "select string_agg(kind || ' ' || to_char(run_at, 'HH24:MI:SS'), ', ' order by kind) from jobs";

impl TestApp {
    async fn sweep(&self) {
        jobs::perform(&self.app, &Job::Sweep).await.unwrap();
    }

    /// Something goes wrong with the next request to Stripe on this route.
    async fn stripe_fails(&self, route: &str) {
        let fault = json!({
            "route": route, "kind": "status", "status": 500, "shouldRetry": false,
        });
        self.knob("faults", fault).await;
    }
}

#[tokio::test]
async fn a_clock_that_is_far_from_that_of_postgres_makes_unready() {
    let harness = TestApp::new().await;

    for (ahead, sentence) in [
        (-NOTICED, None),
        (NOTICED, None),
        (
            -TOO_LARGE,
            Some("our clock is 241 s ahead of that of Postgres"),
        ),
        (
            TOO_LARGE,
            Some("our clock is 241 s behind that of Postgres"),
        ),
        (TimeDelta::zero(), None),
    ] {
        // That it was ready is known for a second.
        harness.jump(TimeDelta::seconds(1));
        harness.set_database_clock(harness.now() + ahead).await;
        let ready = harness.get("/ready").await;
        match sentence {
            None => assert_eq!(ready.status, 200, "{ready:?}"),
            Some(sentence) => is_unready(&ready, sentence),
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_far_from_that_of_stripe_makes_unready() {
    let harness = TestApp::new().await;
    assert_eq!(harness.get("/ready").await.status, 200);
    harness.advance(TimeDelta::seconds(1)).await;

    let theirs = json!({ "now": harness.now() - TOO_LARGE });
    harness.knob("clock", theirs).await;
    jobs::ask_stripe_for_time(&harness.app).await;
    let far = harness.get("/ready").await;
    // That Stripe does not answer says nothing of the clocks.
    let away = json!({ "route": "GET /v1/balance", "kind": "reset" });
    harness.knob("faults", away).await;
    jobs::ask_stripe_for_time(&harness.app).await;
    let unknown = harness.get("/ready").await;
    let theirs = json!({ "now": harness.now() - NOTICED });
    harness.knob("clock", theirs).await;
    let skew = jobs::ask_stripe_for_time(&harness.app).await.unwrap();
    let near = harness.get("/ready").await;

    is_unready(&far, "our clock is 241 s ahead of that of Stripe");
    assert_eq!(unknown.status, 200, "{unknown:?}");
    assert!(skew.is_noticeable());
    assert_eq!(near.status, 200, "{near:?}");
}

fn is_unready(answer: &Answer, sentence: &str) {
    answer.refused(503, "clock_wrong");
    let missing = answer.body["missing"][0].as_str().unwrap();
    assert!(missing.starts_with(sentence), "{missing}");
}

#[tokio::test]
async fn a_hold_that_was_made_ahead_of_time_lasts_no_longer_than_any_other() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    harness.jump(JUMP);
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    assert_eq!(harness.sql(HELD_UNTIL).await, "13:10:00");

    harness.jump(-JUMP);
    harness.sweep().await;

    assert_eq!(harness.sql(HELD_UNTIL).await, "12:10:00");
    assert_eq!(harness.sql(DUE).await, "endHold 12:10:00");
    let event = "select payload from booking_events where kind = 'holdShortened'";
    let event: Value = serde_json::from_str(&harness.sql(event).await).unwrap();
    assert_eq!(event["until"], "2026-11-21T12:10:00Z");
    harness.advance(HOLD).await;
    assert_eq!(harness.run_jobs().await, 1);
    assert_eq!(dana.booking(&booking).await["status"], "expired");
    harness.customer("erin").booked(&show, &["A2"]).await;
    harness.reconcile().await;
}

/// A process that is behind would think that the holds of others are too long.
#[tokio::test]
async fn a_process_that_is_behind_shortens_nothing() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    harness.customer("dana").booked(&show, &["A2"]).await;

    for by in [NOTICED, TOO_LARGE, JUMP] {
        harness.jump(-by);
        harness.sweep().await;
        harness.jump(by);

        assert_eq!(harness.sql(HELD_UNTIL).await, "12:10:00");
        assert_eq!(harness.sql(DUE).await, "endHold 12:10:00");
    }
}

/// It would end holds before their time.
#[tokio::test]
async fn a_process_that_is_ahead_of_time_sweeps_nothing() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    harness.customer("dana").booked(&show, &["A2"]).await;
    let lost = sqlx::query("delete from jobs").execute(harness.db());
    assert_eq!(lost.await.unwrap().rows_affected(), 1);

    harness.jump(JUMP);
    harness.sweep().await;
    let ahead = harness.sql(DUE).await;
    harness.set_database_clock(harness.now()).await;
    harness.sweep().await;

    assert_eq!(ahead, "");
    assert_eq!(harness.sql(DUE).await, "endHold 13:00:00");
}

#[tokio::test]
async fn what_is_ahead_by_less_than_clocks_may_be_is_left_alone() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    harness.jump(TimeDelta::seconds(30));
    harness.customer("dana").booked(&show, &["A2"]).await;
    harness.jump(-TimeDelta::seconds(30));

    harness.sweep().await;

    assert_eq!(harness.sql(HELD_UNTIL).await, "12:10:30");
}

#[tokio::test]
async fn a_wait_for_a_delayed_payment_is_shortened_too() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let session = &booking["checkout"]["sessionId"];
    harness.knob("deliveries", json!({ "drop": true })).await;
    let paid = json!({ "session": session, "card": SEPA });
    harness.knob("pay", paid).await;
    harness.simulator.settled().await;
    harness.jump(JUMP);
    harness.run_jobs().await;
    assert_eq!(
        harness.sql("select status from bookings").await,
        "processing"
    );
    let until = "select to_char(hold_expires_at, 'MM-DD HH24:MI:SS') from bookings";
    assert_eq!(harness.sql(until).await, "12-05 13:00:00");

    harness.jump(-JUMP);
    harness.sweep().await;

    assert_eq!(harness.sql(until).await, "12-05 12:00:00");
    let due = "select to_char(run_at, 'MM-DD HH24:MI:SS') from jobs where kind = 'endHold'";
    assert_eq!(harness.sql(due).await, "12-05 12:00:00");
}

/// A payment page that Stripe did not give, and a cancellation that it did not confirm.
#[tokio::test]
async fn jobs_that_were_put_off_ahead_of_time_are_brought_forward() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let cancelled = harness.customer("dana").booked(&show, &["A2"]).await;
    harness.jump(JUMP);
    harness.stripe_fails("POST /v1/checkout/sessions$").await;
    harness
        .stripe_fails("POST /v1/checkout/sessions/*/expire")
        .await;
    let unanswered = harness.customer("erin").book(&show, &["A3"]).await;
    let path = format!("/api/bookings/{}/cancel", cancelled["id"].as_str().unwrap());
    let unsure = harness.customer("dana").post(&path, json!({})).await;
    unanswered.refused(503, "payment_provider_unavailable");
    unsure.refused(503, "payment_provider_unavailable");

    harness.jump(-JUMP);
    harness.sweep().await;
    harness.advance(TimeDelta::minutes(1)).await;
    harness.run_jobs().await;

    let booking = harness.customer("dana").booking(&cancelled).await;
    assert_eq!(booking["status"], "cancelled");
    let bookings = harness.customer("erin").get("/api/bookings").await;
    let url = &bookings.body["items"][0]["checkout"]["url"];
    assert!(url.is_string(), "{bookings:?}");
    harness.reconcile().await;
}

#[tokio::test]
async fn an_idempotency_key_is_not_locked_until_a_time_that_was_wrong() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let request = json!({ "kind": "show", "showId": show, "seats": ["A2"] });
    let post = async || {
        let dana = harness.customer("dana");
        dana.post_keyed("/api/bookings", request.clone(), "k").await
    };
    harness.jump(JUMP);
    harness.stripe_fails("POST /v1/checkout/sessions$").await;
    post().await.refused(503, "payment_provider_unavailable");

    harness.jump(-JUMP);
    let answer = post().await;

    assert_eq!(answer.status, 201, "{answer:?}");
}

/// As a process leaves it that has died before it made a booking.
#[tokio::test]
async fn an_idempotency_key_without_a_booking_is_not_locked_until_then_either() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let request = json!({ "kind": "show", "showId": show, "seats": ["A1"] });
    let blocked = dana.post_keyed("/api/bookings", request.clone(), "k").await;
    let code = blocked.body["code"].as_str().unwrap();
    let died = "update idempotency_keys
                set response_status = null, response_body = null, locked_until = $1";
    let died = sqlx::query(died).bind(harness.now() + JUMP);
    died.execute(harness.db()).await.unwrap();

    let again = dana.post_keyed("/api/bookings", request, "k").await;

    again.refused(blocked.status, code);
}

#[tokio::test]
async fn the_issuers_keys_are_not_kept_until_a_time_that_was_wrong() {
    let harness = TestApp::new().await;
    harness.jump(JUMP);
    let before = harness.customer("dana").get("/api/bookings").await;
    harness.jump(-JUMP);
    harness.issuer.rotate();

    let after = harness.customer("dana").get("/api/bookings").await;

    assert_eq!((before.status, after.status), (200, 200), "{after:?}");
}

#[tokio::test]
async fn a_second_look_at_a_session_does_not_wait_for_a_time_that_was_wrong() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    harness.customer("dana").booked(&show, &["A2"]).await;
    let unknown = json!({
        "route": "* /v1/checkout/sessions/*", "times": 50,
        "kind": "status", "status": 404, "code": "resource_missing",
    });
    harness.knob("faults", unknown).await;
    harness.knob("deliveries", json!({ "drop": true })).await;
    harness.jump(JUMP);
    harness.run_jobs().await;
    let noted = "select to_char(unexplained_since, 'HH24:MI') from checkout_attempts";
    assert_eq!(harness.sql(noted).await, "13:00");

    harness.jump(-JUMP);
    for minutes in [41, 1] {
        harness.advance(TimeDelta::minutes(minutes)).await;
        harness.run_jobs().await;
    }

    assert_eq!(harness.sql("select status from bookings").await, "expired");
    harness.reconcile().await;
}

/// Another process may run with a larger `HOLD_SECONDS`, as during a deployment that lowers it.
#[tokio::test]
async fn a_longer_hold_that_was_made_by_a_right_clock_is_left_alone() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let longer = "update bookings set hold_expires_at = hold_expires_at + interval '1 hour'";
    sqlx::query(longer).execute(harness.db()).await.unwrap();
    let held = dana.booking(&booking).await["holdExpiresAt"].clone();

    harness.sweep().await;

    assert_eq!(dana.booking(&booking).await["holdExpiresAt"], held);
}
