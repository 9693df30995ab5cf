//! With a live key nothing stands that only a laptop should have.

use holdfast::config::{Config, ConfigError};

use super::{read, refused};

/// The same with a live key.
fn read_live(own: &[(&'static str, &'static str)]) -> Result<Config, ConfigError> {
    let live = [("STRIPE_SECRET_KEY", "sk_live_51")];
    read(&[&live, own].concat())
}

#[track_caller]
fn refused_live(own: &[(&'static str, &'static str)], variable: &str, says: &str) {
    let live = [("STRIPE_SECRET_KEY", "sk_live_51")];
    read(own).unwrap();
    refused(&[&live, own].concat(), variable, says);
}

#[test]
fn good_settings_stand_with_a_live_key() {
    assert!(read_live(&[]).unwrap().stripe.livemode());
}

#[test]
fn nothing_goes_over_http() {
    let says = "is not encrypted (http)";
    refused_live(
        &[("CLERK_ISSUER", "http://issuer.example")],
        "CLERK_ISSUER",
        says,
    );
    // The development issuer.
    refused_live(
        &[("CLERK_ISSUER", "http://127.0.0.1:12112")],
        "CLERK_ISSUER",
        says,
    );
    refused_live(
        &[("CLERK_JWKS_URL", "http://issuer.example/jwks")],
        "CLERK_JWKS_URL",
        says,
    );
    refused_live(
        &[("APP_ORIGINS", "https://front.example,http://other.example")],
        "APP_ORIGINS",
        says,
    );
}

#[test]
fn a_webhook_secret_that_can_be_guessed_is_refused() {
    for secret in [
        "whsec_secret",
        "whsec_51secret_of_the_webhooks,whsec_simulator",
    ] {
        refused_live(
            &[("STRIPE_WEBHOOK_SECRET", secret)],
            "STRIPE_WEBHOOK_SECRET",
            "is shorter than 24 characters",
        );
    }
}

#[test]
fn there_is_a_limit() {
    refused_live(
        &[("RATE_LIMIT_PER_MINUTE", "0")],
        "RATE_LIMIT_PER_MINUTE",
        "raise it",
    );
}

#[test]
fn a_database_elsewhere_is_reached_by_tls() {
    for readable in [
        "postgres://u:p@db.example/holdfast",
        "postgres://u:p@10.0.0.7/holdfast?sslmode=prefer",
        "postgres://u:p@db.example/holdfast?sslmode=disable",
        // Looks like this machine, and is not.
        "postgres://u:p@localhost.example/holdfast",
    ] {
        refused_live(
            &[("DATABASE_URL", readable)],
            "DATABASE_URL",
            "sslmode=verify-full",
        );
    }
    for safe in [
        "postgres://u:p@db.example/holdfast?sslmode=require",
        "postgres://u:p@db.example/holdfast?sslmode=verify-full",
        "postgres://u:p@127.0.0.1/holdfast",
        "postgres://u:p@[::1]/holdfast",
        "postgres://u@localhost/holdfast?host=/run/postgresql",
    ] {
        read_live(&[("DATABASE_URL", safe)]).unwrap();
    }
}

#[test]
fn who_migrates_reaches_it_by_tls_too() {
    const ELSEWHERE: &str = "postgres://u:p@db.example/holdfast";
    const HERE: &str = "postgres://u:p@localhost/holdfast";
    for (key, serve, owner, refused) in [
        ("sk_live_51", ELSEWHERE, None, vec!["DATABASE_URL"]),
        (
            "rk_live_51",
            HERE,
            Some(ELSEWHERE),
            vec!["MIGRATION_DATABASE_URL"],
        ),
        ("sk_live_51", HERE, Some(HERE), vec![]),
        ("sk_test_51", ELSEWHERE, Some(ELSEWHERE), vec![]),
        ("", ELSEWHERE, Some(ELSEWHERE), vec![]),
    ] {
        let roles = Config::read_roles(|variable| match variable {
            "STRIPE_SECRET_KEY" => Some(key.to_owned()),
            "DATABASE_URL" => Some(serve.to_owned()),
            "MIGRATION_DATABASE_URL" => owner.map(str::to_owned),
            _ => None,
        });

        let mistakes = roles.map_or_else(|error| error.0, |_| vec![]);
        let variables: Vec<_> = mistakes.iter().map(|mistake| mistake.variable).collect();
        assert_eq!(variables, refused, "{key} {serve} {owner:?}");
    }
}
