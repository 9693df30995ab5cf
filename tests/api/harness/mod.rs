//! The harness of a test: the API on a database of its own, a Stripe simulator, an issuer, and a
//! clock that stands still.

mod answer;
mod background;
mod caller;
mod database_clock;
mod log;
mod raw;
mod stripe;

use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::task::Poll;
use std::thread;

use chrono::{DateTime, TimeDelta, Utc};
use holdfast::app::{AppState, Clock};
use holdfast::config::{Config, Secret, StripeLimits};
use holdfast::dev::identity::{Issuer, IssuerSettings};
use holdfast::dev::simulator::{Endpoint, Options, Simulator};
use holdfast::dev::test_database::TestDatabase;
use holdfast::workflows::verification::{self, Findings};
use holdfast::{jobs, routes, workflows};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

pub(crate) use answer::{Answer, send};
pub(crate) use caller::Caller;
pub(crate) use database_clock::database;
pub(crate) use log::Log;
pub(crate) use raw::RawConnection;
pub(crate) use stripe::sign;

/// The front end of the tests, first of `APP_ORIGINS`.
pub(crate) const ORIGIN: &str = "http://front.example";
/// The secret of the webhook endpoint.
pub(crate) const SECRET: &str = "whsec_test";
/// The gauge of money, over all currencies.
const UNPLACED: &str = "select coalesce(sum(unplaced_minor), 0)::bigint from money_unplaced";
const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A running Holdfast and the world around it.
pub(crate) struct TestApp {
    pub(crate) app: AppState,
    pub(crate) url: String,
    pub(crate) simulator: Simulator,
    pub(crate) issuer: Issuer,
    pub(crate) http: reqwest::Client,
    config: Config,
    clock: Clock,
    database: TestDatabase,
    /// Whether the gauge of money must say 0 at the end.
    is_gauged: bool,
}

impl TestApp {
    /// With the settings of the tests: no rate limit, holds of ten minutes, Stripe in test mode.
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// Whose buyers may hold as much as they like: for tests of something else, in which somebody
    /// holds more than one booking of a show.
    pub(crate) async fn holding_freely() -> Self {
        Self::with(&[("HOLDS_PER_USER", "0")]).await
    }

    /// With some settings of its own, by variable.
    pub(crate) async fn with(own: &[(&str, &str)]) -> Self {
        Self::on(database().await, own).await
    }

