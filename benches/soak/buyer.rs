//! Somebody who comes, books, and pays: or not, or too late, or twice.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::sleeps;
use crate::world::{Call, VOUCHER, World};

const SEPA: &str = "DE89370400440532013000";
const DECLINED: &str = "4000000000000002";
/// Between two visits, and how long a buyer thinks before they pay.
const PAUSE_MAX_SECONDS: f64 = 3.0;
const THOUGHT_MAX_SECONDS: f64 = 1.0;
/// How often a request that came to nothing is repeated with its key.
const REPEATS_MAX: usize = 4;

pub(crate) struct Buyer {
    world: Arc<World>,
    token: String,
    random: StdRng,
    number: u64,
    visits: u64,
}

/// A booking, and the session that pays for it.
struct Held {
    id: String,
    session: Option<String>,
}

impl Buyer {
    pub(crate) fn new(world: Arc<World>, seed: u64, number: u64) -> Self {
        let token = world.token(&format!("buyer{number}"));
        Self {
            world,
            token,
            random: StdRng::seed_from_u64(seed.rotate_left(32) ^ number),
            number,
            visits: 0,
        }
    }

    pub(crate) async fn come_and_go(mut self, mut closing: watch::Receiver<bool>) {
        while sleeps(self.seconds(PAUSE_MAX_SECONDS), &mut closing).await {
            self.visits += 1;
            if let Some(held) = self.book().await {
                self.go_on(&held).await;
            }
        }
    }

    /// What they do with their booking.
    async fn go_on(&mut self, held: &Held) {
        tokio::time::sleep(self.seconds(THOUGHT_MAX_SECONDS)).await;
        match self.random.random_range(0..100) {
            0..40 => self.pay(held, json!({})).await,
            40..54 => self.pay(held, json!({ "card": SEPA })).await,
            54..59 => {
                self.pay(held, json!({ "card": DECLINED })).await;
                self.pay(held, json!({})).await;
            }
            59..67 => {
                let late = self.world.hold.saturating_sub(Duration::from_secs(1));
                tokio::time::sleep(late + self.seconds(3.0)).await;
                self.pay(held, json!({})).await;
            }
            67..75 => self.world.tally("abandoned"),
            75..83 => self.cancel(held).await,
            83..88 => {
                tokio::join!(self.cancel(held), self.pay(held, json!({})));
            }
            88..95 => {
                let (one, _) = tokio::join!(self.reopen(held), self.reopen(held));
                self.pay(
                    &Held {
                        id: held.id.clone(),
                        session: one.or_else(|| held.session.clone()),
                    },
                    json!({}),
                )
                .await;
            }
            95..97 => return self.pay(held, json!({ "amount": 1 })).await,
            _ => {}
        }
        if self.random.random_range(0..100) < 60 {
            self.verify(held).await;
        }
    }

    /// Books one to three seats that are side by side; repeats a request that came to nothing, if
    /// it has a key.
    async fn book(&mut self) -> Option<Held> {
        let row = ["A", "B", "C", "D", "E"][self.random.random_range(0..5)];
        let first = self.random.random_range(1..=18);
        let count = self.random.random_range(1..=3);
        let seats: Vec<String> = (first..first + count)
            .map(|seat| format!("{row}{seat}"))
            .collect();
        let mut body = json!({ "kind": "show", "showId": self.world.show(), "seats": seats });
        let has_voucher = self.random.random_range(0..100) < 15;
        let what = if has_voucher {
            body["voucher"] = json!(VOUCHER);
            "book with a voucher"
        } else {
            "book"
        };
        let key = format!("visit-{}-{}", self.number, self.visits);
        let key = (self.random.random_range(0..100) < 80).then_some(key.as_str());
        for _ in 0..=REPEATS_MAX {
            match self.post(what, "/api/bookings", &body, key).await {
                Some((201, booking)) => {
                    let id = booking["id"].as_str().unwrap().to_owned();
                    let session = booking["checkout"]["sessionId"].as_str().map(str::to_owned);
                    return Some(Held { id, session });
                }
                Some((409, problem)) if problem["code"] == "idempotency_in_progress" => {}
                Some((503, _)) | None if key.is_some() => {}
                _ => return None,
            }
            tokio::time::sleep(self.seconds(2.0)).await;
        }
        None
    }

    async fn pay(&self, held: &Held, how: Value) {
        let Some(session) = &held.session else { return };
        let mut payment = how;
        payment["session"] = json!(session);
        let (status, paid) = self.world.knob("pay", payment).await;
        self.world.tally(match (status, &paid["error"]) {
            (200, Value::Null) => "payments that Stripe took",
            (200, _) => "payments that a bank declined",
            _ => "payments that came too late for Stripe",
        });
    }

    async fn cancel(&self, held: &Held) {
        self.post(
            "cancel",
            &format!("/api/bookings/{}/cancel", held.id),
            &json!({}),
            None,
        )
        .await;
    }

    async fn reopen(&self, held: &Held) -> Option<String> {
        let answer = self
            .post(
                "reopen",
                &format!("/api/bookings/{}/checkout", held.id),
                &json!({}),
                None,
            )
            .await;
        answer?.1["checkout"]["sessionId"]
            .as_str()
            .map(str::to_owned)
    }

    async fn verify(&self, held: &Held) {
        let Some(session) = &held.session else { return };
        let body = json!({ "sessionId": session });
        self.post("verify", "/api/payments/verify?wait=3", &body, None)
            .await;
    }

    /// Asks one of the processes, and counts what it says. That something broke, it may say of
    /// Stripe only.
    async fn post(
        &self,
        what: &str,
        path: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Option<(u16, Value)> {
        let call = Call {
            method: Method::POST,
            path,
            token: &self.token,
            key,
            body,
        };
        let answer = self.world.call(call).await;
        let outcome = match &answer {
            None => "no answer".to_owned(),
            Some((status, body)) => {
                format!("{status} {}", body["code"].as_str().unwrap_or_default())
            }
        };
        self.world.tally(&format!("{what}: {}", outcome.trim_end()));
        if let Some((status, body)) = &answer
            && *status >= 500
            && *status != 503
        {
            self.world
                .broken(format!("{what} was answered {status}: {body}"));
        }
        answer
    }

    fn seconds(&mut self, most: f64) -> Duration {
        Duration::from_secs_f64(self.random.random_range(0.0..most))
    }
}
