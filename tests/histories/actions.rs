//! What the processes are asked to do: by buyers, by admins, by Stripe, and by the queue. Often
//! several things at once.

use futures_util::future::join_all;
use holdfast::domain::job::Job;
use holdfast::jobs;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, query_as};

use super::generator::{BUYERS, FaultProfile, History, Process, SEATS, StripeEvent};
use crate::harness::{Answer, cut_short};

/// Who may do what admins do.
const ADMIN: &str = "admin";

/// Something that one process is asked to do.
#[derive(Debug, Clone)]
enum Action {
    Book {
        buyer: &'static str,
        seats: Vec<&'static str>,
        key: Option<String>,
        is_half: bool,
        has_voucher: bool,
    },
    /// By whom, and as of which version.
    Cancel(String, Booking, Value),
    Reopen(Booking),
    Verify(Booking),
    Deliver(StripeEvent),
    EndHold(Booking),
    /// What an admin asks for, and of which booking.
    Admin(&'static str, Booking, Value),
}

/// A booking of this history.
#[derive(Debug, Clone)]
pub(crate) struct Booking {
    pub(crate) id: String,
    pub(crate) buyer: String,
    session: Option<String>,
}

/// What a buyer posts.
struct Call<'a> {
    path: &'a str,
    key: Option<&'a str>,
    body: Value,
}

