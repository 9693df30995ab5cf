//! What has one place: SQL, reading the environment, and the tables of the queue's library.

use super::source::{check_tree, code_of, complain, expand, is_in, read_tree};

/// Where SQL may be.
const SQL_PLACES: &[&str] = &[
    "src/repositories/",
    // It makes and drops databases for the tests of everything else, before there is a schema to
    // have a repository for.
    "src/dev/test_database.rs",
];

/// Where the environment may be read.
const ENVIRONMENT_PLACES: &[&str] = &[
    "src/config/environment.rs",
    // The local Postgres needs PATH, and clears away what is meant for other servers; `serve` does
    // not contain it.
    "src/dev/postgres/",
];

/// The library whose private tables are the queue, in two pieces, so that this file does not name
/// it.
const QUEUE: [&str; 2] = ["graphile", "_worker"];

/// Where the queue's library may be named, besides one migration.
const QUEUE_PLACES: &[&str] = &[
    "src/repositories/jobs.rs",
    "src/jobs/worker.rs",
    "src/repositories/database.rs",
    // It lets `serve` use it.
    "src/repositories/rights.sql",
    // It says how much of what the library logs is shown.
    "src/telemetry.rs",
    // It fails when the library's tables change.
    "tests/api/queue.rs",
];

#[test]
fn only_repositories_contain_sql() {
    check_tree(&["src"], stray_sql);
}

#[test]
fn stray_sql_is_reported() {
    let wrong = [
        "sqlx::query!(\"select 1\")",
        "sqlx::query_scalar(text)",
        "use sqlx::{PgPool, query_as};",
        "raw_sql(text)",
    ];
    for source in wrong {
        assert_eq!(
            stray_sql("src/controllers/bookings.rs", source).len(),
            1,
            "{source}"
        );
        assert_eq!(
            stray_sql("src/repositories/bookings.rs", source),
            Vec::<String>::new()
        );
    }
    let right =
        "use axum::extract::Query;\nuse sqlx::PgPool;\nlet query = url.query(); // not sqlx::query";
    assert_eq!(
        stray_sql("src/controllers/bookings.rs", right),
        Vec::<String>::new()
    );
}

fn stray_sql(file: &str, source: &str) -> Vec<String> {
    let functions = ["query", "query_as", "query_scalar", "query_file", "raw_sql"];
    let code = code_of(source);
    let imported = expand(&code, "sqlx::")
        .into_iter()
        .any(|path| functions.contains(&path[0].as_str()));
    let stray = imported || code.contains("raw_sql(");
    complain(
        stray && !is_in(file, SQL_PLACES),
        format!("{file} contains SQL; its place is repositories/"),
    )
}

#[test]
fn only_config_reads_the_environment() {
    check_tree(&["src"], stray_settings);
}

#[test]
fn a_stray_setting_is_reported() {
    let wrong = [
        "std::env::var(\"HOME\")",
        "use std::env::{args, var};",
        "use std::env;\nenv::vars_os()",
    ];
    for source in wrong {
        assert_eq!(stray_settings("src/app.rs", source).len(), 1, "{source}");
        assert_eq!(
            stray_settings("src/config/environment.rs", source),
            Vec::<String>::new()
        );
    }
    assert_eq!(
        stray_settings(
            "src/app.rs",
            "env!(\"CARGO_PKG_VERSION\"); std::env::args()"
        ),
        Vec::<String>::new()
    );
}

fn stray_settings(file: &str, source: &str) -> Vec<String> {
    let reads = expand(&code_of(source), "env::")
        .into_iter()
        .any(|path| path[0].starts_with("var"));
    complain(
        reads && !is_in(file, ENVIRONMENT_PLACES),
        format!("{file} reads the environment; config/environment.rs does that"),
    )
}

#[test]
fn few_files_name_the_queue() {
    check_tree(&["src", "tests", "benches"], stray_queue);
}

#[test]
fn one_migration_names_the_queue() {
    let migrations = read_tree(&["migrations"]);
    let naming = migrations
        .iter()
        .filter(|(_, source)| source.contains(&QUEUE.concat()));
    let naming: Vec<_> = naming.map(|(file, _)| file).collect();
    assert!(naming.len() <= 1, "{naming:?}");
}

#[test]
fn a_stray_name_of_the_queue_is_reported() {
    let queue = QUEUE.concat();
    let wrong = [
        format!("use {queue}::Worker;"),
        format!("const JOBS: &str = \"select count(*) from {queue}._private_jobs\";"),
        format!("// As {queue} does."),
    ];
    for source in wrong {
        for file in ["src/app.rs", "tests/api/holds.rs", "benches/fixture.sql"] {
            assert_eq!(stray_queue(file, &source).len(), 1, "{file}: {source}");
        }
        assert_eq!(
            stray_queue("src/jobs/worker.rs", &source),
            Vec::<String>::new()
        );
    }
    assert_eq!(
        stray_queue("src/app.rs", "select count(*) from jobs"),
        Vec::<String>::new()
    );
}

fn stray_queue(file: &str, source: &str) -> Vec<String> {
    let queue = QUEUE.concat();
    complain(
        source.contains(&queue) && !is_in(file, QUEUE_PLACES),
        format!("{file} names {queue}; outside of its places the queue is the view `jobs`"),
    )
}
