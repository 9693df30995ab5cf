//! What a process needs around it on one machine, and one that needs it: a database, a Stripe, an
//! issuer; the soak and the hostile callers have the same.

pub(crate) mod memory;
pub(crate) mod process;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use holdfast::app::Clock;
use holdfast::dev::identity::{Issuer, IssuerSettings};
use holdfast::dev::simulator::{Endpoint, Options, Simulator};
use holdfast::dev::test_database::{TestDatabase, digest};
use holdfast::repositories::database::{self, MIGRATOR, QUEUE_VERSION};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use sqlx::ConnectOptions;

pub(crate) const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
pub(crate) const STRIPE_KEY: &str = "sk_test_bench";
const ORIGIN: &str = "http://front.example";
const WEBHOOK_SECRET: &str = "whsec_bench";
/// How long the tokens of callers are good: longer than any run.
const TOKEN_LIFE_SECONDS: i64 = 24 * 60 * 60;
const SEAT_PRICE_MINOR: u32 = 1_200;

/// Each of them ends with this.
pub(crate) struct Surroundings {
    pub(crate) simulator: Simulator,
    pub(crate) issuer: Issuer,
    pub(crate) database: TestDatabase,
}

/// A simulator on a port of its own, whose clock is the system's.
pub(crate) fn simulator_options() -> Options {
    Options {
        bind: ANY_PORT,
        endpoints: Vec::new(),
        data_file: None,
        now: None,
    }
}

impl Surroundings {
    /// Around this simulator.
    pub(crate) async fn new(simulator: Simulator) -> Self {
        let issuer = Issuer::start(IssuerSettings {
            bind: ANY_PORT,
            key_file: None,
            site: None,
        });
        let schema = format!("{}_{QUEUE_VERSION}", digest(&MIGRATOR));
        let database = TestDatabase::create_with(&schema, async |db| database::migrate(&db).await);
        Self {
            simulator,
            issuer: issuer.await.unwrap(),
            database: database.await,
        }
    }

    /// The settings that a process cannot do without.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let database_url = self.database.options().to_url_lossy().to_string();
        vec![
            ("DATABASE_URL", database_url),
            ("STRIPE_SECRET_KEY", STRIPE_KEY.to_owned()),
            ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
            ("STRIPE_API_BASE", self.simulator.url()),
            ("CLERK_ISSUER", self.issuer.url()),
            ("APP_ORIGINS", ORIGIN.to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
        ]
    }

    /// Has events of Stripe's sent to `url`.
    pub(crate) fn send_events_to(&self, url: String) {
        self.simulator.add_endpoint(Endpoint {
            url,
            secret: WEBHOOK_SECRET.to_owned(),
            api_version: None,
        });
    }

    /// The token of an account, whose role is in `metadata` if it has one.
    pub(crate) fn token(&self, name: &str, metadata: &Value) -> String {
        let now = Clock::system().now().timestamp();
        self.issuer.token(&json!({
            "sub": format!("user_{name}"), "email": format!("{name}@example.com"),
            "iss": self.issuer.url(), "azp": ORIGIN, "metadata": metadata,
            "iat": now, "nbf": now, "exp": now + TOKEN_LIFE_SECONDS,
        }))
    }

    /// The token of somebody who may all.
    pub(crate) fn admin_token(&self) -> String {
        self.token("admin", &json!({ "role": "admin" }))
    }

    /// Turns a knob of the simulator.
    pub(crate) async fn knob(&self, http: &Client, name: &str, setting: &Value) -> (u16, Value) {
        let url = format!("{}/_simulator/{name}", self.simulator.url());
        let request = http.post(url).header("content-type", "application/json");
        send(request.body(setting.to_string())).await.unwrap()
    }
}

/// What an admin sends to put a show on sale that begins in a month, with rows of so many seats.
pub(crate) fn show(rows: impl IntoIterator<Item = String>, seats: usize) -> Value {
    let rows = rows.into_iter();
    let rows = rows.map(|row| json!({ "row": row, "seats": seats, "tier": "regular" }));
    let price = json!({ "amountMinor": SEAT_PRICE_MINOR, "currency": "eur" });
    json!({
        "title": "Metropolis", "startsAt": Clock::system().now() + chrono::TimeDelta::days(30),
        "timezone": "Europe/Berlin", "rows": rows.collect::<Vec<_>>(),
        "tiers": [{ "name": "regular", "price": price }],
    })
}

/// Status and JSON of an answer.
pub(crate) async fn send(request: RequestBuilder) -> reqwest::Result<(u16, Value)> {
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok((status, body))
}