impl History<'_> {
    /// One thing is asked for, or a few at once, of either process.
    pub(crate) async fn perform_some(&mut self) {
        let count = if self.chance(30) { self.draw(3) + 2 } else { 1 };
        let mut actions = Vec::new();
        for _ in 0..count {
            if let Some(action) = self.draw_action().await {
                actions.push((self.process(), action));
            }
        }
        if actions.len() == 1 && self.chance(20) {
            // The same once more, perhaps of the other process.
            actions.push((self.process(), actions[0].1.clone()));
        }
        if actions.is_empty() {
            return;
        }
        let history = &*self;
        let outcomes = join_all(
            actions
                .iter()
                .map(|(process, action)| history.perform(process, action)),
        )
        .await;
        self.note(&outcomes.join(", at once with\n    "));
    }

    /// Somebody books.
    pub(crate) async fn book(&mut self) {
        let (process, action) = (self.process(), self.draw_booking());
        let outcome = self.perform(process, &action).await;
        self.note(&outcome);
    }

    /// An admin cancels the whole show, perhaps twice at once, or their process dies over it. What
    /// is booked by the hour has no show.
    pub(crate) async fn cancel_show(&mut self) {
        let processes = [self.process(), self.process()];
        let polls = if self.chance(30) {
            self.draw(40)
        } else {
            9_999
        };
        let twice = self.chance(30);
        let one = cut_short(self.post_cancellation(processes[0]), polls);
        let outcome = if twice {
            let other = self.post_cancellation(processes[1]);
            let (one, other) = tokio::join!(one, other);
            format!("{one:?}, at once with {other}")
        } else {
            format!("{:?}", one.await)
        };
        self.note(&outcome);
    }

    async fn post_cancellation(&self, process: &Process) -> String {
        let call = Call {
            path: &format!("/api/admin/shows/{}/cancel", self.offer),
            key: None,
            body: json!({ "reason": "a whim" }),
        };
        let answer = self.post(process, ADMIN, call).await;
        self.check_answer("an admin cancels the show", &answer)
    }

    fn draw_booking(&mut self) -> Action {
        Action::Book {
            buyer: BUYERS[self.index(BUYERS.len())],
            seats: self.seats(),
            key: self
                .chance(30)
                .then(|| self.draw(2))
                .map(|number| format!("key-{}-{number}", self.offer)),
            is_half: self.is_service && self.chance(60),
            has_voucher: self.chance(30),
        }
    }

    async fn draw_action(&mut self) -> Option<Action> {
        Some(match self.draw(20) {
            0..4 => self.draw_booking(),
            4 => {
                let booking = self.some_booking().await?;
                Action::Cancel(booking.buyer.clone(), booking, json!({}))
            }
            5 => Action::Reopen(self.some_booking().await?),
            6 => Action::Verify(self.some_booking().await?),
            7 => Action::EndHold(self.some_booking().await?),
            8 | 9 => Action::Admin(
                "refunds",
                self.some_paid_booking(false).await?,
                self.draw_refund(),
            ),
            10 => Action::Admin(
                "resolve",
                self.some_booking().await?,
                self.draw_resolution(),
            ),
            11 | 12 => self.draw_paid_cancellation().await?,
            _ => {
                let events = self.events().await;
                Action::Deliver(self.pick(&events)?)
            }
        })
    }

    /// By the buyer or an admin, of the version that they may have seen.
    async fn draw_paid_cancellation(&mut self) -> Option<Action> {
        let booking = self.some_paid_booking(false).await?;
        let by = if self.chance(25) {
            ADMIN.to_owned()
        } else {
            booking.buyer.clone()
        };
        let version = [Value::Null, json!(2), json!(3)][self.index(3)].clone();
        Some(Action::Cancel(by, booking, json!({ "version": version })))
    }

    /// All that is left of a payment, or a part of it.
    fn draw_refund(&mut self) -> Value {
        let mut body = json!({ "reason": "a whim", "releaseSeats": self.chance(30) });
        if self.chance(50) {
            let amount = [1, 500, 1_200, 1_300][self.index(4)];
            body["amount"] = json!({ "amountMinor": amount, "currency": "eur" });
        }
        body
    }

    fn draw_resolution(&mut self) -> Value {
        let action = ["confirm", "cancel"][self.index(2)];
        json!({ "action": action, "reason": "a whim" })
    }

    /// One or two that lie side by side.
    pub(crate) fn seats(&mut self) -> Vec<&'static str> {
        let first = self.index(SEATS.len());
        let last = if self.chance(40) {
            (first + 1).min(SEATS.len() - 1)
        } else {
            first
        };
        SEATS[first..=last].to_vec()
    }

    pub(crate) async fn some_booking(&mut self) -> Option<Booking> {
        self.some_booking_where("true").await
    }

    /// One that admins may have something to do with.
    pub(crate) async fn some_paid_booking(&mut self, is_under_review: bool) -> Option<Booking> {
        let which = if is_under_review {
            "b.status = 'review'"
        } else if self.chance(10) {
            "true"
        } else {
            "exists (select from payments p where p.booking_id = b.id)"
        };
        self.some_booking_where(which).await
    }

    async fn some_booking_where(&mut self, which: &str) -> Option<Booking> {
        let bookings = format!(
            "select b.id::text, substr(b.user_id, 6), a.stripe_session_id from bookings b
             join checkout_attempts a on a.booking_id = b.id
             where coalesce(b.show_id, b.service_id) = $1::uuid and {which} order by a.id"
        );
        let bookings: Vec<(String, String, Option<String>)> = query_as(AssertSqlSafe(bookings))
            .bind(&self.offer)
            .fetch_all(self.harness.db())
            .await
            .unwrap();
        let (id, buyer, session) = self.pick(&bookings)?;
        Some(Booking { id, buyer, session })
    }

    /// Does it, and says how it went: never that something broke, unless Stripe did.
    async fn perform(&self, process: &Process, action: &Action) -> String {
        match action {
            Action::Book {
                buyer,
                seats,
                key,
                is_half,
                has_voucher,
            } => {
                let mut body = self.order(seats, *is_half);
                if *has_voucher {
                    body["voucher"] = json!(self.voucher);
                }
                let call = Call {
                    path: "/api/bookings",
                    key: key.as_deref(),
                    body,
                };
                self.hold(process, buyer, call).await
            }
            Action::Cancel(by, booking, body) => {
                let call = Call {
                    path: &format!("/api/bookings/{}/cancel", booking.id),
                    key: None,
                    body: body.clone(),
                };
                let answer = self.post(process, by, call).await;
                self.check_answer(&format!("{by} cancels {} {body}", booking.id), &answer)
            }
            Action::Reopen(booking) => self.check_answer(
                &format!("{} reopens {}", booking.buyer, booking.id),
                &self.ask(process, booking, "checkout").await,
            ),
            Action::Verify(booking) => {
                let call = Call {
                    path: "/api/payments/verify?wait=0",
                    key: None,
                    body: json!({ "sessionId": booking.session.as_deref().unwrap_or("cs_none") }),
                };
                let answer = self.post(process, &booking.buyer, call).await;
                self.check_answer(
                    &format!("{} comes back to {}", booking.buyer, booking.id),
                    &answer,
                )
            }
            Action::Deliver(event) => {
                let answer = self.deliver(process, event).await;
                format!("{} is delivered: {}", event.kind, answer.body["outcome"])
            }
            Action::Admin(what, booking, body) => {
                let call = Call {
                    path: &format!("/api/admin/bookings/{}/{what}", booking.id),
                    key: None,
                    body: body.clone(),
                };
                let answer = self.post(process, ADMIN, call).await;
                self.check_answer(
                    &format!("an admin: {what} of {} {body}", booking.id),
                    &answer,
                )
            }
            Action::EndHold(booking) => {
                let job = Job::EndHold {
                    booking_id: booking.id.parse().unwrap(),
                };
                let done = jobs::perform(&process.app, &job).await;
                format!("the hold of {} ends: {done:?}", booking.id)
            }
        }
    }

    pub(crate) async fn ask(&self, process: &Process, booking: &Booking, what: &str) -> Answer {
        let call = Call {
            path: &format!("/api/bookings/{}/{what}", booking.id),
            key: None,
            body: json!({}),
        };
        self.post(process, &booking.buyer, call).await
    }

    async fn post(&self, process: &Process, buyer: &str, call: Call<'_>) -> Answer {
        let mut claims = self
            .harness
            .claims(&format!("user_{buyer}"), &format!("{buyer}@example.com"));
        if buyer == ADMIN {
            claims["metadata"] = json!({ "role": "admin" });
        }
        let token = format!("Bearer {}", self.harness.issuer.token(&claims));
        let mut headers = vec![("authorization", token.as_str())];
        headers.extend(call.key.map(|key| ("idempotency-key", key)));
        process
            .post(call.path, &headers, call.body.to_string())
            .await
    }

    /// Seats, or for each of them an hour.
    fn order(&self, seats: &[&str], is_half: bool) -> Value {
        if !self.is_service {
            return json!({ "kind": "show", "showId": self.offer, "seats": seats });
        }
        let slot = self.slot(seats);
        json!({
            "kind": "service", "serviceId": self.offer, "startsAt": slot.starts_at,
            "hours": slot.hours, "paymentOption": if is_half { "half" } else { "full" },
        })
    }

    async fn hold(&self, process: &Process, buyer: &str, call: Call<'_>) -> String {
        let (key, ordered) = (call.key, call.body.to_string());
        let answer = self.post(process, buyer, call).await;
        if let Some(key) = key.filter(|_| answer.status == 201) {
            let id = answer.body["id"].as_str().unwrap().to_owned();
            let mut keys = self.keys.lock().unwrap();
            let first = keys
                .entry(format!("{buyer} {key}"))
                .or_insert_with(|| id.clone());
            assert_eq!(*first, id, "one key, two bookings");
        }
        self.check_answer(&format!("{buyer} books {ordered} with {key:?}"), &answer)
    }

    fn check_answer(&self, step: &str, answer: &Answer) -> String {
        let stripe_errs = self.fault_profile == FaultProfile::Stormy || self.hides_session;
        let allowed = answer.status < 500 || (stripe_errs && matches!(answer.status, 502 | 503));
        assert!(allowed, "{step}: {answer:?}");
        format!(
            "{step}: {} {}",
            answer.status,
            answer.body["code"].as_str().unwrap_or_default()
        )
    }

    /// Delivers an event, which is always taken.
    pub(crate) async fn deliver(&self, process: &Process, event: &StripeEvent) -> Answer {
        let signature = self.harness.signature(&event.body);
        let answer = process
            .post(
                "/api/stripe",
                &[("stripe-signature", &signature)],
                event.body.clone(),
            )
            .await;
        assert_eq!(answer.status, 200, "{}: {answer:?}", event.kind);
        answer
    }
}
