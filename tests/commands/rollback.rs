//! An older binary on the schema of a later release: it works where the later one says that it may,
//! and else says why not and leaves everything alone.

use super::harness::{Harness, PATIENCE};
use super::serve::book;

/// What a later release leaves.
const MIGRATED: &str = "insert into _sqlx_migrations
                          (version, description, success, checksum, execution_time)
                        values (9999, 'a later one', true, '', 0)";
const RAISED: &str = "update schema_floor set version = 9999";
const WORKS: &str = "a later release has brought the schema to migration 9999, and this one works";
const REFUSES: &str = "a binary must know migration 9999";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binary_works_on_a_later_schema_that_it_suits() {
    let harness = Harness::new().await;
    harness.sql(MIGRATED).await;

    let migrated = harness.run(&["migrate"], &[]);
    let seeded = harness.run(&["seed"], &[]);
    let examined = harness.run(&["doctor"], &[]);
    let mut server = harness.serve(&[]);
    let booked = book(&harness, &server).await.await;

    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    let line = format!("0 migrations applied; {WORKS}");
    assert!(migrated.stdout.starts_with(&line), "{migrated:?}");
    assert_eq!(seeded.code, Some(0), "{seeded:?}");
    assert_eq!(examined.code, Some(0), "{examined:?}");
    let line = format!("ok    migrations: {WORKS}");
    assert!(examined.stdout.contains(&line), "{examined:?}");
    server.logged(WORKS);
    server.ready(200).await;
    assert_eq!(booked.0, 201, "{}", booked.1);
    assert_eq!(server.errors(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binary_refuses_a_later_schema_that_it_does_not_suit() {
    let harness = Harness::new().await;
    harness.sql(MIGRATED).await;
    harness.sql(RAISED).await;

    for command in ["migrate", "seed", "doctor"] {
        let ended = harness.run(&[command], &[]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let said = ended.stdout + &ended.stderr;
        assert!(said.contains(REFUSES), "{command}: {said}");
        assert!(said.contains("run the later release"), "{command}: {said}");
    }
    let mut server = harness.serve(&[]);
    server.logged(REFUSES);
    server.logged("no jobs are done, for want of a queue");
    let problem = server.ready(503).await;
    assert_eq!(problem["code"], "database_unavailable");
    let missing = problem["missing"][0].as_str().unwrap();
    assert!(missing.contains(REFUSES), "{missing}");
}

/// A floor that is raised under a binary that runs already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binary_leaves_jobs_alone_while_it_does_not_suit_the_schema() {
    let harness = Harness::new().await;
    assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
    let mut server = harness.serve(&[("HOLD_SECONDS", "1")]);
    server.ready(200).await;

    harness.sql(RAISED).await;
    server.logged("no jobs are done, for want of a queue");
    server.ready(503).await;
    let (status, booking) = book(&harness, &server).await.await;
    assert_eq!(status, 201, "{booking}");
    let due = "select count(*) from jobs where kind = 'endHold' and run_at < now()";
    harness.until(due, "1", PATIENCE).await;
    harness
        .finds("select state from jobs where kind = 'endHold'", "queued")
        .await;

    harness.sql("update schema_floor set version = 1").await;
    server.ready(200).await;
    let ended = "select status::text from bookings";
    harness.until(ended, "expired", PATIENCE).await;
}

/// As a build leaves it that was never released, and whose migrations were folded since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_of_other_migrations_of_the_same_numbers_is_told_at_once() {
    let harness = Harness::new().await;
    harness
        .sql("update _sqlx_migrations set checksum = 'another' where version = 3")
        .await;
    let told = "migration 3 of this database is not the one of this release";

    for command in ["migrate", "seed", "doctor"] {
        let ended = harness.run(&[command], &[]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let said = ended.stdout + &ended.stderr;
        assert!(said.contains(told), "{command}: {said}");
        assert!(
            said.contains("create the database anew"),
            "{command}: {said}"
        );
    }
    let mut server = harness.serve(&[]);
    server.logged(told);
    let problem = server.ready(503).await;
    let missing = problem["missing"][0].as_str().unwrap();
    assert!(missing.contains(told), "{missing}");
}
