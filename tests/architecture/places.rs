//! What has one place: SQL, and reading the environment.

use super::source::{check_tree, code_of, complain, expand, is_in};

/// Where SQL may be.
const SQL_PLACES: &[&str] = &[
    "src/repositories/",
    // It makes and drops databases for the tests of everything else, before there is a schema to
    // have a repository for.
    "src/dev/test_database.rs",
];

/// Where the environment may be read.
const ENVIRONMENT_PLACES: &[&str] = &[
    "src/config.rs",
    // The local Postgres needs PATH, and clears away what is meant for other servers; `serve` does
    // not contain it.
    "src/dev/postgres/",
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
            stray_settings("src/config.rs", source),
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
        format!("{file} reads the environment; config.rs does that"),
    )
}
