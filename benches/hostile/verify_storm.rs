//! Callers who ask about their sessions as fast as their limits let them, while others book: nobody
//! who books may notice. Prints how long buyers waited, and how often Stripe was asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use holdfast::app::Clock;
use holdfast::config::{Config, StripeLimits};
use holdfast::dev::identity::{Issuer, IssuerSettings};
use holdfast::dev::simulator::{Options, Simulator};
use holdfast::dev::test_database::{TestDatabase, digest};
use holdfast::repositories::database::{self, MIGRATOR, QUEUE_VERSION};
use holdfast::{jobs, routes, workflows};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const ORIGIN: &str = "http://front.example";
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Who ask, with so many sessions each, about all of which they ask at once.
const CALLERS: usize = 25;
const SESSIONS: usize = 6;
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
    simulator: Simulator,
    issuer: Issuer,
    url: String,
    http: Client,
    show: String,
    _database: TestDatabase,
}

/// Runs all cases; what has gone wrong.
pub(crate) async fn run() -> Vec<String> {
    let mut wrong = Vec::new();
    for case in &CASES {
        wrong.extend(blow(case).await);
    }
    wrong
}

async fn blow(case: &Case) -> Option<String> {
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
    println!(
        "{:<28} buyers' p50 {p50:>9.1?}, p90 {p90:>9.1?}, not booked {refused} of {BUYERS}; \
         {reads} reads at Stripe in {took:.1?}",
        case.name
    );
    let is_wrong = refused > 0 || p90 > P90_MAX;
    is_wrong.then(|| format!("{}: buyers notice", case.name))
}

impl World {
    async fn new(case: &Case, stopping: &CancellationToken) -> Self {
        let options = Options {
            bind: ANY_PORT,
            endpoints: Vec::new(),
            data_file: None,
            now: None,
        };
        let simulator = Simulator::start(options).await.unwrap();
        let issuer = Issuer::start(IssuerSettings {
            bind: ANY_PORT,
            key_file: None,
            site: None,
        })
        .await
        .unwrap();
        let schema = format!("{}_{QUEUE_VERSION}", digest(&MIGRATOR));
        let database =
            TestDatabase::create_with(&schema, async |db| database::migrate(&db).await).await;
        let setting = |variable: &str| match variable {
            "DATABASE_URL" => Some(database.options().to_url_lossy().to_string()),
            "STRIPE_SECRET_KEY" => Some("sk_test_hostile".to_owned()),
            "STRIPE_WEBHOOK_SECRET" => Some("whsec_hostile".to_owned()),
            "STRIPE_API_BASE" => Some(simulator.url()),
            "CLERK_ISSUER" => Some(issuer.url()),
            "APP_ORIGINS" => Some(ORIGIN.to_owned()),
            "HOLDS_PER_USER" => Some("0".to_owned()),
            "RATE_LIMIT_PER_MINUTE" => Some(case.per_minute.to_owned()),
            _ => None,
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
            simulator,
            issuer,
            url,
            http: Client::new(),
            show: String::new(),
            _database: database,
        };
        world.open_show().await;
        let delay = json!({
            "route": "*", "kind": "delay", "seconds": STRIPE_SECONDS, "times": 1_000_000,
        });
        let knob = format!("{}/_simulator/faults", world.simulator.url());
        let turned = world.http.post(knob).body(delay.to_string()).send().await;
        assert!(turned.unwrap().status().is_success());
        world
    }

    async fn open_show(&mut self) {
        let rows = ["A", "B", "C", "D", "E"];
        let rows = rows.map(|row| json!({ "row": row, "seats": 40, "tier": "regular" }));
        let starts_at = Clock::system().now() + chrono::TimeDelta::days(30);
        let show = json!({
            "title": "Metropolis", "startsAt": starts_at, "timezone": "Europe/Berlin", "rows": rows,
            "tiers": [{ "name": "regular", "price": { "amountMinor": 1200, "currency": "eur" } }],
        });
        let admin = self.token("admin", &json!({ "role": "admin" }));
        let (status, show) = self.post(&admin, "/api/admin/shows", &show).await;
        assert_eq!(status, 201, "{show}");
        show["id"].as_str().unwrap().clone_into(&mut self.show);
    }

    /// The sessions of the callers, with the tokens that may ask about them.
    async fn sessions(&self) -> Vec<(String, String)> {
        let book = async |number: usize| {
            let token = self.token(&format!("caller{}", number / SESSIONS), &json!({}));
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
        let token = self.token(&format!("buyer{number}"), &json!({}));
        let began = Instant::now();
        let (status, _) = self.book(&token, CALLERS * SESSIONS + number).await;
        let took = began.elapsed();
        Booked { status, took }
    }

    /// Books the seat of this number.
    async fn book(&self, token: &str, number: usize) -> (u16, Value) {
        let seat = format!(
            "{}{}",
            ["A", "B", "C", "D", "E"][number / 40],
            number % 40 + 1
        );
        let wanted = json!({ "kind": "show", "showId": self.show, "seats": [seat] });
        self.post(token, "/api/bookings", &wanted).await
    }

    async fn post(&self, token: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.url));
        let request = request.header("content-type", "application/json");
        let request = request.bearer_auth(token).body(body.to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.text().await.unwrap();
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    /// How often Stripe was asked how a session stands.
    async fn reads(&self) -> usize {
        let url = format!("{}/_simulator/requests", self.simulator.url());
        let asked = self.http.get(url).send().await.unwrap().text().await;
        let asked: Value = serde_json::from_str(&asked.unwrap()).unwrap();
        let is_read = |asked: &&Value| {
            let path = asked["path"].as_str().unwrap_or_default();
            asked["method"] == "GET" && path.starts_with("/v1/checkout/sessions/")
        };
        asked.as_array().unwrap().iter().filter(is_read).count()
    }

    fn token(&self, name: &str, metadata: &Value) -> String {
        let now = Clock::system().now().timestamp();
        self.issuer.token(&json!({
            "sub": format!("user_{name}"), "email": format!("{name}@example.com"),
            "iss": self.issuer.url(), "azp": ORIGIN, "metadata": metadata,
            "iat": now, "nbf": now, "exp": now + 60 * 60,
        }))
    }
}
