//! The process is killed between two steps of its work, and another goes on: nothing is lost, and
//! nothing is done twice.
//!
//! A process is held at a step by Stripe, which does not answer, or by a lock that the test has
//! taken. After the kill the lock is let go: what the database does for the dead is part of the
//! test.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};
use tokio::task::JoinHandle;

use super::harness::{Harness, PATIENCE, Server};
use super::world::Buyer;

pub(crate) const SESSIONS: &str = "/v1/checkout/sessions";
pub(crate) const BOOKING: &str = "select string_agg(status::text, ',' order by id) from bookings";
pub(crate) const CLAIMS: &str = "select count(*) from seat_claims";
pub(crate) const SESSION: &str = "select stripe_session_id from checkout_attempts";
const PAYMENTS: &str = "select count(*) from payments";

type Lost = JoinHandle<reqwest::Result<(u16, Value)>>;

/// A show is on sale, and Dana wants one of its seats.
pub(crate) struct Scene {
    pub(crate) harness: Harness,
    dana: Buyer,
    wish: Value,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let harness = Harness::new().await;
        assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
        let free = "select show_id::text, label from show_seats join shows on shows.id = show_id
                    where sellable and status = 'on_sale' order by show_id, position limit 1";
        let (show, seat): (String, String) = sqlx::query_as(free)
            .fetch_one(harness.database.pool())
            .await
            .unwrap();
        let wish = json!({ "kind": "show", "showId": show, "seats": [seat] });
        Self {
            dana: Buyer::new(&harness, "dana"),
            wish,
            harness,
        }
    }

    /// Dana asks for the seat; she may never hear.
    pub(crate) fn ask(&self, server: &Server) -> Lost {
        tokio::spawn(
            self.dana
                .post(server, "/api/bookings", &self.wish, Some("one-wish")),
        )
    }

    pub(crate) async fn booked(&self, server: &Server) -> Value {
        let (status, booking) = self
            .dana
            .post(server, "/api/bookings", &self.wish, None)
            .await
            .unwrap();
        assert_eq!(status, 201, "{booking}");
        booking
    }

    /// What Dana posts about her booking.
    fn act(&self, server: &Server, booking: &Value, what: &str) -> Lost {
        let path = format!("/api/bookings/{}/{what}", booking["id"].as_str().unwrap());
        tokio::spawn(self.dana.post(server, &path, &json!({}), None))
    }

    /// Sooner than it would be so: the lease of a dead request is over.
    async fn end_lease(&self) {
        self.harness
            .sql("update idempotency_keys set locked_until = now()")
            .await;
    }

    /// Sooner than it would be so: the hold has ended, and whatever is to be done is due.
    async fn end_hold(&self) {
        let ends = "update bookings set hold_expires_at = now() where status = 'pending'";
        self.harness
            .sql(&format!("{ends}; update jobs set run_at = now()"))
            .await;
    }

    pub(crate) async fn text(&self, query: &'static str) -> String {
        sqlx::query_scalar(query)
            .fetch_one(self.harness.database.pool())
            .await
            .unwrap()
    }

    /// Kills the process while it waits for this lock, in a statement like this one, and lets the
    /// lock go.
    pub(crate) async fn kill_waiting(
        &self,
        server: Server,
        lock: Transaction<'static, Postgres>,
        statement: &str,
    ) {
        self.harness.until_waiting(statement).await;
        server.kill();
        lock.rollback().await.unwrap();
        self.harness.until_forgotten().await;
    }

    /// Proves that the seat is free, once: it is sold once more, and not twice.
    pub(crate) async fn seat_is_free(&self, server: &Server) {
        self.harness.finds(CLAIMS, "0").await;
        self.booked(server).await;
        let emil = Buyer::new(&self.harness, "emil");
        let (status, problem) = emil
            .post(server, "/api/bookings", &self.wish, None)
            .await
            .unwrap();
        assert_eq!(
            (status, &problem["code"]),
            (409, &json!("seat_unavailable")),
            "{problem}"
        );
        self.harness.finds(CLAIMS, "1").await;
        self.harness.reconcile().await;
    }

    /// Dana pays, and Stripe tells of it twice: one payment.
    pub(crate) async fn pays(&self, server: &Server, session_id: &str) {
        let event = self.harness.pay(session_id).await;
        for outcome in ["processed", "duplicate"] {
            let (status, receipt) = server.deliver(&event).await.unwrap();
            assert_eq!(
                (status, &receipt["outcome"]),
                (200, &json!(outcome)),
                "{receipt}"
            );
        }
        self.is_paid().await;
    }

    pub(crate) async fn is_paid(&self) {
        self.harness.finds(BOOKING, "confirmed").await;
        self.harness.finds(CLAIMS, "1").await;
        self.harness.finds(PAYMENTS, "1").await;
        assert_eq!(self.harness.at_stripe("/v1/charges").await, 1);
        self.harness.reconcile().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_died_while_stripe_was_asked_is_gone_on_with() {
    for executed in [false, true] {
        let scene = Scene::new().await;
        let (harness, first) = (&scene.harness, scene.harness.serve(&[]));
        harness
            .fault(&format!(
                r#"{{ "route": "POST {SESSIONS}", "kind": "hang", "after": {executed} }}"#
            ))
            .await;
        let lost = scene.ask(&first);
        harness.until_asked("POST", SESSIONS).await;
        harness
            .until_at_stripe(SESSIONS, usize::from(executed))
            .await;

        first.kill();
        assert!(lost.await.unwrap().is_err());
        let second = harness.serve(&[]);

        let (early, problem) = scene.ask(&second).await.unwrap().unwrap();
        assert_eq!(
            (early, &problem["code"]),
            (409, &json!("idempotency_in_progress")),
            "{problem}"
        );
        scene.end_lease().await;
        let (status, booking) = scene.ask(&second).await.unwrap().unwrap();
        assert_eq!(status, 201, "{booking}");
        assert!(booking["checkout"]["url"].is_string(), "{booking}");
        let (_, again) = scene.ask(&second).await.unwrap().unwrap();
        assert_eq!(again, booking);
        harness.finds(BOOKING, "pending").await;
        assert_eq!(harness.at_stripe(SESSIONS).await, 1, "executed: {executed}");
        scene
            .pays(&second, booking["checkout"]["sessionId"].as_str().unwrap())
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_comes_back_without_his_key_and_gets_the_session_that_stripe_had_made() {
    let scene = Scene::new().await;
    let (harness, first) = (&scene.harness, scene.harness.serve(&[]));
    harness
        .fault(&format!(
            r#"{{ "route": "POST {SESSIONS}", "kind": "hang", "after": true }}"#
        ))
        .await;
    let lost = scene.ask(&first);
    harness.until_at_stripe(SESSIONS, 1).await;

    first.kill();
    assert!(lost.await.unwrap().is_err());
    let second = harness.serve(&[]);

    let booking = json!({ "id": scene.text("select id::text from bookings").await });
    let (status, reopened) = scene
        .act(&second, &booking, "checkout")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status, 200, "{reopened}");
    let made = harness.ask_stripe(SESSIONS).await;
    assert_eq!(made["data"].as_array().unwrap().len(), 1);
    assert_eq!(reopened["checkout"]["sessionId"], made["data"][0]["id"]);
    assert_eq!(reopened["checkout"]["url"], made["data"][0]["url"]);
    scene.pays(&second, &scene.text(SESSION).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_stored_for_nobody_is_given_to_the_buyer_who_repeats() {
    let scene = Scene::new().await;
    let (harness, first) = (&scene.harness, scene.harness.serve(&[]));
    harness
        .fault(&format!(
            r#"{{ "route": "POST {SESSIONS}", "kind": "delay", "seconds": 1, "after": true }}"#
        ))
        .await;
    let lost = scene.ask(&first);
    harness.until_at_stripe(SESSIONS, 1).await;

    let lock = harness
        .lock("select from checkout_attempts for update")
        .await;
    scene
        .kill_waiting(first, lock, "%set status = _open_%")
        .await;
    assert!(lost.await.unwrap().is_err());
    harness
        .finds("select status from checkout_attempts", "open")
        .await;
    let second = harness.serve(&[]);

    scene.end_lease().await;
    let (status, booking) = scene.ask(&second).await.unwrap().unwrap();
    assert_eq!(status, 201, "{booking}");
    assert_eq!(harness.at_stripe(SESSIONS).await, 1);
    assert_eq!(booking["checkout"]["sessionId"], scene.text(SESSION).await);
    scene.pays(&second, &scene.text(SESSION).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_that_nobody_comes_back_for_is_fenced_and_freed() {
    for executed in [false, true] {
        let scene = Scene::new().await;
        let (harness, first) = (&scene.harness, scene.harness.serve(&[]));
        harness
            .fault(&format!(
                r#"{{ "route": "POST {SESSIONS}", "kind": "hang", "after": {executed} }}"#
            ))
            .await;
        let lost = scene.ask(&first);
        harness.until_asked("POST", SESSIONS).await;
        harness
            .until_at_stripe(SESSIONS, usize::from(executed))
            .await;

        first.kill();
        assert!(lost.await.unwrap().is_err());
        scene.end_hold().await;
        let second = harness.serve(&[]);

        harness.until(BOOKING, "expired", PATIENCE).await;
        assert_eq!(harness.at_stripe(SESSIONS).await, 1);
        assert_eq!(
            harness
                .at_stripe(&format!("{SESSIONS}?status=expired"))
                .await,
            1
        );
        scene.seat_is_free(&second).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hold_that_was_not_committed_nothing_remains() {
    let scene = Scene::new().await;
    let harness = &scene.harness;
    for step in [
        "lock table idempotency_keys in exclusive mode",
        "lock table seat_claims in exclusive mode",
        "lock table jobs in exclusive mode",
    ] {
        let server = harness.serve(&[]);
        let lock = harness.lock(step).await;
        let lost = scene.ask(&server);

        scene.kill_waiting(server, lock, "%").await;

        assert!(lost.await.unwrap().is_err());
        for what in [
            "bookings",
            "checkout_attempts",
            "seat_claims",
            "idempotency_keys",
        ] {
            harness
                .finds(&format!("select count(*) from {what}"), "0")
                .await;
        }
        harness
            .finds("select count(*) from jobs where key like 'end-hold%'", "0")
            .await;
        assert_eq!(harness.asked("POST", SESSIONS).await, 0, "{step}");
    }

    let server = harness.serve(&[]);
    let (status, booking) = scene.ask(&server).await.unwrap().unwrap();
    assert_eq!(status, 201, "{booking}");
    scene
        .pays(&server, booking["checkout"]["sessionId"].as_str().unwrap())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_was_not_committed_is_processed_when_it_comes_again() {
    let scene = Scene::new().await;
    let harness = &scene.harness;
    let mut server = harness.serve(&[]);
    let booking = scene.booked(&server).await;
    let event = harness
        .pay(booking["checkout"]["sessionId"].as_str().unwrap())
        .await;
    for step in [
        "lock table payment_events in exclusive mode",
        "select from bookings for update",
        "lock table ledger_transfers in exclusive mode",
    ] {
        let lock = harness.lock(step).await;
        let lost = tokio::spawn(server.deliver(&event));

        scene.kill_waiting(server, lock, "%").await;

        assert!(lost.await.unwrap().is_err());
        harness.finds(BOOKING, "pending").await;
        for what in ["payment_events", "payments", "ledger_transfers"] {
            harness
                .finds(&format!("select count(*) from {what}"), "0")
                .await;
        }
        server = harness.serve(&[]);
    }

    for outcome in ["processed", "duplicate"] {
        let (status, receipt) = server.deliver(&event).await.unwrap();
        assert_eq!(
            (status, &receipt["outcome"]),
            (200, &json!(outcome)),
            "{receipt}"
        );
    }
    scene.is_paid().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_that_died_at_the_fence_is_finished_and_the_seat_is_free_once() {
    for executed in [false, true] {
        let scene = Scene::new().await;
        let (harness, first) = (&scene.harness, scene.harness.serve(&[]));
        let booking = scene.booked(&first).await;
        harness
            .fault(&format!(
                r#"{{ "route": "POST {SESSIONS}/*/expire", "kind": "hang", "after": {executed} }}"#
            ))
            .await;
        let lost = scene.act(&first, &booking, "cancel");
        harness.until_asked("POST", "/expire").await;
        harness
            .until_at_stripe(&format!("{SESSIONS}?status=expired"), usize::from(executed))
            .await;

        first.kill();
        assert!(lost.await.unwrap().is_err());
        harness.finds(CLAIMS, "1").await;
        let second = harness.serve(&[]);

        harness.until(BOOKING, "cancelled", PATIENCE).await;
        assert_eq!(
            harness
                .at_stripe(&format!("{SESSIONS}?status=expired"))
                .await,
            1
        );
        scene.seat_is_free(&second).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_that_died_between_stripes_word_and_its_commit_is_finished() {
    let scene = Scene::new().await;
    let (harness, first) = (&scene.harness, scene.harness.serve(&[]));
    let booking = scene.booked(&first).await;

    let lock = harness.lock("select from seat_claims for update").await;
    let lost = scene.act(&first, &booking, "cancel");
    scene
        .kill_waiting(first, lock, "%delete from seat_claims%")
        .await;

    assert!(lost.await.unwrap().is_err());
    harness.finds(BOOKING, "pending").await;
    assert_eq!(
        harness
            .at_stripe(&format!("{SESSIONS}?status=expired"))
            .await,
        1
    );
    let second = harness.serve(&[]);
    harness.until(BOOKING, "cancelled", PATIENCE).await;
    scene.seat_is_free(&second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_that_is_paid_while_its_cancellation_is_dead_is_confirmed() {
    let scene = Scene::new().await;
    let (harness, first) = (&scene.harness, scene.harness.serve(&[]));
    let booking = scene.booked(&first).await;
    harness
        .fault(&format!(
            r#"{{ "route": "POST {SESSIONS}/*/expire", "kind": "hang" }}"#
        ))
        .await;
    let lost = scene.act(&first, &booking, "cancel");
    harness.until_asked("POST", "/expire").await;

    first.kill();
    assert!(lost.await.unwrap().is_err());
    let event = harness
        .pay(booking["checkout"]["sessionId"].as_str().unwrap())
        .await;
    let second = harness.serve(&[]);

    harness.until(BOOKING, "confirmed", PATIENCE).await;
    scene.is_paid().await;
    assert_eq!(
        second.deliver(&event).await.unwrap().1["outcome"],
        "processed"
    );
    scene.is_paid().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_under_way_is_finished_before_the_process_stops() {
    let scene = Scene::new().await;
    let (harness, mut server) = (
        &scene.harness,
        scene.harness.serve(&[("HOLD_SECONDS", "1")]),
    );
    harness
        .fault(&format!(
            r#"{{ "route": "POST {SESSIONS}/*/expire", "kind": "delay", "seconds": 1.5 }}"#
        ))
        .await;
    scene.booked(&server).await;
    harness.until_asked("POST", "/expire").await;

    server.signal("TERM");

    assert_eq!(server.ended(Duration::from_secs(5)).code(), Some(0));
    harness.finds(BOOKING, "expired").await;
    harness
        .finds("select count(*) from jobs where key like 'end-hold%'", "0")
        .await;
    scene.seat_is_free(&harness.serve(&[])).await;
}
