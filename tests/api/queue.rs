//! The queue: enqueued without a notification, one job per key, and read through a view of ours.

use chrono::{DateTime, TimeDelta, Utc};
use holdfast::domain::job::Job;
use holdfast::repositories::jobs::enqueue;
use sqlx::postgres::PgListener;

use crate::harness::TestApp;

const JOBS: &str =
    "select string_agg(key || ' ' || state || ' ' || attempts, ', ' order by id) from jobs";

/// `migrations/0012_jobs.sql` writes to these tables of the library's. When this fails, a new
/// version has changed them: compare the file with the library's own functions.
#[tokio::test]
async fn the_private_tables_of_the_library_are_those_that_we_know() {
    let harness = TestApp::new().await;

    let columns = harness
        .sql(
            "select string_agg(table_name || '.' || column_name, ' '
                               order by table_name, ordinal_position)
             from information_schema.columns
             where table_schema = 'graphile_worker'
               and table_name in ('_private_jobs', '_private_tasks', '_private_job_retirements')",
        )
        .await;

    let known = [
        "_private_job_retirements.id",
        "_private_jobs.id",
        "_private_jobs.job_queue_id",
        "_private_jobs.task_id",
        "_private_jobs.payload",
        "_private_jobs.priority",
        "_private_jobs.run_at",
        "_private_jobs.attempts",
        "_private_jobs.max_attempts",
        "_private_jobs.last_error",
        "_private_jobs.created_at",
        "_private_jobs.updated_at",
        "_private_jobs.key",
        "_private_jobs.locked_at",
        "_private_jobs.locked_by",
        "_private_jobs.revision",
        "_private_jobs.flags",
        "_private_jobs.is_available",
        "_private_tasks.id",
        "_private_tasks.identifier",
    ];
    assert_eq!(columns, known.join(" "));
}

#[tokio::test]
async fn a_job_with_the_same_key_takes_the_place_of_the_one_before() {
    let harness = TestApp::new().await;
    let mut db = harness.app.acquire().await.unwrap();
    let soon = harness.now();
    let later = soon + TimeDelta::hours(1);

    enqueue(&mut db, &[Job::Sweep.at(soon)]).await.unwrap();
    let failed = "update jobs set attempts = 3, last_error = 'no'";
    sqlx::query(failed).execute(&mut db).await.unwrap();
    enqueue(&mut db, &[Job::Sweep.at(later)]).await.unwrap();

    assert_eq!(harness.sql(JOBS).await, "sweep queued 0");
    let due: DateTime<Utc> = sqlx::query_scalar("select run_at from jobs where last_error is null")
        .fetch_one(&mut db)
        .await
        .unwrap();
    assert_eq!(due, later);
}

/// Whoever is at it may have looked before the change that it was asked for again for.
#[tokio::test]
async fn a_job_that_runs_or_is_buried_is_replaced_by_another() {
    for (state, left) in [
        ("locked_at = now(), locked_by = 'a test'", "sweep queued 0"),
        ("attempts = max_attempts", "sweep queued 0"),
    ] {
        let harness = TestApp::new().await;
        let mut db = harness.app.acquire().await.unwrap();
        enqueue(&mut db, &[Job::Sweep.at(harness.now())])
            .await
            .unwrap();
        let change = sqlx::AssertSqlSafe(format!("update jobs set {state}"));
        sqlx::query(change).execute(&mut db).await.unwrap();

        enqueue(&mut db, &[Job::Sweep.at(harness.now())])
            .await
            .unwrap();

        // The one before has no key any more, and is not tried again.
        assert_eq!(harness.sql(JOBS).await, left);
        assert_eq!(harness.sql("select count(*) from jobs").await, "2");
        let is_over = "select count(*) from jobs where key is null and attempts = max_attempts";
        assert_eq!(harness.sql(is_over).await, "1");
    }
}

#[tokio::test]
async fn nothing_that_is_enqueued_notifies() {
    let harness = TestApp::new().await;
    let mut listener = PgListener::connect_with(harness.db()).await.unwrap();
    listener.listen("jobs:insert").await.unwrap();
    let mut db = harness.app.acquire().await.unwrap();

    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    harness.pay(&booking).await;
    enqueue(&mut db, &[Job::Sweep.at(harness.now())])
        .await
        .unwrap();
    enqueue(&mut db, &[Job::Sweep.at(harness.now())])
        .await
        .unwrap();
    let marker = "notify \"jobs:insert\", 'the end'";
    sqlx::query(marker).execute(&mut db).await.unwrap();

    assert_eq!(listener.recv().await.unwrap().payload(), "the end");
}
