//! Each test has a database of its own, with the schema and without anybody's data.

use std::borrow::Cow;

use holdfast::dev::test_database::TestDatabase;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{SqlStr, query, query_scalar};

#[tokio::test]
async fn a_database_has_the_schema_and_is_empty() {
    let database = TestDatabase::create(&migrator("create table notes (text text)")).await;

    let notes: i64 = query_scalar("select count(*) from notes")
        .fetch_one(database.pool())
        .await
        .unwrap();

    assert_eq!(notes, 0);
}

#[tokio::test]
async fn databases_made_at_the_same_time_do_not_see_each_other() {
    let migrator = migrator("create table notes (text text)");
    let databases = tokio::join!(
        TestDatabase::create(&migrator),
        TestDatabase::create(&migrator),
        TestDatabase::create(&migrator),
        TestDatabase::create(&migrator),
    );

    query("insert into notes values ('mine')")
        .execute(databases.0.pool())
        .await
        .unwrap();

    for other in [databases.1, databases.2, databases.3] {
        let notes: i64 = query_scalar("select count(*) from notes")
            .fetch_one(other.pool())
            .await
            .unwrap();
        assert_eq!(notes, 0);
    }
}

#[tokio::test]
async fn other_migrations_make_another_template() {
    let one = TestDatabase::create(&migrator("create table one ()")).await;
    let other = TestDatabase::create(&migrator("create table other ()")).await;

    let tables = "select string_agg(tablename, ' ') from pg_tables
                  where schemaname = 'public' and tablename not like '\\_%'";
    let of_one: String = query_scalar(tables).fetch_one(one.pool()).await.unwrap();
    let of_other: String = query_scalar(tables).fetch_one(other.pool()).await.unwrap();

    assert_eq!((of_one.as_str(), of_other.as_str()), ("one", "other"));
}

#[tokio::test]
async fn the_server_forgets_quickly_and_is_never_the_one_that_the_environment_names() {
    let database = TestDatabase::create(&migrator("create table notes (text text)")).await;

    let fsync: String = query_scalar("show fsync")
        .fetch_one(database.pool())
        .await
        .unwrap();
    let data: String = query_scalar("show data_directory")
        .fetch_one(database.pool())
        .await
        .unwrap();

    assert_eq!(fsync, "off");
    assert!(data.contains("test-postgres"), "{data}");
}

fn migrator(sql: &'static str) -> Migrator {
    Migrator::with_migrations(vec![Migration::new(
        1,
        Cow::Borrowed("the schema"),
        MigrationType::Simple,
        SqlStr::from_static(sql),
        false,
    )])
}
