//! `holdfast migrate` and `holdfast seed`.

use super::harness::Harness;

const DEAD: [(&str, &str); 1] = [("DATABASE_URL", "postgres://postgres@127.0.0.1:1/holdfast")];

#[tokio::test]
async fn migrate_brings_an_empty_database_up_to_date_once() {
    let harness = Harness::new().await;
    harness.empty_database().await;

    let first = harness.run(&["migrate"], &[]);
    let second = harness.run(&["migrate"], &[]);

    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(
        first
            .stdout
            .contains(" migrations applied; the schema is up to date\n"),
        "{first:?}"
    );
    assert!(!first.stdout.starts_with("0 "), "{first:?}");
    assert_eq!(second.code, Some(0), "{second:?}");
    let said = "0 migrations applied; the schema is up to date\n";
    assert!(second.stdout.starts_with(said), "{second:?}");
}

#[tokio::test]
async fn two_that_migrate_at_once_both_succeed() {
    let harness = Harness::new().await;
    harness.empty_database().await;

    let both = std::thread::scope(|scope| {
        let other = scope.spawn(|| harness.run(&["migrate"], &[]));
        [harness.run(&["migrate"], &[]), other.join().unwrap()]
    });

    assert!(both.iter().all(|ended| ended.code == Some(0)), "{both:?}");
}

#[tokio::test]
async fn migrate_needs_the_database_and_no_other_setting() {
    let harness = Harness::new().await;
    let none = [
        "STRIPE_SECRET_KEY",
        "STRIPE_WEBHOOK_SECRET",
        "CLERK_ISSUER",
        "APP_ORIGINS",
    ]
    .map(|name| (name, ""));

    assert_eq!(harness.run(&["migrate"], &none).code, Some(0));
    let missing = harness.run(&["migrate"], &[("DATABASE_URL", "")]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing
            .stderr
            .contains("1 setting to fix:\n  DATABASE_URL: is missing"),
        "{missing:?}"
    );
}

#[tokio::test]
async fn a_database_that_is_not_there_is_told_with_the_reason() {
    let harness = Harness::new().await;
    let unknown = harness.database.options().database("no_such_database");
    let unknown = sqlx::ConnectOptions::to_url_lossy(&unknown).to_string();

    for command in ["migrate", "seed"] {
        let dead = harness.run(&[command], &DEAD);
        assert_eq!(dead.code, Some(1));
        assert!(dead.stderr.contains("refused"), "{dead:?}");
        assert!(dead.stderr.contains("DATABASE_URL"), "{dead:?}");
        let unknown = harness.run(&[command], &[("DATABASE_URL", &unknown)]);
        assert_eq!(unknown.code, Some(1));
        assert!(
            unknown
                .stderr
                .contains("\"no_such_database\" does not exist"),
            "{unknown:?}"
        );
    }
}

#[tokio::test]
async fn seed_loads_shows_once() {
    let harness = Harness::new().await;

    let first = harness.run(&["seed"], &[]);
    let second = harness.run(&["seed"], &[]);

    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(
        first
            .stdout
            .ends_with(" shows added for the coming two weeks\n"),
        "{first:?}"
    );
    assert_eq!(second.code, Some(0), "{second:?}");
    assert_eq!(
        second.stdout,
        "there are shows to come already; nothing was added\n"
    );
}

#[tokio::test]
async fn seed_says_when_migrations_are_to_be_applied_first() {
    let harness = Harness::new().await;
    harness.empty_database().await;

    let ended = harness.run(&["seed"], &[]);

    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("run `holdfast migrate`"), "{ended:?}");
}