    /// On this database, with some settings of its own.
    pub(crate) async fn on(database: TestDatabase, own: &[(&str, &str)]) -> Self {
        let now: DateTime<Utc> = database_clock::BEGIN.parse().unwrap();
        let issuer = Issuer::start(IssuerSettings {
            bind: ANY_PORT,
            key_file: None,
            site: None,
        })
        .await
        .unwrap();
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let endpoint = Endpoint {
            url: format!("{url}/api/stripe"),
            secret: SECRET.to_owned(),
            api_version: None,
        };
        let options = Options {
            bind: ANY_PORT,
            endpoints: vec![endpoint],
            data_file: None,
            now: Some(now),
        };
        let simulator = Simulator::start(options).await.unwrap();
        let setting = |variable: &str| {
            let of_the_test = own
                .iter()
                .find(|(name, _)| *name == variable)
                .map(|(_, value)| (*value).to_owned());
            of_the_test.or_else(|| match variable {
                "DATABASE_URL" => Some(database.options_of_serve().to_url_lossy().to_string()),
                "STRIPE_SECRET_KEY" => Some("sk_test_stage".to_owned()),
                "STRIPE_WEBHOOK_SECRET" => Some(SECRET.to_owned()),
                "STRIPE_API_BASE" => Some(simulator.url()),
                "CLERK_ISSUER" => Some(issuer.url()),
                "APP_ORIGINS" => Some(format!("{ORIGIN},http://other-front.example")),
                "RATE_LIMIT_PER_MINUTE" => Some("0".to_owned()),
                _ => None,
            })
        };
        let config = Config::read(setting).unwrap();
        let clock = Clock::stopped(now);
        let app = workflows::build_app(config.clone(), clock.clone()).unwrap();
        serve(listener, AppState::clone(&app));
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            app,
            url,
            simulator,
            issuer,
            http,
            config,
            clock,
            database,
            is_gauged: true,
        }
    }

    /// Whose rows are made by hand, so that captured money may be anywhere.
    pub(crate) fn without_gauge(mut self) -> Self {
        self.is_gauged = false;
        self
    }

    /// Starts another process of the same service on the same database; returns its URL.
    pub(crate) async fn second_server(&self) -> String {
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        serve(listener, self.second_process());
        url
    }

    /// Starts another process that calls Stripe no faster than this; returns its URL.
    pub(crate) async fn limited_server(&self, limits: StripeLimits) -> String {
        let mut config = self.config.clone();
        config.stripe.limits = limits;
        let app = workflows::build_app(config, self.clock.clone()).unwrap();
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        serve(listener, app);
        url
    }

    /// Another process that nobody can call from outside.
    pub(crate) fn second_process(&self) -> AppState {
        workflows::build_app(self.config.clone(), self.clock.clone()).unwrap()
    }

    /// The time of the API.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Moves all clocks: of the API, of the database and of the simulator.
    pub(crate) async fn advance(&self, by: TimeDelta) {
        self.clock.advance(by).unwrap();
        database_clock::stand_at(self.db(), self.now()).await;
        self.knob("clock", json!({ "now": self.now() })).await;
        self.simulator.settled().await;
    }

    /// Moves the clock of the API alone, forward or back.
    pub(crate) fn jump(&self, by: TimeDelta) {
        self.clock.advance(by).unwrap();
    }

    /// Sets the database's clock alone.
    pub(crate) async fn set_database_clock(&self, now: DateTime<Utc>) {
        database_clock::stand_at(self.db(), now).await;
    }

    /// Calls without a token.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.http.get(format!("{}{path}", self.url))).await
    }

    /// A request of any kind, to be sent with [`send`].
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// A show with two rows of ten, A for 12 euros and B for 25; A1 is blocked. Its seats may be
    /// paid by methods that take days.
    pub(crate) async fn show(&self) -> String {
        self.show_with(json!({})).await
    }

    /// The show of [`TestApp::show`], with some members of its own.
    pub(crate) async fn show_with(&self, own: Value) -> String {
        let mut show = json!({
            "title": "Metropolis", "startsAt": "2026-12-24T19:30:00Z", "timezone": "Europe/Berlin",
            "tiers": [
                { "name": "regular", "price": { "amountMinor": 1200, "currency": "eur" } },
                { "name": "box", "price": { "amountMinor": 2500, "currency": "eur" } },
            ],
            "rows": [
                { "row": "A", "seats": 10, "tier": "regular" },
                { "row": "B", "seats": 10, "tier": "box" },
            ],
            "blocked": ["A1"], "delayedMethods": true,
        });
        for (name, value) in own.as_object().unwrap() {
            show[name] = value.clone();
        }
        let made = self.admin().post("/api/admin/shows", show).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.body["id"].as_str().unwrap().to_owned()
    }

    /// The database of this test.
    pub(crate) fn db(&self) -> &PgPool {
        self.database.pool()
    }

    /// The database as the owner of its tables.
    pub(crate) fn owner_url(&self) -> Secret {
        Secret::new(self.database.options().to_url_lossy())
    }

    /// What `holdfast verify` finds, a line for each difference.
    pub(crate) async fn verify(&self) -> Vec<String> {
        let url = &self.owner_url();
        let mut findings = Findings::default();
        verification::verify(url, self.now(), pending(), &mut findings, |_| ())
            .await
            .unwrap();
        let differences = findings.differences.iter();
        differences.map(ToString::to_string).collect()
    }

    /// One value of the database, as text; SQL's null as "".
    pub(crate) async fn sql(&self, query: &str) -> String {
        let query = format!("select coalesce(({query})::text, '')");
        sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_one(self.db())
            .await
            .unwrap()
    }
}

/// After each test, captured money is in exactly one place.
impl Drop for TestApp {
    fn drop(&mut self) {
        if thread::panicking() || !self.is_gauged {
            return;
        }
        let database = self.database.options();
        let unplaced = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut db = database.connect().await.unwrap();
                let unplaced = sqlx::query_scalar(UNPLACED).fetch_one(&mut db);
                unplaced.await.unwrap()
            })
        });
        let unplaced: i64 = unplaced.join().unwrap();
        assert_eq!(
            unplaced, 0,
            "captured money that is not in exactly one place"
        );
    }
}

/// Serves, and reads the feed of booking events, as long as the test runs.
fn serve(listener: TcpListener, app: AppState) {
    tokio::spawn(async move {
        let serving = routes::serve(
            listener,
            routes::router(AppState::clone(&app)),
            &[],
            pending(),
        );
        tokio::join!(serving, jobs::feed(&app))
    });
}

/// Lets `work` go on until it has been woken `polls` times, and drops it where it then stands, as a
/// process dies.
pub(crate) async fn cut_short<F: Future>(work: F, polls: u32) -> Option<F::Output> {
    let mut work = Box::pin(work);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}
