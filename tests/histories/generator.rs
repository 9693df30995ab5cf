//! A history: what it is drawn from, and in which order its steps come.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use holdfast::app::AppState;
use holdfast::domain::booking::PaymentOption;
use holdfast::domain::slots::WantedSlot;
use holdfast::routes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::harness::{Answer, TestApp};

/// Who may buy.
pub(crate) const BUYERS: [&str; 3] = ["dana", "emil", "fern"];
/// The seats of each show; at a service, the hours of its only resource.
pub(crate) const SEATS: [&str; 4] = ["A1", "A2", "A3", "A4"];

/// Two processes of the service, one database, and all that is around them.
pub(crate) struct World {
    pub(crate) harness: TestApp,
    processes: [Process; 2],
}

/// One of them, called without a proxy in between: a third of the time of a history would go into
/// it.
pub(crate) struct Process {
    pub(crate) app: AppState,
    router: Router,
}

impl World {
    /// With buyers who are known.
    pub(crate) async fn new() -> Self {
        // A few buyers hold whatever they like: histories are about their money.
        let harness = TestApp::holding_freely().await;
        let processes = [AppState::clone(&harness.app), harness.second_process()];
        let processes = processes.map(|app| Process {
            router: routes::router(AppState::clone(&app)),
            app,
        });
        for name in BUYERS {
            assert_eq!(
                harness.customer(name).get("/api/bookings").await.status,
                200
            );
        }
        Self { harness, processes }
    }
}

impl Process {
    /// Posts JSON with these headers.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        body: String,
    ) -> Answer {
        let mut request = Request::post(path)
            .header("host", "holdfast.example")
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let caller = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1)));
        let request = request.extension(caller).body(Body::from(body)).unwrap();
        let (head, body) = self
            .router
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        }
    }
}

/// What else goes wrong. Most histories know nothing but loss, disorder and crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultProfile {
    /// Stripe answers.
    Calm,
    /// Stripe errs now and then.
    Stormy,
}

/// An event of Stripe's.
#[derive(Debug, Clone)]
pub(crate) struct StripeEvent {
    pub(crate) kind: String,
    /// As it is delivered.
    pub(crate) body: String,
    /// Whether it is never delivered.
    pub(crate) lost: bool,
}

/// One case, and everything that it has drawn so far.
pub(crate) struct History<'a> {
    world: &'a World,
    pub(crate) harness: &'a TestApp,
    pub(crate) fault_profile: FaultProfile,
    /// The show, or the service, that is sold.
    pub(crate) offer: String,
    pub(crate) is_service: bool,
    /// The code of a voucher of two uses.
    pub(crate) voucher: String,
    /// When the first hour of the service begins that anybody wants.
    first_hour: DateTime<Utc>,
    /// Of a hundred events, so many are never delivered.
    pub(crate) lost_of_hundred: u32,
    /// The events of Stripe's so far, oldest first.
    pub(crate) seen: Vec<StripeEvent>,
    /// The newest event that has been looked at.
    pub(crate) newest: Option<String>,
    /// Whether Stripe has made a session behind a failure that it has stored.
    pub(crate) hides_session: bool,
    /// The booking that each idempotency key has made.
    pub(crate) keys: Mutex<BTreeMap<String, String>>,
    seed: u64,
    random: StdRng,
    steps: &'a Mutex<Vec<String>>,
}

/// What goes back of what is cancelled: all of it, a part, or nothing.
fn policy(seed: u64) -> Value {
    let percent = [100, 50, 33, 0][usize::try_from(seed / 4 % 4).unwrap()];
    json!([{ "hoursBefore": 0, "refundPercent": percent }])
}

/// A service that is open all day, for twelve euros an hour.
async fn new_service(harness: &TestApp, seed: u64) -> String {
    let service = json!({
        "slug": format!("service-{seed}"), "title": "Service", "timezone": "UTC",
        "pricePerHour": { "amountMinor": 1200, "currency": "eur" }, "depositPercent": 50,
        "minHours": 1, "maxHours": 8, "opensAt": "00:00", "closesAt": "23:59",
        "resources": ["one"], "cancellationPolicy": policy(seed),
    });
    let made = harness.admin().post("/api/admin/services", service).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.body["id"].as_str().unwrap().to_owned()
}

/// A voucher that can be used twice, and takes off a third or all.
async fn new_voucher(harness: &TestApp, seed: u64) -> String {
    let code = format!("voucher-{seed}");
    let percent = if seed.is_multiple_of(5) { 100 } else { 33 };
    let voucher = json!({ "code": code, "percentOff": percent, "maxUses": 2 });
    let made = harness.admin().post("/api/admin/vouchers", voucher).await;
    assert_eq!(made.status, 201, "{made:?}");
    code
}

