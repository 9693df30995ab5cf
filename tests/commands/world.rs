//! What goes on around the processes: a buyer, Stripe as others see it, and somebody who holds
//! locks in the database.

use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use holdfast::app::Clock;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::{AssertSqlSafe, Executor, Postgres, Transaction};

use super::harness::{Harness, ORIGIN, PATIENCE, PAUSE, SECRET, Server};
use crate::invariants::INVARIANTS;

/// A signed-in user.
pub(crate) struct Buyer {
    http: reqwest::Client,
    token: String,
}

impl Buyer {
    pub(crate) fn new(harness: &Harness, name: &str) -> Self {
        Self::in_role(harness, name, "user")
    }

    /// Who may do what admins do.
    pub(crate) fn admin(harness: &Harness) -> Self {
        Self::in_role(harness, "admin", "admin")
    }

    fn in_role(harness: &Harness, name: &str, role: &str) -> Self {
        let now = Clock::system().now().timestamp();
        let token = harness.issuer.token(&json!({
            "sub": format!("user_{name}"), "iss": harness.issuer.url(), "azp": ORIGIN,
            "iat": now, "nbf": now, "exp": now + 600, "metadata": { "role": role },
        }));
        Self {
            http: reqwest::Client::new(),
            token,
        }
    }

    /// Posts JSON; an error if the process dies before it answers.
    pub(crate) fn post(
        &self,
        server: &Server,
        path: &str,
        body: &Value,
        key: Option<&str>,
    ) -> impl Future<Output = reqwest::Result<(u16, Value)>> + use<> {
        let request = self
            .http
            .post(format!("{}{path}", server.url))
            .bearer_auth(&self.token);
        let request = request
            .header("content-type", "application/json")
            .body(body.to_string());
        send(match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        })
    }
}

async fn send(request: RequestBuilder) -> reqwest::Result<(u16, Value)> {
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    Ok((status, serde_json::from_str(&answer.text().await?).unwrap()))
}

impl Server {
    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.signal("KILL");
        self.ended(PATIENCE);
    }

    /// Delivers an event as Stripe does, signed now; an error if the process dies before it
    /// answers.
    pub(crate) fn deliver(
        &self,
        event: &Value,
    ) -> impl Future<Output = reqwest::Result<(u16, Value)>> + use<> {
        let (body, timestamp) = (event.to_string(), Clock::system().now().timestamp());
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{timestamp}.{body}").as_bytes());
        let signature = format!(
            "t={timestamp},v1={}",
            hex::encode(mac.finalize().into_bytes())
        );
        let request = reqwest::Client::new()
            .post(format!("{}/api/stripe", self.url))
            .body(body);
        send(
            request
                .header("stripe-signature", signature)
                .header("content-type", "application/json"),
        )
    }
}

impl Harness {
    /// Reads from the simulator's API.
    pub(crate) async fn ask_stripe(&self, path: &str) -> Value {
        let request = reqwest::Client::new().get(format!("{}{path}", self.simulator.url()));
        send(request.bearer_auth("sk_test_stage")).await.unwrap().1
    }

    /// How many of these Stripe has.
    pub(crate) async fn at_stripe(&self, path: &str) -> usize {
        self.ask_stripe(path).await["data"]
            .as_array()
            .unwrap()
            .len()
    }

    /// Waits until Stripe has as many of these.
    pub(crate) async fn until_at_stripe(&self, path: &str, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.at_stripe(path).await != count {
            assert!(
                Instant::now() < deadline,
                "Stripe has not {count} of {path}"
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// How often Stripe was asked for this.
    pub(crate) async fn asked(&self, method: &str, path: &str) -> usize {
        self.requests(method, path).await.len()
    }

    async fn requests(&self, method: &str, path: &str) -> Vec<Value> {
        let url = format!("{}/_simulator/requests", self.simulator.url());
        let (_, requests) = send(reqwest::Client::new().get(url)).await.unwrap();
        let is_meant = |request: &&Value| {
            request["method"] == method
                && request["path"]
                    .as_str()
                    .is_some_and(|asked| asked.ends_with(path))
        };
        requests
            .as_array()
            .unwrap()
            .iter()
            .filter(is_meant)
            .cloned()
            .collect()
    }

    /// Waits until Stripe is asked for this.
    pub(crate) async fn until_asked(&self, method: &str, path: &str) {
        self.until_request(method, path, |_| true).await;
    }

    /// Waits until Stripe has answered to this.
    pub(crate) async fn until_answered(&self, method: &str, path: &str) {
        self.until_request(method, path, |request| request["status"].is_number())
            .await;
    }

    async fn until_request(&self, method: &str, path: &str, is_meant: fn(&Value) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !self.requests(method, path).await.iter().any(is_meant) {
            assert!(Instant::now() < deadline, "Stripe was not asked for {path}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Pays a session; Holdfast is not told. Returns the event that says so.
    pub(crate) async fn pay(&self, session_id: &str) -> Value {
        let url = format!("{}/_simulator/pay", self.simulator.url());
        let request = reqwest::Client::new()
            .post(url)
            .header("content-type", "application/json")
            .body(json!({ "session": session_id }).to_string());
        let (status, paid) = send(request).await.unwrap();
        assert_eq!(status, 200, "{paid}");
        let events = self
            .ask_stripe("/v1/events?type=checkout.session.completed")
            .await;
        events["data"][0].clone()
    }

    /// Takes the locks of this statement until the transaction is rolled back. Who needs a
    /// table that is locked waits while a statement is prepared; who needs a row, while it is
    /// executed.
    pub(crate) async fn lock(&self, statement: &'static str) -> Transaction<'static, Postgres> {
        let mut lock = self.database.pool().begin().await.unwrap();
        lock.execute(statement).await.unwrap();
        lock
    }

    /// Waits until a process waits for a lock, in a statement like this.
    pub(crate) async fn until_waiting(&self, statement: &str) {
        let waiting = format!(
            "select count(*) from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock'
               and application_name in ('holdfast requests', 'holdfast payments')
               and query ilike '{statement}'"
        );
        self.until(&waiting, "1", PATIENCE).await;
    }

    /// Waits until the database has noticed that all processes are dead.
    pub(crate) async fn until_forgotten(&self) {
        let sessions = "select count(*) from pg_stat_activity where datname = current_database()
                        and application_name like 'holdfast%'";
        self.until(sessions, "0", PATIENCE).await;
    }

    /// Asserts what a query gives.
    pub(crate) async fn finds(&self, query: &str, value: &str) {
        self.until(query, value, Duration::ZERO).await;
    }

    /// Checks that the money and the seats add up, here and against the simulator.
    pub(crate) async fn reconcile(&self) {
        for (what, query) in INVARIANTS {
            let query = format!("select ({query})::text");
            let found: String = sqlx::query_scalar(AssertSqlSafe(query))
                .fetch_one(self.database.pool())
                .await
                .unwrap();
            assert_eq!(found, "0", "{what}");
        }
        let verified = self.run(&["verify"], &[]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
        let sum = |list: Value| -> i64 {
            list["data"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|each| each["amount"].as_i64())
                .sum()
        };
        let captured = sum(self.ask_stripe("/v1/charges?limit=100").await).to_string();
        self.finds(
            "select coalesce(sum(amount_minor), 0) from payments",
            &captured,
        )
        .await;
        let refunded = sum(self.ask_stripe("/v1/refunds?limit=100").await).to_string();
        let refunds = "select coalesce(sum(amount_minor), 0) from refunds
                       where status in ('pending', 'succeeded')";
        self.finds(refunds, &refunded).await;
    }
}
