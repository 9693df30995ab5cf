//! What is under way when a process dies: how it begins, how it is gone on with, and how it must
//! end.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::crash_scenario::SESSIONS;
use super::harness::{Harness, PATIENCE, Server};
use super::world::Buyer;
use crate::invariants::INVARIANTS;

const BOOKINGS: &str = "from bookings where show_id = $show and $seat = any (seats)";
const CLAIMS: &str = "select count(*) from seat_claims where show_id = $show and label = $seat
                      and booking_id in (select id from bookings where live)";
const PAYMENTS: &str = "select string_agg(disposition::text, ',') from payments
                        where booking_id in (select id from bookings
                                             where show_id = $show and $seat = any (seats))";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Seats are booked under an idempotency key, and Stripe says that it will never make the
    /// session.
    BookInVain,
    /// … and Stripe has stored a failure under the key of the attempt.
    BookAfterStoredFailure,
    /// Stripe sends the event of a payment.
    Pay,
    /// The background settles an event that came before its attempt.
    SettleDeferred,
    /// A buyer has come back before the event of their payment.
    Verify,
    /// Stripe sends the event of a payment whose booking had ended, and whose seat is somebody
    /// else's.
    PayTooLate,
}

/// A flow, and a seat of its own to run it for.
pub(crate) struct FlowScenario<'a> {
    pub(crate) flow: Flow,
    pub(crate) harness: &'a Harness,
    dana: Buyer,
    show: String,
    seat: String,
}

/// What there is before the flow begins; null where the flow needs none.
#[derive(Default)]
pub(crate) struct Prepared {
    booking: Value,
    event: Value,
}

/// The status and the body that a process answered with; nothing if it died.
pub(crate) type Outcome = Option<(u16, Value)>;

impl<'a> FlowScenario<'a> {
    pub(crate) async fn new(harness: &'a Harness, flow: Flow) -> Self {
        let free = "select s.show_id::text, s.label
                    from show_seats s join shows on shows.id = s.show_id
                    where s.sellable and status = 'on_sale'
                      and not exists (select from bookings b
                                      where b.show_id = s.show_id and s.label = any (b.seats))
                    order by s.show_id, position limit 1";
        let (show, seat) = sqlx::query_as(free)
            .fetch_one(harness.database.pool())
            .await
            .unwrap();
        Self {
            flow,
            harness,
            // Of each seat another Dana: a user may hold one booking of a show.
            dana: Buyer::new(harness, &format!("dana_{seat}")),
            show,
            seat,
        }
    }

    pub(crate) async fn prepare(&self, server: &Server) -> Prepared {
        match self.flow {
            Flow::BookInVain => {
                self.fault_sessions(json!({ "status": 400, "times": 2 }))
                    .await;
                Prepared::default()
            }
            Flow::BookAfterStoredFailure => {
                self.fault_sessions(json!({ "status": 500, "stored": true }))
                    .await;
                Prepared::default()
            }
            Flow::Pay | Flow::Verify => self.pay(server).await,
            Flow::SettleDeferred => {
                let prepared = self.pay(server).await;
                self.defer(server, &prepared).await;
                prepared
            }
            Flow::PayTooLate => {
                let prepared = self.pay(server).await;
                self.expire(server, &prepared).await;
                self.sell_to_another(server).await;
                prepared
            }
        }
    }

    /// Does it, or does it again.
    pub(crate) async fn run(&self, server: &Server, prepared: &Prepared) -> Outcome {
        match self.flow {
            Flow::BookInVain | Flow::BookAfterStoredFailure => {
                let key = format!("key-{}-{}", self.show, self.seat);
                self.dana
                    .post(server, "/api/bookings", &self.request(), Some(&key))
                    .await
                    .ok()
            }
            Flow::Pay | Flow::PayTooLate => server.deliver(&prepared.event).await.ok(),
            Flow::Verify => {
                let session = json!({ "sessionId": prepared.booking["checkout"]["sessionId"] });
                self.dana
                    .post(server, "/api/payments/verify?wait=0", &session, None)
                    .await
                    .ok()
            }
            Flow::SettleDeferred => {
                // The attempt is there at last, which wakes the job; and nobody but the job settles
                // the event.
                self.move_attempt("aside", "checkout_attempts", &prepared.booking)
                    .await;
                let id = prepared.event["id"].as_str().unwrap();
                let unsettled = format!("select count(*) from jobs where key = 'settle-{id}'");
                self.harness.until(&unsettled, "0", PATIENCE).await;
                Some((200, Value::Null))
            }
        }
    }

    pub(crate) fn is_done(&self, outcome: &Outcome) -> bool {
        let Some((status, body)) = outcome else {
            return false;
        };
        match self.flow {
            Flow::BookAfterStoredFailure => *status == 201 && body["checkout"]["url"].is_string(),
            Flow::BookInVain => *status == 502,
            Flow::Pay | Flow::PayTooLate | Flow::SettleDeferred => *status == 200,
            Flow::Verify => *status == 200 && body["status"] == "confirmed",
        }
    }

    /// Sooner than it would be so: what the dead held is free.
    pub(crate) async fn take_over(&self) {
        self.harness
            .sql(
                "update idempotency_keys set locked_until = now() where response_status is null;
                 update jobs
                 set locked_at = null, locked_by = null, run_at = now()
                 where key not like 'end-hold%';
                 update checkout_attempts set asked_at = null",
            )
            .await;
    }

