//! The process is killed at every step that it takes in the database, once before and once after;
//! the next one goes on.
//!
//! A step is a statement. Each flow is killed at its first, its second, and so on, until it ends
//! before the kill.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use serde_json::{Value, json};

use super::crashes::SESSIONS;
use super::harness::{Harness, PATIENCE, Server};
use super::world::Buyer;
use crate::invariants::INVARIANTS;
use crate::pg_proxy::{Held, PgProxy, Way};

/// Before the statement, and after it: the answer comes for nobody.
const DEATHS: [(Held, Way); 2] = [(Held::Statement, Way::Cut), (Held::Answer, Way::Through)];
/// More steps than this are no flow of ours.
const STEPS_MAX: usize = 40;
/// How often somebody asks again before he counts as stuck.
const TRIES_MAX: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_that_stripe_refuses_for_good_frees_its_seats() {
    survives(Flow::BookInVain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_whose_key_at_stripe_is_spent_goes_on_under_another() {
    survives(Flow::BookAfterStoredFailure).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_applied_once() {
    survives(Flow::Pay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deferred_event_is_settled_once() {
    survives(Flow::SettleDeferred).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_who_asks_is_confirmed_once() {
    survives(Flow::Verify).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_payment_for_sold_seats_goes_back_once() {
    survives(Flow::PayTooLate).await;
}

/// What is under way when the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// Seats are booked under an idempotency key, and Stripe says that it will never make the
    /// session.
    BookInVain,
    /// … and Stripe has stored a failure under the key of the attempt.
    BookAfterStoredFailure,
    /// Stripe tells of a payment.
    Pay,
    /// The background settles an event that came before its attempt.
    SettleDeferred,
    /// A buyer has come back before Stripe has told of his payment.
    Verify,
    /// Stripe tells of the payment of a booking that had ended, and whose seat is somebody else's.
    PayTooLate,
}

/// Kills the process at each step of the flow.
async fn survives(flow: Flow) {
    let harness = Harness::new().await;
    assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
    let pg_proxy = PgProxy::lay(&harness.database.options()).await;
    let mut server = Some(serve(&harness, &pg_proxy));
    for (held, way) in DEATHS {
        for step in 1..=STEPS_MAX {
            let case = async {
                let scene = Scene::new(&harness).await;
                kill(flow, &scene, &pg_proxy, (held, way, step, &mut server)).await
            };
            let Ok(killed) = AssertUnwindSafe(case).catch_unwind().await else {
                panic!(
                    "{flow:?}, {held:?} {way:?} at step {step}, the last of {:#?}",
                    pg_proxy.statements()
                );
            };
            if !killed {
                assert!(step > 1, "a flow without steps");
                break;
            }
            assert!(step < STEPS_MAX, "a flow without an end");
        }
    }
    harness.reconcile().await;
}

fn serve(harness: &Harness, pg_proxy: &PgProxy) -> Server {
    harness.serve(&[("DATABASE_URL", pg_proxy.url())])
}

/// Kills the process at one step, and lets another finish; false if the flow has not so many.
async fn kill(
    flow: Flow,
    scene: &Scene<'_>,
    pg_proxy: &PgProxy,
    (held, way, step, server): (Held, Way, usize, &mut Option<Server>),
) -> bool {
    let first = server.take().unwrap();
    let case = scene.begin(flow, &first).await;
    pg_proxy.hold_up(held, step);
    tokio::select! {
        told = scene.run(flow, &first, &case) => assert!(flow.is_done(told.as_ref()), "{told:?}"),
        () = pg_proxy.held() => {}
    }
    let killed = pg_proxy.restore();
    *server = Some(if killed {
        pg_proxy.held().await;
        first.kill();
        pg_proxy.let_go(way);
        scene.harness.until_forgotten().await;
        scene.take_over().await;
        serve(scene.harness, pg_proxy)
    } else {
        first
    });
    let second = server.as_ref().unwrap();
    let mut told = None;
    for _ in 0..TRIES_MAX {
        told = scene.run(flow, second, &case).await;
        if flow.is_done(told.as_ref()) {
            break;
        }
        scene.take_over().await;
    }
    assert!(flow.is_done(told.as_ref()), "{told:?}");
    scene.check(flow, second, &case).await;
    killed
}

/// What a process answered; nothing if it died.
type Outcome = Option<(u16, Value)>;

impl Flow {
    fn is_done(self, told: Option<&(u16, Value)>) -> bool {
        let Some((status, body)) = told else {
            return false;
        };
        match self {
            Self::BookAfterStoredFailure => *status == 201 && body["checkout"]["url"].is_string(),
            Self::BookInVain => *status == 502,
            Self::Pay | Self::PayTooLate | Self::SettleDeferred => *status == 200,
            Self::Verify => *status == 200 && body["status"] == "confirmed",
        }
    }
}

/// One case: a seat of its own.
struct Scene<'a> {
    harness: &'a Harness,
    dana: Buyer,
    show: String,
    seat: String,
}

/// What there is before the flow begins.
struct Case {
    booking: Value,
    event: Value,
}

impl<'a> Scene<'a> {
    async fn new(harness: &'a Harness) -> Self {
        let free = "select s.show_id::text, s.label from show_seats s join shows on shows.id = s.show_id
                    where s.sellable and status = 'on_sale'
                      and not exists (select from bookings b where b.show_id = s.show_id and s.label = any (b.seats))
                    order by s.show_id, position limit 1";
        let (show, seat) = sqlx::query_as(free)
            .fetch_one(harness.database.pool())
            .await
            .unwrap();
        Self {
            harness,
            dana: Buyer::new(harness, "dana"),
            show,
            seat,
        }
    }

    async fn begin(&self, flow: Flow, server: &Server) -> Case {
        let create = format!("POST {SESSIONS}$");
        match flow {
            Flow::BookInVain => {
                let refusal =
                    json!({ "route": create, "kind": "status", "status": 400, "times": 2 });
                self.harness.fault(&refusal.to_string()).await;
                return Case {
                    booking: Value::Null,
                    event: Value::Null,
                };
            }
            Flow::BookAfterStoredFailure => {
                let stored =
                    json!({ "route": create, "kind": "status", "status": 500, "stored": true });
                self.harness.fault(&stored.to_string()).await;
                return Case {
                    booking: Value::Null,
                    event: Value::Null,
                };
            }
            Flow::Pay | Flow::SettleDeferred | Flow::Verify | Flow::PayTooLate => {}
        }
        let (status, booking) = self
            .dana
            .post(server, "/api/bookings", &self.wish(), None)
            .await
            .unwrap();
        assert_eq!(status, 201, "{booking}");
        let event = self
            .harness
            .pay(booking["checkout"]["sessionId"].as_str().unwrap())
            .await;
        match flow {
            Flow::SettleDeferred => {
                self.harness
                    .sql("create table if not exists aside (like checkout_attempts)")
                    .await;
                self.move_attempt("checkout_attempts", "aside", &booking)
                    .await;
                assert_eq!(
                    server.deliver(&event).await.unwrap().1["outcome"],
                    "deferred"
                );
            }
            Flow::PayTooLate => {
                let mut expired = event.clone();
                expired["id"] = json!(format!("evt_expired_{}", self.seat));
                expired["type"] = json!("checkout.session.expired");
                expired["data"]["object"]["status"] = json!("expired");
                expired["data"]["object"]["payment_status"] = json!("unpaid");
                assert_eq!(
                    server.deliver(&expired).await.unwrap().1["outcome"],
                    "processed"
                );
                let emil = Buyer::new(self.harness, "emil");
                assert_eq!(
                    emil.post(server, "/api/bookings", &self.wish(), None)
                        .await
                        .unwrap()
                        .0,
                    201
                );
            }
            Flow::BookInVain | Flow::BookAfterStoredFailure | Flow::Pay | Flow::Verify => {}
        }
        Case { booking, event }
    }

    /// Does it, or does it again.
    async fn run(&self, flow: Flow, server: &Server, case: &Case) -> Outcome {
        match flow {
            Flow::BookInVain | Flow::BookAfterStoredFailure => {
                let key = format!("key-{}-{}", self.show, self.seat);
                self.dana
                    .post(server, "/api/bookings", &self.wish(), Some(&key))
                    .await
                    .ok()
            }
            Flow::Pay | Flow::PayTooLate => server.deliver(&case.event).await.ok(),
            Flow::Verify => {
                let session = json!({ "sessionId": case.booking["checkout"]["sessionId"] });
                self.dana
                    .post(server, "/api/payments/verify?wait=0", &session, None)
                    .await
                    .ok()
            }
            Flow::SettleDeferred => {
                // The attempt is there at last, which wakes the job; and nobody but the job settles
                // the event.
                self.move_attempt("aside", "checkout_attempts", &case.booking)
                    .await;
                let id = case.event["id"].as_str().unwrap();
                let unsettled = format!("select count(*) from jobs where key = 'settle-{id}'");
                self.harness.until(&unsettled, "0", PATIENCE).await;
                Some((200, Value::Null))
            }
        }
    }

    /// Sooner than it would be so: what the dead held is free.
    async fn take_over(&self) {
        self.harness
            .sql(
                "update idempotency_keys set locked_until = now() where response_status is null;
                 update jobs set locked_at = null, locked_by = null, run_at = now()
                 where key not like 'end-hold%'",
            )
            .await;
    }

    fn wish(&self) -> Value {
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

    async fn check(&self, flow: Flow, server: &Server, case: &Case) {
        match flow {
            Flow::BookAfterStoredFailure => {
                let (_, booking) = self.run(flow, server, case).await.unwrap();
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
                assert_eq!(server.deliver(&case.event).await.unwrap().0, 200);
                self.is_sold().await;
            }
            Flow::PayTooLate => {
                self.finds(
                    &format!("select string_agg(status::text, ',' order by id) {BOOKINGS}"),
                    "expired,pending",
                )
                .await;
                let booking = case.booking["id"].as_str().unwrap();
                let refunds = format!(
                    "select string_agg(status::text, ',') from refunds where booking_id = '{booking}'"
                );
                self.finds(&refunds, "succeeded").await;
                self.finds(PAYMENTS, "surplus").await;
                let intent = case.event["data"]["object"]["payment_intent"]
                    .as_str()
                    .unwrap();
                assert_eq!(
                    self.harness
                        .at_stripe(&format!("/v1/refunds?payment_intent={intent}"))
                        .await,
                    1
                );
            }
        }
        for (_, query) in INVARIANTS {
            self.harness.until(query, "0", PATIENCE).await;
        }
        self.has_one_session_per_attempt().await;
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

const BOOKINGS: &str = "from bookings where show_id = $show and $seat = any (seats)";
const CLAIMS: &str = "select count(*) from seat_claims where show_id = $show and label = $seat
                      and booking_id in (select id from bookings where live)";
const PAYMENTS: &str = "select string_agg(disposition::text, ',') from payments
                        where booking_id in (select id from bookings where show_id = $show and $seat = any (seats))";
