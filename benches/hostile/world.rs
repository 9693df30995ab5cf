//! What is around the callers: a database, a Stripe, an issuer, and one process.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Mutex;

use holdfast::app::Clock;
use holdfast::dev::identity::{Issuer, IssuerSettings};
use holdfast::dev::simulator::{Endpoint, Options, Simulator};
use holdfast::dev::test_database::{TestDatabase, digest};
use holdfast::repositories::database::{self, MIGRATOR, QUEUE_VERSION};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sqlx::ConnectOptions;

use crate::process::{Errors, Process};

const ORIGIN: &str = "http://front.example";
const SECRET: &str = "whsec_hostile";
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// All of it ends with this.
pub(crate) struct World {
    url: String,
    http: Client,
    issuer: Issuer,
    _process: Process,
    _simulator: Simulator,
    _database: TestDatabase,
}

/// Somebody with an account.
pub(crate) struct Caller<'a> {
    world: &'a World,
    token: String,
    /// How often they got which answer.
    pub(crate) answers: Mutex<BTreeMap<String, u64>>,
}

impl World {
    /// With what the process cannot do without, and with these settings; all others are the
    /// defaults.
    pub(crate) async fn new(own: &[(&'static str, &str)], given: &[(String, String)]) -> Self {
        let options = Options {
            bind: ANY_PORT,
            endpoints: Vec::new(),
            data_file: None,
            now: None,
        };
        let simulator = Simulator::start(options).await.unwrap();
        let issuer = IssuerSettings {
            bind: ANY_PORT,
            key_file: None,
            site: None,
        };
        let issuer = Issuer::start(issuer).await.unwrap();
        let schema = format!("{}_{QUEUE_VERSION}", digest(&MIGRATOR));
        let database =
            TestDatabase::create_with(&schema, async |db| database::migrate(&db).await).await;
        let needed = [
            (
                "DATABASE_URL",
                database.options().to_url_lossy().to_string(),
            ),
            ("STRIPE_SECRET_KEY", "sk_test_hostile".to_owned()),
            ("STRIPE_WEBHOOK_SECRET", SECRET.to_owned()),
            ("STRIPE_API_BASE", simulator.url()),
            ("CLERK_ISSUER", issuer.url()),
            ("APP_ORIGINS", ORIGIN.to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
        ];
        let own = own.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let mut environment: Vec<(&'static str, String)> = needed.into_iter().chain(own).collect();
        for (name, value) in given {
            println!("{name}={value}");
            environment.push((&*name.clone().leak(), value.clone()));
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/hostile");
        std::fs::create_dir_all(&folder).unwrap();
        let mut process = Process::new("hostile", environment, folder, &Errors::default());
        process.start().await;
        let url = process.url();
        simulator.add_endpoint(Endpoint {
            url: format!("{url}/api/stripe"),
            secret: SECRET.to_owned(),
            api_version: None,
        });
        Self {
            url,
            http: Client::new(),
            issuer,
            _process: process,
            _simulator: simulator,
            _database: database,
        }
    }

    /// An account, with claims of its own.
    pub(crate) fn caller(&self, name: &str, metadata: &Value) -> Caller<'_> {
        let now = Clock::system().now().timestamp();
        let claims = json!({
            "sub": format!("user_{name}"), "email": format!("{name}@example.com"),
            "iss": self.issuer.url(), "azp": ORIGIN, "iat": now, "nbf": now,
            "exp": now + 60 * 60, "metadata": metadata,
        });
        Caller {
            world: self,
            token: self.issuer.token(&claims),
            answers: Mutex::default(),
        }
    }

    /// Puts a show on sale, of so many rows of ten seats; returns its id.
    pub(crate) async fn show(&self, rows: u8) -> String {
        let rows: Vec<Value> = (0..rows)
            .map(|row| {
                let name = format!("{}{}", letter(row / 26), letter(row % 26));
                json!({ "row": name, "seats": 10, "tier": "regular" })
            })
            .collect();
        let show = json!({
            "title": "Metropolis", "startsAt": Clock::system().now() + chrono::TimeDelta::days(30),
            "timezone": "Europe/Berlin", "rows": rows,
            "tiers": [{ "name": "regular", "price": { "amountMinor": 1200, "currency": "eur" } }],
        });
        let admin = self.caller("admin", &json!({ "role": "admin" }));
        let (status, show) = admin.call(Method::POST, "/api/admin/shows", &show).await;
        assert_eq!(status, 201, "{show}");
        show["id"].as_str().unwrap().to_owned()
    }

    /// The labels of the seats that anybody can see to be free.
    pub(crate) async fn free_seats(&self, show: &str) -> Vec<String> {
        let map = self
            .http
            .get(format!("{}/api/shows/{show}/seats", self.url));
        let map: Value =
            serde_json::from_str(&map.send().await.unwrap().text().await.unwrap()).unwrap();
        let seats = map["seats"].as_array().unwrap();
        let free = seats.iter().filter(|seat| seat["state"] == "free");
        free.map(|seat| seat["label"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Caller<'_> {
    /// Asks for something, and counts the answer.
    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let request = self
            .world
            .http
            .request(method, format!("{}{path}", self.world.url));
        let request = request
            .bearer_auth(&self.token)
            .header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default();
        let outcome = format!("{status} {}", body["code"].as_str().unwrap_or_default());
        let mut answers = self.answers.lock().unwrap();
        *answers.entry(outcome.trim_end().to_owned()).or_default() += 1;
        (status, body)
    }

    /// Holds seats.
    pub(crate) async fn book(&self, show: &str, seats: &[String]) -> (u16, Value) {
        let order = json!({ "kind": "show", "showId": show, "seats": seats });
        self.call(Method::POST, "/api/bookings", &order).await
    }
}

fn letter(number: u8) -> char {
    char::from(b'A' + number)
}
