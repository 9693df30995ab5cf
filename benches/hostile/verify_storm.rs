//! Callers who ask about their sessions as fast as their limits let them, while others book: nobody
//! who books may notice. Prints how long buyers waited, and how often Stripe was asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use holdfast::app::Clock;
use holdfast::config::{Config, StripeLimits};
use holdfast::dev::simulator::Simulator;
use holdfast::{jobs, routes, workflows};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::report::Report;
use crate::surroundings::{ANY_PORT, Surroundings, send, show, simulator_options};

/// Who ask, with so many sessions each, about all of which they ask at once.
const CALLERS: usize = 25;
const SESSIONS: usize = 6;
/// What there is to be booked.
const ROWS: [&str; 5] = ["A", "B", "C", "D", "E"];
const ROW_SEATS: usize = 40;
/// Who book meanwhile, one seat each.
const BUYERS: usize = 20;
/// Between two buyers.
const BUYER_EVERY: Duration = Duration::from_millis(700);
/// How long the storm blows before the first buyer comes.
const BEFORE_BUYERS: Duration = Duration::from_secs(3);
/// How long Stripe takes for an answer.
const STRIPE_SECONDS: f64 = 0.1;
/// What nine of ten buyers must not wait for longer than.
const P90_MAX: Duration = Duration::from_secs(1);

/// What differs from run to run.
struct Case {
    name: &'static str,
    limits: StripeLimits,
    /// `RATE_LIMIT_PER_MINUTE`; nothing is the default.
    per_minute: &'static str,
}

const CASES: [Case; 4] = [
    Case {
        name: "live key, the default limit",
        limits: StripeLimits::LIVE,
        per_minute: "",
    },
    Case {
        name: "live key, no limit",
        limits: StripeLimits::LIVE,
        per_minute: "0",
    },
    Case {
        name: "test key, the default limit",
        limits: StripeLimits::SANDBOX,
        per_minute: "",
    },
    Case {
        name: "test key, no limit",
        limits: StripeLimits::SANDBOX,
        per_minute: "0",
    },
];

/// How a buyer fared.
struct Booked {
    status: u16,
    took: Duration,
}

struct World {
    surroundings: Surroundings,
    url: String,
    http: Client,
    show: String,
}

/// Runs all cases.
pub(crate) async fn run() -> Vec<Report> {
    let mut reports = Vec::new();
    for case in &CASES {
        reports.push(blow(case).await);
    }
    reports
}

async fn blow(case: &Case) -> Report {
    let mut report = Report::begin(&format!("verify-storm, {}", case.name));
    let stopping = CancellationToken::new();
    let world = Arc::new(World::new(case, &stopping).await);
    let sessions = world.sessions().await;
    let before = world.reads().await;
    let began = Instant::now();
    let callers = sessions.into_iter().map(|(token, session)| {
        let (world, stopping) = (Arc::clone(&world), stopping.clone());
        tokio::spawn(async move {
            let asking = world.ask_on_and_on(&token, &session);
            stopping.run_until_cancelled(asking).await
        })
    });
    let callers: Vec<_> = callers.collect();
    tokio::time::sleep(BEFORE_BUYERS).await;
    let mut buyers = Vec::new();
    for number in 0..BUYERS {
        let world = Arc::clone(&world);
        buyers.push(tokio::spawn(async move { world.book_one(number).await }));
        tokio::time::sleep(BUYER_EVERY).await;
    }
    let buyers = join_all(buyers).await;
    let mut buyers: Vec<_> = buyers.into_iter().map(Result::unwrap).collect();
    let took = began.elapsed();
    let reads = world.reads().await - before;
    stopping.cancel();
    join_all(callers).await;
    buyers.sort_by_key(|buyer| buyer.took);
    let refused = buyers.iter().filter(|buyer| buyer.status != 201).count();
    let (p50, p90) = (buyers[BUYERS / 2].took, buyers[BUYERS * 9 / 10 - 1].took);
    report.note("buyers' p50", "18.6 s", p50);
    report.at_most("buyers' p90", "", p90, P90_MAX);
    let of_all = format!("not booked, of {BUYERS} buyers");
    report.at_most(&of_all, "8", refused, 0);
    let read = format!("reads at Stripe in {took:.0?}");
    report.note(&read, "5,169 in 52 s", reads);
    report.end()
}

