//! `holdfast doctor`: a line for each check, and a remedy where it fails.

use super::harness::{Harness, NOWHERE};

const CHECKS: [&str; 10] = [
    "configuration",
    "database",
    "migrations",
    "audit log",
    "database rights",
    "proxies",
    "issuer",
    "clock",
    "Stripe key",
    "Stripe rights",
];

/// Runs the doctor, who must find exactly these checks failed, and say this.
#[track_caller]
fn fails(harness: &Harness, own: &[(&str, &str)], failed: &[&str], says: &str) {
    let ended = harness.run(&["doctor"], own);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains(says), "{says:?} is not in {ended:?}");
    assert_eq!(ended.stdout.lines().count(), CHECKS.len(), "{ended:?}");
    for check in CHECKS {
        let word = if failed.contains(&check) {
            "FAIL"
        } else {
            "ok  "
        };
        assert!(
            ended.stdout.contains(&format!("{word}  {check}: ")),
            "{check}: {ended:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_is_well() {
    let harness = Harness::new().await;

    let ended = harness.run(&["doctor"], &[]);

    assert_eq!(ended.code, Some(0), "{ended:?}");
    for (check, line) in CHECKS.iter().zip(ended.stdout.lines()) {
        assert!(line.starts_with(&format!("ok    {check}: ")), "{line}");
    }
    assert!(ended.stdout.contains("Stripe in test mode"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_is_not_trusted_is_a_warning() {
    let harness = Harness::new().await;
    let note = "insert into untrusted_forwarders
                values ('10.0.0.7', now()), ('10.0.0.9', now() - interval '8 days')";
    harness.sql(note).await;

    let ended = harness.run(&["doctor"], &[]);

    assert_eq!(ended.code, Some(0), "{ended:?}");
    let warning = "WARN  proxies: X-Forwarded-For has come from 10.0.0.7, and was not believed";
    assert!(ended.stdout.contains(warning), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_settings_are_a_line_each() {
    let harness = Harness::new().await;
    let wrong = [
        ("STRIPE_WEBHOOK_SECRET", "sk_test_stage"),
        ("APP_ORIGINS", ""),
        ("LOG_FORMAT", "yaml"),
    ];

    let ended = harness.run(&["doctor"], &wrong);

    assert_eq!(ended.code, Some(1), "{ended:?}");
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{ended:?}");
    for (variable, _) in wrong {
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with(&format!("FAIL  {variable}: "))),
            "{variable}: {ended:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_not_there_or_not_migrated() {
    let harness = Harness::new().await;
    let dead = [("DATABASE_URL", "postgres://postgres@127.0.0.1:1/holdfast")];
    let all = [
        "database",
        "migrations",
        "audit log",
        "database rights",
        "proxies",
    ];

    fails(&harness, &dead, &all, "refused");
    fails(
        &harness,
        &dead,
        &all,
        "check DATABASE_URL and that Postgres runs",
    );
    harness.empty_database().await;
    fails(
        &harness,
        &[],
        &["migrations", "audit log", "database rights", "proxies"],
        "are to be applied; run `holdfast migrate`",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_issuer_is_not_there_or_has_no_keys() {
    let harness = Harness::new().await;
    let no_keys = format!("{}/nothing.json", harness.issuer.url());

    fails(
        &harness,
        &[("CLERK_ISSUER", NOWHERE)],
        &["issuer"],
        "check CLERK_ISSUER and CLERK_JWKS_URL",
    );
    fails(
        &harness,
        &[("CLERK_JWKS_URL", &no_keys)],
        &["issuer"],
        "/nothing.json",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stripe_is_not_there_or_refuses_the_key() {
    let harness = Harness::new().await;

    fails(
        &harness,
        &[("STRIPE_API_BASE", NOWHERE)],
        &["Stripe key", "Stripe rights"],
        "check STRIPE_API_BASE and the network",
    );
    harness
        .fault(r#"{ "route": "GET /v1/balance", "kind": "status", "status": 401 }"#)
        .await;
    fails(
        &harness,
        &[],
        &["Stripe key", "Stripe rights"],
        "copy STRIPE_SECRET_KEY again from the dashboard",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_may_not_read_all_that_is_compared() {
    let harness = Harness::new().await;
    for list in ["/v1/events", "/v1/disputes"] {
        let refused = format!(r#"{{ "route": "GET {list}$", "kind": "status", "status": 403 }}"#);
        harness.fault(&refused).await;
    }

    let ended = harness.run(&["doctor"], &[]);

    assert_eq!(ended.code, Some(0), "{ended:?}");
    let line = "WARN  Stripe rights: not given to read: Events, Disputes; give the restricted key";
    assert!(ended.stdout.contains(line), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_log_was_changed_by_hand() {
    let harness = Harness::new().await;
    harness
        .sql(
            "insert into audit_log (number, at, actor, action, subject, previous_hash, hash)
             values (1, now(), 'somebody', 'createMovie', 'a movie',
                     decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'))",
        )
        .await;

    fails(&harness, &[], &["audit log"], "the chain breaks at entry 1");
}
