//! The harness of a test: the API on a database of its own, a Stripe simulator, an issuer, and a
//! clock that stands still.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use holdfast::app::{AppState, Clock};
use holdfast::config::Config;
use holdfast::dev::identity::{Issuer, IssuerSettings};
use holdfast::dev::simulator::{Endpoint, Options, Simulator};
use holdfast::dev::test_database::{TestDatabase, digest};
use holdfast::domain::job::Job;
use holdfast::jobs;
use holdfast::repositories::database::{self, MIGRATOR, QUEUE_VERSION};
use holdfast::{routes, workflows};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The front end of the tests, first of `APP_ORIGINS`.
pub(crate) const ORIGIN: &str = "http://front.example";
/// The secret of the webhook endpoint.
pub(crate) const SECRET: &str = "whsec_test";
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
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

/// Someone who calls the API with a token of his own.
pub(crate) struct Caller<'a> {
    harness: &'a TestApp,
    token: String,
}

impl TestApp {
    /// With the settings of the tests: no rate limit, holds of ten minutes, Stripe in test mode.
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With some settings of its own, by variable.
    pub(crate) async fn with(own: &[(&str, &str)]) -> Self {
        Self::on(database().await, own).await
    }

    /// On this database, with some settings of its own.
    pub(crate) async fn on(database: TestDatabase, own: &[(&str, &str)]) -> Self {
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();
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
                "DATABASE_URL" => Some(database.options().to_url_lossy().to_string()),
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
        }
    }

    /// Starts another process of the same service on the same database; returns its URL.
    pub(crate) async fn second_server(&self) -> String {
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        serve(listener, self.second_process());
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

    /// Moves the clocks of the API and of the simulator.
    pub(crate) async fn advance(&self, by: TimeDelta) {
        self.clock.advance(by).unwrap();
        self.knob("clock", json!({ "now": self.now() })).await;
        self.simulator.settled().await;
    }

    /// Does every job that is due by the clock of this test, each once, until none is due; returns
    /// how many were done. A job that fails stays.
    pub(crate) async fn run_jobs(&self) -> usize {
        let mut tried: Vec<i64> = Vec::new();
        let mut done = 0;
        loop {
            let due = "update jobs set locked_at = now(), locked_by = 'a test'
                       where id = (select id from jobs where run_at <= $1 and id <> all ($2)
                                   order by run_at, id limit 1)
                       returning id, payload::jsonb";
            let due = sqlx::query_as::<_, (i64, Value)>(due)
                .bind(self.now())
                .bind(&tried);
            let Some((id, payload)) = due.fetch_optional(self.db()).await.unwrap() else {
                return done;
            };
            tried.push(id);
            let job: Job = serde_json::from_value(payload).unwrap();
            let end = if jobs::perform(&self.app, &job).await.is_ok() {
                done += 1;
                "delete from jobs where id = $1"
            } else {
                "update jobs set locked_at = null, locked_by = null where id = $1"
            };
            sqlx::query(end).bind(id).execute(self.db()).await.unwrap();
            self.simulator.settled().await;
        }
    }

    /// Turns a knob of the simulator.
    pub(crate) async fn knob(&self, name: &str, body: Value) -> Value {
        let url = format!("{}/_simulator/{name}", self.simulator.url());
        let answer = send(self.http.post(url).body(body.to_string())).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        answer.body
    }

    /// What the simulator was asked, oldest first.
    pub(crate) async fn stripe_requests(&self) -> Vec<Value> {
        let url = format!("{}/_simulator/requests", self.simulator.url());
        send(self.http.get(url))
            .await
            .body
            .as_array()
            .unwrap()
            .clone()
    }

    /// Pays a session as a buyer does, and waits until its events are delivered.
    pub(crate) async fn pay(&self, booking: &Value) -> Value {
        let paid = self
            .knob(
                "pay",
                json!({ "session": booking["checkout"]["sessionId"] }),
            )
            .await;
        self.simulator.settled().await;
        paid
    }

    /// Pays a session while Stripe's deliveries go nowhere; returns the events as bodies to deliver
    /// by hand, by type.
    pub(crate) async fn pay_unheard(&self, knob: Value) -> HashMap<String, String> {
        self.knob("deliveries", json!({ "drop": true })).await;
        let paid = self.knob("pay", knob).await;
        self.simulator.settled().await;
        self.knob("deliveries", json!({})).await;
        let mut events = HashMap::new();
        for id in paid["events"].as_array().unwrap() {
            let event = self
                .ask_stripe(&format!("/v1/events/{}", id.as_str().unwrap()))
                .await;
            let body = serde_json::to_string_pretty(&event).unwrap();
            events.insert(event["type"].as_str().unwrap().to_owned(), body);
        }
        events
    }

    /// Tells Holdfast, out of order, that the session of a booking has ended.
    pub(crate) async fn hear_of_expiry(&self, booking: &Value) {
        let session = booking["checkout"]["sessionId"].as_str().unwrap();
        let mut object = self
            .ask_stripe(&format!("/v1/checkout/sessions/{session}"))
            .await;
        object["status"] = json!("expired");
        object["payment_status"] = json!("unpaid");
        let event = json!({
            "id": format!("evt_expired_{session}"), "object": "event", "api_version": "2026-09-30.endive", "type": "checkout.session.expired",
            "created": self.now().timestamp(), "livemode": false, "pending_webhooks": 1, "data": { "object": object },
        });
        assert_eq!(
            self.deliver(&event.to_string()).await.body["outcome"],
            "processed"
        );
    }

    /// Reads from the simulator's API.
    pub(crate) async fn ask_stripe(&self, path: &str) -> Value {
        send(
            self.http
                .get(format!("{}{path}", self.simulator.url()))
                .bearer_auth("sk_test_stage"),
        )
        .await
        .body
    }

    /// A customer, by a name that becomes his id.
    pub(crate) fn customer(&self, name: &str) -> Caller<'_> {
        let claims = self.claims(&format!("user_{name}"), &format!("{name}@example.com"));
        Caller {
            harness: self,
            token: self.issuer.token(&claims),
        }
    }

    /// An admin.
    pub(crate) fn admin(&self) -> Caller<'_> {
        let mut claims = self.claims("user_admin", "admin@example.com");
        claims["metadata"] = json!({ "role": "admin" });
        Caller {
            harness: self,
            token: self.issuer.token(&claims),
        }
    }

    /// The claims of a token that stands.
    pub(crate) fn claims(&self, sub: &str, email: &str) -> Value {
        let now = self.now().timestamp();
        json!({
            "sub": sub, "email": email, "name": sub, "iss": self.issuer.url(), "azp": ORIGIN,
            "iat": now, "nbf": now, "exp": now.saturating_add(3_600),
        })
    }

    /// Someone who brings this token.
    pub(crate) fn bearer(&self, token: String) -> Caller<'_> {
        Caller {
            harness: self,
            token,
        }
    }

    /// Calls without a token.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.http.get(format!("{}{path}", self.url))).await
    }

    /// A request of any kind, to be sent with [`send`].
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// A show with two rows of ten, A for 12 euros and B for 25; A1 is blocked.
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
            "rows": [{ "row": "A", "seats": 10, "tier": "regular" }, { "row": "B", "seats": 10, "tier": "box" }],
            "blocked": ["A1"],
        });
        for (name, value) in own.as_object().unwrap() {
            show[name] = value.clone();
        }
        let made = self.admin().post("/api/admin/shows", show).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.body["id"].as_str().unwrap().to_owned()
    }

    /// Delivers a body as Stripe does, signed now.
    pub(crate) async fn deliver(&self, body: &str) -> Answer {
        self.deliver_signed(body, &self.signature(body)).await
    }

    /// Delivers a body with this `Stripe-Signature`.
    pub(crate) async fn deliver_signed(&self, body: &str, signature: &str) -> Answer {
        let request = self
            .request(Method::POST, "/api/stripe")
            .header("stripe-signature", signature);
        send(
            request
                .header("content-type", "application/json; charset=utf-8")
                .body(body.to_owned()),
        )
        .await
    }

    /// The header that Stripe would send with this body now.
    pub(crate) fn signature(&self, body: &str) -> String {
        let timestamp = self.now().timestamp();
        format!("t={timestamp},v1={}", sign(SECRET, timestamp, body))
    }

    /// The database of this test.
    pub(crate) fn db(&self) -> &PgPool {
        self.database.pool()
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

impl Caller<'_> {
    /// Reads.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// Posts JSON.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        send(
            self.request(Method::POST, path)
                .header("content-type", "application/json")
                .body(body.to_string()),
        )
        .await
    }

    /// Posts JSON with an idempotency key.
    pub(crate) async fn post_keyed(&self, path: &str, body: Value, key: &str) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/json");
        send(
            request
                .header("idempotency-key", key)
                .body(body.to_string()),
        )
        .await
    }

    /// Holds seats of a show.
    pub(crate) async fn book(&self, show_id: &str, seats: &[&str]) -> Answer {
        self.post(
            "/api/bookings",
            json!({ "kind": "show", "showId": show_id, "seats": seats }),
        )
        .await
    }

    /// Holds seats of a show, which must succeed; returns the booking.
    pub(crate) async fn booked(&self, show_id: &str, seats: &[&str]) -> Value {
        let answer = self.book(show_id, seats).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body
    }

    /// A booking as it stands now.
    pub(crate) async fn booking(&self, booking: &Value) -> Value {
        self.get(&format!(
            "/api/bookings/{}",
            booking["id"].as_str().unwrap()
        ))
        .await
        .body
    }

    /// A request of any kind, to be sent with [`send`].
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.harness.request(method, path).bearer_auth(&self.token)
    }
}