impl<'a> History<'a> {
    /// Forgets what Stripe knew of the history before, and opens a show or a service.
    pub(crate) async fn begin(world: &'a World, seed: u64, steps: &'a Mutex<Vec<String>>) -> Self {
        let harness = &world.harness;
        harness.knob("reset", json!({})).await;
        harness.knob("clock", json!({ "now": harness.now() })).await;
        harness.knob("deliveries", json!({ "drop": true })).await;
        let mut random = StdRng::seed_from_u64(seed);
        let lost_of_hundred = [0, 0, 15, 50, 100][random.random_range(0..5)];
        let soon = random.random_range(0..6) == 0;
        let starts_in = if soon {
            TimeDelta::minutes(20)
        } else {
            TimeDelta::days(60)
        };
        let is_service = seed % 4 == 3;
        let starts_at = harness.now() + starts_in;
        let offer = if is_service {
            new_service(harness, seed).await
        } else {
            let show = json!({
                "startsAt": starts_at, "blocked": [], "cancellationPolicy": policy(seed),
                "rows": [{ "row": "A", "seats": SEATS.len(), "tier": "regular" }],
            });
            harness.show_with(show).await
        };
        let history = Self {
            world,
            harness,
            fault_profile: if seed % 6 == 5 {
                FaultProfile::Stormy
            } else {
                FaultProfile::Calm
            },
            offer,
            is_service,
            voucher: new_voucher(harness, seed).await,
            first_hour: starts_at.duration_trunc(TimeDelta::minutes(1)).unwrap(),
            lost_of_hundred,
            seen: Vec::new(),
            newest: None,
            hides_session: false,
            keys: Mutex::default(),
            seed,
            random,
            steps,
        };
        history.note(&format!(
            "a {} {starts_in} ahead, {lost_of_hundred} % of the events lost",
            if is_service { "slot" } else { "show" }
        ));
        history
    }

    /// From the first step to the end.
    pub(crate) async fn run(mut self) {
        if self.chance(15) {
            self.hide_session().await;
            self.book().await;
            self.advance(TimeDelta::seconds(5)).await;
            self.run_jobs(true).await;
        } else {
            self.book().await;
        }
        for step in 0..self.draw(14) + 3 {
            // What a race has changed in one step does not change what the next ones are drawn
            // from.
            self.random = StdRng::seed_from_u64(self.seed * 1_000 + u64::from(step));
            self.step().await;
            if self.chance(25) {
                self.check_fence().await;
            }
        }
        self.end().await;
    }

    async fn step(&mut self) {
        match self.draw(if self.fault_profile == FaultProfile::Stormy {
            34
        } else {
            31
        }) {
            0..12 => self.perform_some().await,
            12..16 => self.pay().await,
            16..18 => self.settle().await,
            18..22 => {
                self.run_jobs(true).await;
            }
            22..24 => {
                let seconds = [1, 5, 45, 300, 601, 900, 2_200, 100_000][self.index(8)];
                self.advance(TimeDelta::seconds(seconds)).await;
            }
            24 | 25 => self.crash().await,
            26 if !self.is_service && self.chance(70) => self.cancel_show().await,
            26 => self.close_show().await,
            27 | 28 => self.refund_by_hand().await,
            29 | 30 => self.decide_refund().await,
            _ => {
                self.inject_fault().await;
                self.perform_some().await;
            }
        }
    }

    /// The hours that stand for these seats.
    pub(crate) fn slot(&self, seats: &[&str]) -> WantedSlot {
        let place = SEATS.iter().position(|seat| seat == &seats[0]).unwrap();
        WantedSlot {
            starts_at: self.first_hour + TimeDelta::hours(place.try_into().unwrap()),
            hours: seats.len().try_into().unwrap(),
            payment_option: PaymentOption::Half,
        }
    }

    /// Lets time pass.
    pub(crate) async fn advance(&mut self, by: TimeDelta) {
        self.note(&format!("{} seconds pass", by.num_seconds()));
        if by >= TimeDelta::days(1) {
            // Keys are kept as long as that.
            self.keys.lock().unwrap().clear();
        }
        self.harness.advance(by).await;
    }

    /// Either of the two.
    pub(crate) fn process(&mut self) -> &'a Process {
        &self.world.processes[self.index(2)]
    }

    /// A number below `end`.
    pub(crate) fn draw(&mut self, end: u32) -> u32 {
        self.random.random_range(0..end)
    }

    /// An index of something that has `length` of them.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        self.random.random_range(0..length)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.draw(100) < percent
    }

    /// One of them, if there is one.
    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() {
            None
        } else {
            Some(from[self.index(from.len())].clone())
        }
    }

    /// Writes a step down.
    pub(crate) fn note(&self, step: &str) {
        self.steps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(step.to_owned());
    }
}
