//! What can happen in a history.

use futures_util::future::join_all;
use holdfast::domain::job::Job;
use holdfast::domain::user::{Role, User, UserId};
use holdfast::gateways::stripe::checkout::Ui;
use holdfast::gateways::stripe::webhook;
use holdfast::jobs;
use holdfast::workflows::checkout::{Wish, book_seats};
use holdfast::workflows::settlement::{event, release};
use serde_json::{Value, json};
use sqlx::query_as;

use super::plot::{BUYERS, History, Mood, SEATS};
use crate::stage::{Answer, ORIGIN, cut_short, send};

const SEPA: &str = "DE89370400440532013000";
const DECLINED: &str = "4000000000000002";

impl History<'_> {
    /// Somebody books one or two seats, perhaps with a key, and perhaps again with the same.
    pub(super) async fn book(&mut self) {
        let name = BUYERS[self.index(BUYERS.len())];
        let seats = self.seats();
        let body = json!({ "kind": "show", "showId": self.show, "seats": seats });
        let dana = self.stage.customer(name);
        if self.chance(70) {
            let answer = dana.post("/api/bookings", body).await;
            return self.told(&format!("{name} books {seats:?}"), &answer);
        }
        let number = self.draw(2);
        let key = format!("key-{}-{number}", self.show);
        let (one, other) = if self.chance(50) {
            tokio::join!(
                dana.post_keyed("/api/bookings", body.clone(), &key),
                dana.post_keyed("/api/bookings", body.clone(), &key)
            )
        } else {
            (
                dana.post_keyed("/api/bookings", body.clone(), &key).await,
                dana.post_keyed("/api/bookings", body, &key).await,
            )
        };
        if one.status == 201 && other.status == 201 {
            assert_eq!(one.body["id"], other.body["id"], "one key, two bookings");
        }
        self.told(&format!("{name} books {seats:?} with {key}"), &one);
        self.told("… and once more", &other);
    }

    fn seats(&mut self) -> Vec<&'static str> {
        let first = self.index(SEATS.len());
        let both = self.chance(40);
        let last = if both { (first + 1).min(SEATS.len() - 1) } else { first };
        SEATS[first..=last].to_vec()
    }

    /// A buyer pays an open session: mostly as he should.
    pub(super) async fn pay(&mut self) {
        let open = self.sessions("open").await;
        let Some(session) = self.pick(&open) else { return };
        let mut how = json!({ "session": session["id"] });
        match self.draw(20) {
            0..11 => {}
            11..16 => how["card"] = json!(SEPA),
            16 | 17 => how["card"] = json!(DECLINED),
            // A session that was declined has its PaymentIntent, whose amount the simulator leaves as it is.
            18 if session["paymentIntent"].is_null() => {
                how["amount"] = json!(session["amountTotal"].as_i64().unwrap() - 1);
            }
            _ => how["metadata"] = json!({ "bookingId": "01930000-0000-7000-8000-000000000000" }),
        }
        self.note(&format!("pays {how}"));
        self.stage.knob("pay", how).await;
    }

    /// A bank decides about a delayed payment.
    pub(super) async fn settle(&mut self) {
        let waiting = self.waiting().await;
        if let Some(session) = self.pick(&waiting) {
            self.settle_one(&session).await;
        }
    }

    /// The bank says yes or no.
    pub(super) async fn settle_one(&mut self, session: &Value) {
        let outcome = if self.chance(60) { "succeeded" } else { "failed" };
        self.note(&format!("the bank: {} has {outcome}", session["id"]));
        self.stage.knob("settle", json!({ "session": session["id"], "outcome": outcome })).await;
    }

    /// Sessions whose delayed payment is undecided.
    pub(super) async fn waiting(&self) -> Vec<Value> {
        let mut waiting = Vec::new();
        for session in self.sessions("complete").await {
            let Some(intent) = session["paymentIntent"].as_str().filter(|_| session["paymentStatus"] == "unpaid")
            else {
                continue;
            };
            let intent = self.stage.ask_stripe(&format!("/v1/payment_intents/{intent}")).await;
            if intent["status"] == "processing" {
                waiting.push(session);
            }
        }
        waiting
    }

    /// Sessions of this history, as Stripe has them.
    pub(super) async fn sessions(&self, status: &str) -> Vec<Value> {
        let url = format!("{}/_simulator/sessions", self.stage.simulator.url());
        let sessions = send(self.stage.http.get(url)).await.body;
        let sessions = sessions.as_array().unwrap().iter();
        sessions.filter(|session| session["status"] == status).cloned().collect()
    }

    /// A few deliveries, one after the other or at once, of new and old events alike.
    pub(super) async fn deliver_some(&mut self) {
        let events = self.events().await;
        let mut drawn = Vec::new();
        for _ in 0..=self.draw(4) {
            drawn.extend(self.pick(&events));
        }
        self.deliver(&drawn).await;
    }

    /// Delivers these, at once or in turn; now and then the process dies over one.
    pub(super) async fn deliver(&mut self, events: &[Value]) {
        let at_once = self.chance(40);
        let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        self.note(&format!("delivered{}: {kinds:?}", if at_once { " at once" } else { "" }));
        let bodies: Vec<String> = events.iter().map(|event| serde_json::to_string_pretty(event).unwrap()).collect();
        let stage = self.stage;
        let answers = if at_once {
            join_all(bodies.iter().map(|body| stage.deliver(body))).await
        } else {
            let mut answers = Vec::new();
            for body in &bodies {
                if self.chance(10) {
                    let event = webhook::parse(body.as_bytes()).unwrap();
                    let polls = self.draw(12);
                    let settled = cut_short(event::settle(&stage.app, &event, body), polls).await;
                    self.note(&format!("a process dies over {} after {polls}: {settled:?}", event.kind));
                }
                answers.push(stage.deliver(body).await);
            }
            answers
        };
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    }

    /// A buyer calls off a booking of his.
    pub(super) async fn cancel(&mut self) {
        if let Some((id, buyer, _)) = self.some_booking().await {
            let answer = self.stage.customer(&buyer).post(&format!("/api/bookings/{id}/cancel"), json!({})).await;
            self.told(&format!("{buyer} calls off {id}"), &answer);
        }
    }

    /// A buyer asks for the payment page again.
    pub(super) async fn reopen(&mut self) {
        if let Some((id, buyer, _)) = self.some_booking().await {
            let answer = self.stage.customer(&buyer).post(&format!("/api/bookings/{id}/checkout"), json!({})).await;
            self.told(&format!("{buyer} reopens {id}"), &answer);
        }
    }

    /// A buyer has come back from the payment page.
    pub(super) async fn verify(&mut self) {
        if let Some((_, buyer, Some(session))) = self.some_booking().await {
            let body = json!({ "sessionId": session });
            let answer = self.stage.customer(&buyer).post("/api/payments/verify?wait=0", body).await;
            self.told(&format!("{buyer} comes back from {session}"), &answer);
        }
    }

    async fn some_booking(&mut self) -> Option<(String, String, Option<String>)> {
        let bookings = "select b.id::text, substr(b.user_id, 6), a.stripe_session_id from bookings b
                        join checkout_attempts a on a.booking_id = b.id where b.show_id = $1::uuid order by a.id";
        let bookings: Vec<(String, String, Option<String>)> =
            query_as(bookings).bind(&self.show).fetch_all(self.stage.db()).await.unwrap();
        self.pick(&bookings)
    }

    /// What the buyer is told; never that something broke, unless Stripe did.
    fn told(&self, step: &str, answer: &Answer) {
        self.note(&format!("{step}: {} {}", answer.status, answer.body["code"].as_str().unwrap_or_default()));
        let allowed = answer.status < 500 || (self.mood == Mood::Stormy && matches!(answer.status, 502 | 503));
        assert!(allowed, "{answer:?}");
    }

    /// A process dies in the middle of a booking, or of a cancellation.
    pub(super) async fn crash(&mut self) {
        let polls = self.draw(30);
        if self.chance(60) {
            let name = BUYERS[self.index(BUYERS.len())];
            let id = UserId(format!("user_{name}"));
            let wish = Wish {
                user: User { id, email: None, name: None, role: Role::User },
                show_id: self.show.parse().unwrap(),
                seats: self.seats().into_iter().map(str::to_owned).collect(),
                ui: Ui::default(),
                origin: ORIGIN.to_owned(),
                key: None,
            };
            let done = cut_short(book_seats(&self.stage.app, &wish), polls).await.is_some();
            return self.note(&format!("{name} books {:?}; a process dies after {polls}, done: {done}", wish.seats));
        }
        let Some((id, buyer, _)) = self.some_booking().await else { return };
        let called_off = release::cancel(&self.stage.app, (id.parse().unwrap(), None), None);
        let done = cut_short(called_off, polls).await.is_some();
        self.note(&format!("{buyer} calls off {id}; a process dies after {polls}, done: {done}"));
    }

    /// Does what is due, each job once, twice, twice at once, or half and then again; returns how many are left undone.
    pub(super) async fn run_jobs(&mut self, wildly: bool) -> usize {
        let mut tried: Vec<i64> = Vec::new();
        let mut failed = 0;
        if self.chance(40) || !wildly {
            let found = jobs::perform(&self.stage.app, &Job::Sweep).await;
            assert!(found.is_ok(), "{found:?}");
        }
        loop {
            let due = "update graphile_worker._private_jobs set locked_at = now(), locked_by = 'a history'
                       where id = (select id from graphile_worker._private_jobs where run_at <= $1 and id <> all ($2)
                                   order by run_at, id limit 1)
                       returning id, payload::jsonb";
            let due = query_as::<_, (i64, Value)>(due).bind(self.stage.now()).bind(&tried);
            let Some((id, payload)) = due.fetch_optional(self.stage.db()).await.unwrap() else { return failed };
            tried.push(id);
            let job: Job = serde_json::from_value(payload).unwrap();
            let done = self.perform(&job, wildly).await;
            // A job that was asked for again while it ran has lost its key, and another stands in its place.
            let end = if done {
                "delete from graphile_worker._private_jobs where id = $1"
            } else {
                failed += 1;
                "with gone as (delete from graphile_worker._private_jobs where id = $1 and key is null)
                 update graphile_worker._private_jobs set locked_at = null, locked_by = null
                 where id = $1 and key is not null"
            };
            sqlx::query(end).bind(id).execute(self.stage.db()).await.unwrap();
        }
    }

    async fn perform(&mut self, job: &Job, wildly: bool) -> bool {
        let app = &self.stage.app;
        let (how, done) = match self.draw(if wildly { 8 } else { 1 }) {
            5 => {
                let polls = self.draw(25);
                let cut = cut_short(jobs::perform(app, job), polls).await;
                (format!("dies after {polls}"), cut.unwrap_or_else(|| Err(holdfast::error::Error::fault("cut short"))))
            }
            6 => {
                let first = jobs::perform(app, job).await.map_err(|error| error.to_string());
                (format!("twice, first {first:?}"), jobs::perform(app, job).await)
            }
            7 => {
                let (one, other) = tokio::join!(jobs::perform(app, job), jobs::perform(app, job));
                ("twice at once".to_owned(), one.and(other))
            }
            _ => ("once".to_owned(), jobs::perform(app, job).await),
        };
        self.note(&format!(
            "{job:?} {how}: {}",
            done.as_ref().map_or_else(|error| format!("{error:?}"), |()| "done".to_owned())
        ));
        done.is_ok()
    }

    /// One of the next calls goes wrong. Those that the client would repeat for long are answered with a word not to.
    pub(super) async fn plant_fault(&mut self) {
        let route = [
            "POST /v1/checkout/sessions$",
            "POST /v1/checkout/sessions/*/expire",
            "POST /v1/refunds",
            "GET /v1/checkout/sessions",
        ];
        let route = route[self.index(route.len())];
        let unavailable = json!({ "route": route, "kind": "status", "status": 503, "should_retry": false, "times": self.draw(3) + 1 });
        let stored = json!({ "route": route, "kind": "status", "status": 500, "stored": true, "should_retry": false });
        let create = "POST /v1/checkout/sessions$";
        let planted = match self.draw(9) {
            0 | 1 => vec![unavailable],
            2 => vec![json!({ "route": route, "kind": "status", "status": 503 })],
            3 => vec![json!({ "route": route, "kind": "lost_answer" })],
            4 | 5 => vec![json!({ "route": route, "kind": "lost_answer" }), unavailable],
            6 => vec![json!({ "route": route, "kind": "garbage" })],
            7 => vec![stored],
            _ => vec![json!({ "route": create, "kind": "pay_then_answer" })],
        };
        for fault in planted {
            self.note(&format!("fault: {fault}"));
            self.stage.knob("faults", fault).await;
        }
    }
}