impl Answer {
    /// Asserts a problem with this status and code, whole in every member.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> &Self {
        assert_eq!(
            (self.status, self.body["code"].as_str()),
            (status, Some(code)),
            "{self:?}"
        );
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert!(
            self.body["type"]
                .as_str()
                .unwrap()
                .ends_with(&format!("/problems/{code}")),
            "{self:?}"
        );
        assert!(
            !self.body["title"].as_str().unwrap().is_empty()
                && !self.body["detail"].as_str().unwrap().is_empty()
        );
        assert_eq!(
            self.headers["x-request-id"],
            self.body["requestId"].as_str().unwrap()
        );
        self
    }

    /// The fields that a `validation_failed` names.
    pub(crate) fn fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().unwrap();
        errors
            .iter()
            .map(|error| error["field"].as_str().unwrap())
            .collect()
    }
}

/// A database of its own for a test, with our schema and the queue's.
pub(crate) async fn database() -> TestDatabase {
    let schema = format!("{}_{QUEUE_VERSION}", digest(&MIGRATOR));
    TestDatabase::create_with(&schema, async |db| database::migrate(&db).await).await
}

/// The signature of Stripe's scheme v1.
pub(crate) fn sign(secret: &str, timestamp: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{timestamp}.{body}").as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Sends and reads; a body that is not JSON becomes a string.
pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer {
        status,
        headers,
        body,
    }
}

/// Serves, and reads the feed of booking events, as long as the test runs.
fn serve(listener: TcpListener, app: AppState) {
    let (running, stopping) = watch::channel(false);
    let feed = jobs::feed(AppState::clone(&app), stopping);
    let service = routes::router(app).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move {
        let _running = running;
        tokio::join!(axum::serve(listener, service).into_future(), feed)
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
