//! Two roles: who migrates owns everything, and who serves owns nothing.

use holdfast::dev::test_database::SERVE_ROLE;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use super::harness::Harness;

/// Tables that `serve` only reads.
const ONLY_READ: &str = "_sqlx_migrations dev_mark schema_floor";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrate_says_who_may_serve() {
    let harness = Harness::new().await;

    let two = harness.run(&["migrate"], &[]);
    let one = harness.run(&["migrate"], &[("MIGRATION_DATABASE_URL", "")]);
    let nobody = harness.database.options().username("nobody_here");
    let nobody = nobody.to_url_lossy().to_string();
    let owner = harness.database.options().to_url_lossy().to_string();
    let unknown = [
        ("DATABASE_URL", nobody.as_str()),
        ("MIGRATION_DATABASE_URL", &owner),
    ];
    let unknown = harness.run(&["migrate"], &unknown);

    assert_eq!(two.code, Some(0), "{two:?}");
    let said = format!("the role {SERVE_ROLE:?} may serve, and nothing else");
    assert!(two.stdout.contains(&said), "{two:?}");
    // The role of `serve` cannot migrate, and says so where there is something to do.
    assert!(!one.stdout.contains("may serve"), "{one:?}");
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.stderr.contains("\"nobody_here\""), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_serves_cannot_switch_off_what_guards_the_money() {
    let harness = Harness::new().await;
    let mut db = harness.database.options_of_serve().connect().await.unwrap();

    for forbidden in [
        "alter table ledger_transfers disable trigger all",
        "alter table bookings drop constraint bookings_confirmed_is_paid",
        "set session_replication_role = replica",
        "update ledger_transfers set amount_minor = 1",
        "delete from ledger_transfers",
        "truncate ledger_transfers",
        "update booking_events set kind = 'created'",
        "update audit_log set action = ''",
        "delete from payment_events",
        "update payment_events set payload = ''",
        "update payment_events set type = 'x'",
        "delete from payments",
        "delete from refunds",
        "delete from bookings",
        "update show_tiers set price_minor = 1",
        "update show_seats set sellable = true",
        "update movies set title = ''",
        "update seat_claims set label = ''",
        "update slot_claims set during = 'empty'",
        "insert into run_pace (lasts_until) values ('epoch')",
        "insert into write_probe (tried_at) values ('epoch')",
        "insert into dev_mark (marked_at) values (now())",
        "update schema_floor set version = 1",
        "create table mine ()",
        "create or replace function ledger_is_append_only() returns trigger language plpgsql
           as 'begin return new; end'",
        "drop table seat_claims",
        "create schema mine",
    ] {
        let error = db.execute(forbidden).await.unwrap_err().to_string();
        let is_refused = ["permission denied", "must be owner", "does not exist"];
        let is_refused = is_refused.iter().any(|words| error.contains(words));
        assert!(is_refused, "{forbidden}: {error}");
        assert!(
            !error.contains("relation") || !error.contains("does not exist"),
            "{error}"
        );
    }
}

/// Postgres 14 gives it to everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_serves_puts_nothing_beside_the_tables_wherever_the_database_comes_from() {
    let harness = Harness::new().await;
    let as_in_14 = "grant create on schema public to public";
    let owner = harness.database.pool();
    sqlx::query(as_in_14).execute(owner).await.unwrap();

    let migrated = harness.run(&["migrate"], &[]);

    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    let mut db = harness.database.options_of_serve().connect().await.unwrap();
    let error = db.execute("create table mine ()").await.unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
}

/// A new table is not forgotten in `rights.sql`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_serves_writes_to_every_table_but_these() {
    let harness = Harness::new().await;
    let only_read = format!(
        "select string_agg(relname, ' ' order by relname) from pg_class
         where relnamespace = 'public'::regnamespace and relkind = 'r'
           and not has_table_privilege('{SERVE_ROLE}', oid, 'insert, update')"
    );
    let only_read: String = sqlx::query_scalar(AssertSqlSafe(only_read))
        .fetch_one(harness.database.pool())
        .await
        .unwrap();

    assert_eq!(only_read, ONLY_READ);
}