impl World {
    async fn new(case: &Case, stopping: &CancellationToken) -> Self {
        let simulator = Simulator::start(simulator_options()).await;
        let surroundings = Surroundings::new(simulator.unwrap()).await;
        let environment = surroundings.environment();
        let setting = |variable: &str| match variable {
            "HOLDS_PER_USER" => Some("0".to_owned()),
            "RATE_LIMIT_PER_MINUTE" => Some(case.per_minute.to_owned()),
            _ => {
                let mut set = environment.iter().filter(|(name, _)| *name == variable);
                set.next().map(|(_, value)| value.clone())
            }
        };
        let mut config = Config::read(setting).unwrap();
        config.stripe.limits = case.limits;
        let app = workflows::build_app(config, Clock::system()).unwrap();
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = stopping.clone();
        tokio::spawn(async move {
            let serving = routes::serve(
                listener,
                routes::router(Arc::clone(&app)),
                &[],
                stop.clone().cancelled_owned(),
            );
            tokio::join!(serving, Box::pin(jobs::run(app, stop)));
        });
        let mut world = Self {
            surroundings,
            url,
            http: Client::new(),
            show: String::new(),
        };
        world.open_show().await;
        let delay = json!({
            "route": "*", "kind": "delay", "seconds": STRIPE_SECONDS, "times": 1_000_000,
        });
        let (status, turned) = world.surroundings.knob(&world.http, "faults", &delay).await;
        assert_eq!(status, 200, "{turned}");
        world
    }

    async fn open_show(&mut self) {
        let show = show(ROWS.map(str::to_owned), ROW_SEATS);
        let admin = self.surroundings.admin_token();
        let (status, show) = self.post(&admin, "/api/admin/shows", &show).await;
        assert_eq!(status, 201, "{show}");
        show["id"].as_str().unwrap().clone_into(&mut self.show);
    }

    /// The sessions of the callers, with the tokens that may ask about them.
    async fn sessions(&self) -> Vec<(String, String)> {
        let book = async |number: usize| {
            let token = self
                .surroundings
                .token(&format!("caller{}", number / SESSIONS), &json!({}));
            let (status, booking) = self.book(&token, number).await;
            assert_eq!(status, 201, "{booking}");
            let session = booking["checkout"]["sessionId"].as_str().unwrap();
            (token, session.to_owned())
        };
        let mut sessions = Vec::new();
        // No faster than the limits of Stripe let them.
        for some in (0..CALLERS * SESSIONS).collect::<Vec<_>>().chunks(10) {
            sessions.extend(join_all(some.iter().copied().map(book)).await);
        }
        sessions
    }

    async fn ask_on_and_on(&self, token: &str, session: &str) {
        let body = json!({ "sessionId": session });
        loop {
            let url = format!("{}/api/payments/verify?wait=0", self.url);
            let request = self.http.post(url).bearer_auth(token);
            let request = request.header("content-type", "application/json");
            let Ok(answer) = request.body(body.to_string()).send().await else {
                return;
            };
            let wait = answer.headers().get("retry-after");
            if let Some(seconds) = wait.and_then(|wait| wait.to_str().ok()?.parse().ok()) {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
        }
    }

    async fn book_one(&self, number: usize) -> Booked {
        let token = self
            .surroundings
            .token(&format!("buyer{number}"), &json!({}));
        let began = Instant::now();
        let (status, _) = self.book(&token, CALLERS * SESSIONS + number).await;
        let took = began.elapsed();
        Booked { status, took }
    }

    /// Books the seat of this number.
    async fn book(&self, token: &str, number: usize) -> (u16, Value) {
        let (row, seat) = (ROWS[number / ROW_SEATS], number % ROW_SEATS + 1);
        let seat = format!("{row}{seat}");
        let wanted = json!({ "kind": "show", "showId": self.show, "seats": [seat] });
        self.post(token, "/api/bookings", &wanted).await
    }

    async fn post(&self, token: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.url));
        let request = request.header("content-type", "application/json");
        let request = request.bearer_auth(token).body(body.to_string());
        send(request).await.unwrap()
    }

    /// How often Stripe was asked how a session stands.
    async fn reads(&self) -> usize {
        let url = self.surroundings.simulator.url();
        let asked = self.http.get(format!("{url}/_simulator/requests"));
        let (_, asked) = send(asked).await.unwrap();
        let is_read = |asked: &&Value| {
            let path = asked["path"].as_str().unwrap_or_default();
            asked["method"] == "GET" && path.starts_with("/v1/checkout/sessions/")
        };
        asked.as_array().unwrap().iter().filter(is_read).count()
    }
}
