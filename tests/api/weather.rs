//! The database falls silent, is stopped, or only reads: everything goes on by itself as soon as
//! the database does.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use holdfast::connection::SILENCE_MAX;
use holdfast::jobs;

use crate::harness::{TestApp, database};
use crate::pg_proxy::PgProxy;

/// How long after the beginning of a fault everything may be as before.
const RECOVERY_MAX: Duration = Duration::from_secs(10);

struct Weather {
    harness: TestApp,
    pg_proxy: PgProxy,
    show: String,
}

impl Weather {
    /// An app whose pools are full.
    async fn new() -> Self {
        let database = database().await;
        let pg_proxy = PgProxy::start(&database.options_of_serve()).await;
        let harness = TestApp::on(database, &[("DATABASE_URL", pg_proxy.url())]).await;
        let show = harness.show().await;
        let weather = Self {
            harness,
            pg_proxy,
            show,
        };
        weather.fill().await;
        weather
    }

    /// Uses as many connections at once as there may be.
    async fn fill(&self) {
        let app = &self.harness.app;
        for (pool, size) in [(&app.pools.requests, 20), (&app.pools.payments, 6)] {
            let all = (0..size).map(|_| pool.acquire());
            let all = futures_util::future::join_all(all).await;
            assert!(all.iter().all(Result::is_ok), "{all:?}");
            drop(all);
            while pool.idle() < size {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Ends all connections, as a restart of Postgres does.
    async fn end_connections(&self) {
        self.fill().await;
        sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and application_name like 'holdfast %'",
        )
        .execute(self.harness.db())
        .await
        .unwrap();
    }

    /// Asks until it is answered; how long that took, and how often it was not.
    async fn until_served(&self) -> (Duration, usize) {
        let began = Instant::now();
        let mut refused = 0;
        loop {
            // It is read for this request alone, and is not there.
            let answer = self
                .harness
                .admin()
                .get(&format!("/api/admin/runs/{}", self.show))
                .await;
            if answer.status == 404 {
                return (began.elapsed(), refused);
            }
            answer.refused(503, "database_unavailable");
            refused += 1;
            assert!(began.elapsed() < RECOVERY_MAX, "not served");
        }
    }
}

/// The one who finds out is refused after [`SILENCE_MAX`], and nobody after them.
#[tokio::test]
async fn connections_that_fall_silent_are_replaced_after_the_first_that_is_met() {
    let weather = Weather::new().await;

    weather.pg_proxy.freeze();
    let (time, refused) = weather.until_served().await;

    assert_eq!(refused, 1);
    assert!((SILENCE_MAX..RECOVERY_MAX).contains(&time), "{time:?}");
    weather.fill().await;
    let booking = weather
        .harness
        .customer("dana")
        .booked(&weather.show, &["A2"])
        .await;
    weather.harness.pay(&booking).await;
    weather.harness.reconcile().await;
}

/// When the statement of the watch began, and when the transaction that it is in, if it waits now.
const WATCHING: &str = "select query_start || '/' || xact_start from pg_stat_activity
     where datname = current_database() and state = 'active' and query like 'do %pg_sleep%'";

#[tokio::test]
async fn the_watch_does_not_keep_postgres_from_tidying_up() {
    let harness = TestApp::new().await;
    let app = harness.app.clone();
    let watching = tokio::spawn(async move { jobs::watch(&app).await });

    let mut seen = HashMap::new();
    let began_again = async {
        loop {
            let sample = harness.sql(WATCHING).await;
            let Some((statement, transaction)) = sample.split_once('/') else {
                continue;
            };
            let first = seen.entry(statement.to_owned());
            if first.or_insert_with(|| transaction.to_owned()) != transaction {
                return;
            }
        }
    };
    let began_again = tokio::time::timeout(RECOVERY_MAX, began_again).await;

    assert_eq!(began_again, Ok(()), "one statement, several transactions");
    watching.abort();
}

#[tokio::test]
async fn connections_that_fall_silent_are_found_by_the_watch_before_anybody_asks() {
    let weather = Weather::new().await;
    let app = weather.harness.app.clone();
    let watching = tokio::spawn(async move { jobs::watch(&app).await });
    let trust = weather.harness.app.pools.trust.clone();
    while weather.harness.sql(WATCHING).await.is_empty() {
        tokio::task::yield_now().await;
    }

    weather.pg_proxy.freeze();
    let lost = tokio::time::timeout(RECOVERY_MAX, trust.lost()).await;
    let (_, refused) = weather.until_served().await;

    assert_eq!(lost, Ok(()));
    assert_eq!(refused, 0);
    watching.abort();
}

/// Nothing watches here: whoever is first meets a connection that has ended.
#[tokio::test]
async fn whoever_meets_a_connection_that_was_ended_is_served_on_another() {
    let weather = Weather::new().await;
    let dana = weather.harness.customer("dana");
    let booking = dana.booked(&weather.show, &["A2"]).await;

    weather.end_connections().await;
    weather.harness.pay(&booking).await;
    // Again, before a second is over.
    weather.end_connections().await;
    let other = dana.book(&weather.show, &["A3"]).await;

    assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    assert_eq!(other.status, 201, "{other:?}");
    weather.harness.reconcile().await;
}
