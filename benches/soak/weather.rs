//! What goes wrong around the processes: the database falls silent, ends all connections, is away
//! as while it restarts, only reads; the issuer is silent; Stripe is away for a long time. After
//! each, buyers are served again within ten seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use tokio::sync::watch;

use crate::gate::Mode;
use crate::sleeps;
use crate::surroundings::send;
use crate::world::World;

/// Between two faults.
const CALM: Duration = Duration::from_secs(12);
/// How long a fault lasts that does not end by itself.
const FAULT: Duration = Duration::from_secs(5);
/// How long a restart of the database takes.
const RESTART: Duration = Duration::from_secs(2);
/// How long after the end of a fault somebody may be refused for it.
const RECOVERY_MAX: Duration = Duration::from_secs(10);
/// How long one of them may wait for an answer; Stripe leaves some calls hanging.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Between two looks whether buyers are served.
const LOOK: Duration = Duration::from_millis(100);
/// Of all the time, how much passes before Stripe goes away …
const BEFORE_STRIPE: f64 = 0.2;
/// … and how much it is away for: six minutes of ten.
const STRIPE_AWAY: f64 = 0.6;

impl World {
    /// One fault of the database or the issuer after the other.
    pub(crate) async fn storm(self: Arc<Self>, mut closing: watch::Receiver<bool>) {
        for fault in 0.. {
            if !sleeps(CALM, &mut closing).await {
                return;
            }
            let name = match fault % 5 {
                0 => {
                    self.to_database.freeze();
                    "connections fell silent"
                }
                1 => {
                    self.end_connections().await;
                    "connections were ended"
                }
                2 => {
                    self.to_database.set(Mode::Closed);
                    self.end_connections().await;
                    sleeps(RESTART, &mut closing).await;
                    self.to_database.set(Mode::Open);
                    "the database was restarted"
                }
                3 => {
                    self.read_only(&mut closing).await;
                    "the database only read"
                }
                _ => {
                    self.to_issuer.set(Mode::Silent);
                    sleeps(FAULT, &mut closing).await;
                    self.to_issuer.set(Mode::Open);
                    "the issuer was silent"
                }
            };
            self.tally(name);
            self.served_again(name).await;
        }
    }

    /// Takes Stripe away, for the middle of the time.
    pub(crate) async fn lose_stripe(
        self: Arc<Self>,
        all: Duration,
        mut closing: watch::Receiver<bool>,
    ) {
        let away = all.mul_f64(STRIPE_AWAY);
        if !sleeps(all.mul_f64(BEFORE_STRIPE), &mut closing).await {
            return;
        }
        self.to_stripe.set(Mode::Closed);
        sleeps(away, &mut closing).await;
        self.to_stripe.set(Mode::Open);
        self.tally("Stripe was away");
        self.served_again("Stripe was away").await;
    }

    async fn end_connections(&self) {
        let end = "select pg_terminate_backend(pid) from pg_stat_activity
                   where datname = current_database() and application_name like 'holdfast %'";
        self.database().pool().execute(end).await.unwrap();
    }

    /// As a switch to a standby and back does; who has connected meanwhile goes on reading only.
    async fn read_only(&self, closing: &mut watch::Receiver<bool>) {
        let name = self.database().options().get_database().unwrap().to_owned();
        for change in [
            "set default_transaction_read_only = on",
            "reset default_transaction_read_only",
        ] {
            let alter = format!("begin read write; alter database \"{name}\" {change}; commit");
            let alter = sqlx::raw_sql(AssertSqlSafe(alter));
            self.database().pool().execute(alter).await.unwrap();
            if change.starts_with("set") {
                self.end_connections().await;
                sleeps(FAULT, closing).await;
            }
        }
        // Our own sessions of that time are replaced, and this one is no more of that time.
        let end = "set default_transaction_read_only = off;
                   select pg_terminate_backend(pid) from pg_stat_activity
                   where datname = current_database() and application_name not like 'holdfast %'
                     and pid <> pg_backend_pid()";
        let end = sqlx::raw_sql(end);
        self.database().pool().execute(end).await.unwrap();
    }

    /// Waits until both processes are ready and sell, and complains if that takes too long.
    async fn served_again(&self, after: &str) {
        let until = Instant::now() + RECOVERY_MAX;
        let token = self.token("prober");
        for url in &self.urls {
            while let Some(refusal) = self.refusal(url, &token).await {
                if Instant::now() > until {
                    self.broken(format!("{RECOVERY_MAX:?} after {after}: {refusal}"));
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Why a process does not sell, if it does not and should: not while it is being killed, which
    /// is another fault.
    async fn refusal(&self, url: &str, token: &str) -> Option<String> {
        let ready = self.http.get(format!("{url}/ready"));
        let seat = json!({ "kind": "show", "showId": self.show(), "seats": ["E20"] });
        let sale = self.http.post(format!("{url}/api/bookings"));
        let sale = sale
            .bearer_auth(token)
            .header("content-type", "application/json");
        for request in [ready, sale.body(seat.to_string())] {
            match send(request.timeout(ANSWER_MAX)).await {
                Ok((200 | 201 | 409, _)) => {}
                Ok((_, problem)) if self.is_of_stripe(&problem) => {}
                Err(error) if error.is_connect() || is_broken_off(&error) => return None,
                other => return Some(format!("{other:?}")),
            }
        }
        None
    }

    fn is_of_stripe(&self, problem: &Value) -> bool {
        problem["code"] == "payment_provider_unavailable" && self.to_stripe.mode() != Mode::Open
    }
}

/// Whether the process ended before its answer.
fn is_broken_off(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_timeout()
}
