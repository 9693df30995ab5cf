//! The database falls silent, is stopped, or changes roles under a real process.

use std::time::Duration;

use super::harness::Harness;
use super::serve::book;
use crate::pg_proxy::PgProxy;

const BOOKING: &str = "select string_agg(status::text, ',') from bookings";

/// The worker's library waits for its statements without an end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_end_although_all_connections_have_fallen_silent() {
    let harness = Harness::new().await;
    assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
    let pg_proxy = PgProxy::start(&harness.database.options_of_serve()).await;
    let own = [("DATABASE_URL", pg_proxy.url()), ("HOLD_SECONDS", "3")];
    let server = harness.serve(&own);
    let (status, booking) = book(&harness, &server).await.await;
    assert_eq!(status, 201, "{booking}");

    pg_proxy.freeze();

    harness
        .until(BOOKING, "expired", Duration::from_secs(15))
        .await;
    let (status, booking) = book(&harness, &server).await.await;
    assert_eq!(status, 201, "{booking}");
}

/// As a restart ends them. The one who is told first is the watch, which has a statement under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_after_all_connections_were_ended_is_served() {
    let harness = Harness::new().await;
    assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
    let mut server = harness.serve(&[]);
    let (status, booking) = book(&harness, &server).await.await;
    assert_eq!(status, 201, "{booking}");

    harness
        .sql(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and application_name like 'holdfast %'",
        )
        .await;
    server.logged("connections to Postgres are made anew: ");

    let (status, booking) = book(&harness, &server).await.await;
    assert_eq!(status, 201, "{booking}");
}
