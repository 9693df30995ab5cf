//! What anyone may read is read once a second, however many ask, and costs buyers nothing.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;

use crate::harness::TestApp;

const SECOND: TimeDelta = TimeDelta::seconds(1);

impl TestApp {
    /// How many seats of the show are free, as its page says.
    async fn free(&self, show: &str) -> i64 {
        let answer = self.get(&format!("/api/shows/{show}")).await;
        answer.body["seats"]["free"].as_i64().unwrap()
    }
}

#[tokio::test]
async fn a_public_answer_is_a_second_old_at_most() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");

    let before = harness.free(&show).await;
    dana.booked(&show, &["A2", "A3"]).await;
    harness.advance(SECOND - TimeDelta::microseconds(1)).await;
    let within = harness.free(&show).await;
    harness.advance(TimeDelta::microseconds(1)).await;
    let after = harness.free(&show).await;

    assert_eq!((before, within, after), (19, 19, 17));
    harness.jump(-SECOND * 30);
    harness.customer("emil").booked(&show, &["B1"]).await;
    assert_eq!(harness.free(&show).await, 16, "a clock was set back");
}

/// Nobody reads what an admin has just changed as it was before.
#[tokio::test]
async fn what_an_admin_changes_is_seen_at_once() {
    let harness = TestApp::new().await;

    assert_eq!(harness.get("/api/shows").await.body["items"], json!([]));
    let show = harness.show().await;
    let listed = harness.get("/api/shows").await;
    let refused = harness
        .customer("dana")
        .post("/api/admin/movies", json!({ "title": "Metropolis" }))
        .await;

    assert_eq!(listed.body["items"][0]["id"], show.as_str());
    refused.refused(403, "forbidden");
}

/// One query, and those who wait for it hold no connection.
#[tokio::test]
async fn many_who_ask_at_once_share_one_query() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let mut other = harness.db().begin().await.unwrap();
    sqlx::query("lock table services")
        .execute(&mut *other)
        .await
        .unwrap();

    let readers = join_all((0..50).map(|_| harness.get("/api/services")));
    let buyer = async {
        let booked = harness.customer("dana").booked(&show, &["A2"]).await;
        let waiting = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";
        let waiting = harness.sql(waiting).await;
        other.rollback().await.unwrap();
        (booked, waiting)
    };
    let (answers, (booked, waiting)) = tokio::join!(readers, buyer);

    assert_eq!(booked["status"], "pending");
    assert!(waiting.parse::<usize>().unwrap() <= 1, "{waiting}");
    for answer in answers {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// A failure is told to those who have waited for it, and to nobody after them.
#[tokio::test]
async fn a_failure_is_not_kept() {
    let harness = TestApp::new().await;
    sqlx::query("alter table movies rename to movies_away")
        .execute(harness.db())
        .await
        .unwrap();

    let failed = harness.get("/api/movies").await;
    sqlx::query("alter table movies_away rename to movies")
        .execute(harness.db())
        .await
        .unwrap();

    failed.refused(500, "internal");
    assert_eq!(harness.get("/api/movies").await.status, 200);
}

#[tokio::test]
async fn that_the_process_is_ready_is_asked_once_a_second() {
    let harness = TestApp::new().await;
    let written = "select xmin from write_probe";
    let before = harness.sql(written).await;

    assert_eq!(harness.get("/ready").await.status, 200);
    // Nobody may write any more.
    sqlx::query("revoke update on write_probe from holdfast_serve")
        .execute(harness.db())
        .await
        .unwrap();
    for path in (0..20).map(|number| format!("/ready?{number}")) {
        assert_eq!(harness.get(&path).await.status, 200);
    }
    harness.advance(SECOND).await;
    let asked_again = harness.get("/ready").await;

    asked_again.refused(503, "database_unavailable");
    // What was written to try it was rolled back.
    assert_eq!(harness.sql(written).await, before);
}
