//! What goes wrong around the processes: the database falls silent, ends all connections, only
//! reads; the issuer is silent; Stripe is away for a long time. After each, buyers are served again
//! within ten seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};
use tokio::sync::watch;

use crate::gate::Mode;
use crate::sleeps;
use crate::world::World;

/// Between two faults.
const CALM: Duration = Duration::from_secs(12);
/// How long a fault lasts that does not end by itself.
const FAULT: Duration = Duration::from_secs(5);
/// How long after the end of a fault somebody may be refused for it.
const RECOVERY_MAX: Duration = Duration::from_secs(10);
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
            let name = match fault % 4 {
                0 => {
                    self.to_database.freeze();
                    "connections fell silent"
                }
                1 => {
                    self.end_connections().await;
                    "connections were ended"
                }
                2 => {
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
        let (until, token) = (Instant::now() + RECOVERY_MAX, self.token("prober"));
        while !self.is_sold_to(&token).await {
            if Instant::now() > until {
                return self.broken(format!(
                    "nobody can buy {RECOVERY_MAX:?} after Stripe is back"
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// As a restart does.
    async fn end_connections(&self) {
        let end = "select pg_terminate_backend(pid) from pg_stat_activity
                   where datname = current_database() and application_name like 'holdfast %'";
        self.database.pool().execute(end).await.unwrap();
    }

    /// As a switch to a standby and back does; who has connected meanwhile goes on reading only.
    async fn read_only(&self, closing: &mut watch::Receiver<bool>) {
        let name = self.database.options().get_database().unwrap().to_owned();
        for change in [
            "set default_transaction_read_only = on",
            "reset default_transaction_read_only",
        ] {
            let alter = format!("begin read write; alter database \"{name}\" {change}; commit");
            let alter = sqlx::raw_sql(AssertSqlSafe(alter));
            self.database.pool().execute(alter).await.unwrap();
            if change.starts_with("set") {
                self.end_connections().await;
                sleeps(FAULT, closing).await;
            }
        }
        // Our own sessions of that time are replaced.
        let end = "select pg_terminate_backend(pid) from pg_stat_activity
                   where datname = current_database() and application_name not like 'holdfast %'
                     and pid <> pg_backend_pid()";
        self.database.pool().execute(end).await.unwrap();
    }

    /// Waits until both processes are ready, and complains if that takes too long.
    async fn served_again(&self, after: &str) {
        let until = Instant::now() + RECOVERY_MAX;
        for url in &self.urls {
            loop {
                let ready = self.http.get(format!("{url}/ready")).send().await;
                match ready {
                    Ok(ready) if ready.status() == 200 => break,
                    // It is being killed, which is another fault.
                    Err(error) if error.is_connect() => break,
                    _ if Instant::now() > until => {
                        self.broken(format!(
                            "not ready {RECOVERY_MAX:?} after {after}: {ready:?}"
                        ));
                        break;
                    }
                    _ => tokio::time::sleep(LOOK).await,
                }
            }
        }
    }

    /// Whether somebody who wants a seat gets an answer that is no fault.
    async fn is_sold_to(&self, token: &str) -> bool {
        let body = json!({ "kind": "show", "showId": self.show(), "seats": ["E20"] });
        let answer = self.post(token, "/api/bookings", &body).await;
        answer.is_some_and(|(status, _)| [201, 409].contains(&status))
    }
}