    /// The end that every run must come to, however often the process has died.
    pub(crate) async fn check(&self, server: &Server, prepared: &Prepared) {
        match self.flow {
            Flow::BookAfterStoredFailure => {
                let (_, booking) = self.run(server, prepared).await.unwrap();
                let event = self
                    .harness
                    .pay(booking["checkout"]["sessionId"].as_str().unwrap())
                    .await;
                assert_eq!(
                    server.deliver(&event).await.unwrap().1["outcome"],
                    "processed"
                );
                self.is_sold().await;
            }
            Flow::BookInVain => {
                self.finds(
                    &format!("select string_agg(distinct status::text, ',') {BOOKINGS}"),
                    "failed",
                )
                .await;
                self.finds(CLAIMS, "0").await;
                self.spend_faults().await;
            }
            Flow::Pay | Flow::Verify | Flow::SettleDeferred => {
                assert_eq!(server.deliver(&prepared.event).await.unwrap().0, 200);
                self.is_sold().await;
            }
            Flow::PayTooLate => self.is_refunded(prepared).await,
        }
        for (_, query) in INVARIANTS {
            self.harness.until(query, "0", PATIENCE).await;
        }
        self.has_one_session_per_attempt().await;
    }

    /// The next sessions are refused so.
    async fn fault_sessions(&self, fault: Value) {
        let mut fault = fault;
        fault["route"] = json!(format!("POST {SESSIONS}$"));
        fault["kind"] = json!("status");
        self.harness.fault(&fault.to_string()).await;
    }

    /// Dana books and pays; no event is delivered.
    async fn pay(&self, server: &Server) -> Prepared {
        let (status, booking) = self
            .dana
            .post(server, "/api/bookings", &self.request(), None)
            .await
            .unwrap();
        assert_eq!(status, 201, "{booking}");
        let event = self
            .harness
            .pay(booking["checkout"]["sessionId"].as_str().unwrap())
            .await;
        Prepared { booking, event }
    }

    /// The event comes while its attempt is away.
    async fn defer(&self, server: &Server, prepared: &Prepared) {
        self.harness
            .sql("create table if not exists aside (like checkout_attempts)")
            .await;
        self.move_attempt("checkout_attempts", "aside", &prepared.booking)
            .await;
        assert_eq!(
            server.deliver(&prepared.event).await.unwrap().1["outcome"],
            "deferred"
        );
    }

    /// Stripe says, out of order, that the session has ended.
    async fn expire(&self, server: &Server, prepared: &Prepared) {
        let mut expired = prepared.event.clone();
        expired["id"] = json!(format!("evt_expired_{}", self.seat));
        expired["type"] = json!("checkout.session.expired");
        expired["data"]["object"]["status"] = json!("expired");
        expired["data"]["object"]["payment_status"] = json!("unpaid");
        assert_eq!(
            server.deliver(&expired).await.unwrap().1["outcome"],
            "processed"
        );
    }

    async fn sell_to_another(&self, server: &Server) {
        let emil = Buyer::new(self.harness, &format!("emil_{}", self.seat));
        assert_eq!(
            emil.post(server, "/api/bookings", &self.request(), None)
                .await
                .unwrap()
                .0,
            201
        );
    }

    fn request(&self) -> Value {
        json!({ "kind": "show", "showId": self.show, "seats": [self.seat] })
    }

    async fn move_attempt(&self, from: &str, to: &str, booking: &Value) {
        let id = booking["id"].as_str().unwrap();
        let gone =
            format!("with gone as (delete from {from} where booking_id = '{id}' returning *)");
        self.harness
            .sql(&format!("{gone} insert into {to} select * from gone"))
            .await;
    }

    /// Asserts what a query about the show `$show` and the seat `$seat` gives, as soon as it does.
    async fn finds(&self, query: &str, value: &str) {
        let query = query
            .replace("$show", &format!("'{}'", self.show))
            .replace("$seat", &format!("'{}'", self.seat));
        self.harness.until(&query, value, PATIENCE).await;
    }

    async fn is_sold(&self) {
        self.finds(
            &format!("select string_agg(status::text, ',') {BOOKINGS}"),
            "confirmed",
        )
        .await;
        self.finds(CLAIMS, "1").await;
        self.finds(PAYMENTS, "applied").await;
    }

    /// The money of a booking that came too late has gone back once.
    async fn is_refunded(&self, prepared: &Prepared) {
        self.finds(
            &format!("select string_agg(status::text, ',' order by id) {BOOKINGS}"),
            "expired,pending",
        )
        .await;
        let booking = prepared.booking["id"].as_str().unwrap();
        let refunds = format!(
            "select string_agg(status::text, ',') from refunds where booking_id = '{booking}'"
        );
        self.finds(&refunds, "succeeded").await;
        self.finds(PAYMENTS, "surplus").await;
        let intent = prepared.event["data"]["object"]["payment_intent"]
            .as_str()
            .unwrap();
        assert_eq!(
            self.harness
                .at_stripe(&format!("/v1/refunds?payment_intent={intent}"))
                .await,
            1
        );
    }

    async fn has_one_session_per_attempt(&self) {
        let sessions = self.harness.ask_stripe("/_simulator/sessions").await;
        let mut attempts = BTreeSet::new();
        for session in sessions.as_array().unwrap() {
            let attempt = session["metadata"]["attemptId"].as_str().unwrap();
            assert!(
                attempts.insert(attempt),
                "two sessions of one attempt: {sessions}"
            );
        }
    }

    /// Takes away what the flow has left of its faults, by calls that Stripe refuses anyway.
    async fn spend_faults(&self) {
        loop {
            let url = format!("{}{SESSIONS}", self.harness.simulator.url());
            let request = reqwest::Client::new()
                .post(url)
                .bearer_auth("sk_test_stage");
            assert_eq!(request.send().await.unwrap().status(), 400);
            let asked = self.harness.ask_stripe("/_simulator/requests").await;
            if asked.as_array().unwrap().last().unwrap()["fault"].is_null() {
                return;
            }
        }
    }
}
