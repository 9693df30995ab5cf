//! The settings: all mistakes at once, each with what to do about it, and no secret in any of them.

mod checkout;
mod example;
mod files;
mod live;
mod stripe;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast::config::{Config, ConfigError, LogConfig, STRIPE_API_BASE_DEFAULT};

/// Settings that stand.
const GOOD: [(&str, &str); 5] = [
    (
        "DATABASE_URL",
        "postgres://holdfast:hunter2@localhost/holdfast",
    ),
    ("STRIPE_SECRET_KEY", "sk_test_51secret"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_51secret_of_the_webhooks"),
    ("CLERK_ISSUER", "https://issuer.example"),
    ("APP_ORIGINS", "https://front.example"),
];

/// Reads good settings with some of its own; an empty value takes one away.
fn read(own: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let settings: BTreeMap<_, _> = GOOD.iter().chain(own).copied().collect();
    Config::read(|variable| settings.get(variable).map(|value| (*value).to_owned()))
}

/// The settings must be refused for this variable alone, in a sentence that says this.
#[track_caller]
fn refused(own: &[(&str, &str)], variable: &str, says: &str) {
    let mistakes = read(own).unwrap_err().0;
    let [mistake] = mistakes.as_slice() else {
        panic!("one mistake was expected: {mistakes:?}")
    };
    assert_eq!(mistake.variable, variable);
    assert!(
        mistake.remedy.contains(says),
        "{says:?} is not in {:?}",
        mistake.remedy
    );
}

#[test]
fn good_settings_are_read_with_their_defaults() {
    let config = read(&[]).unwrap();

    assert_eq!(config.bind.to_string(), "127.0.0.1:3000");
    assert_eq!(config.hold, Duration::from_mins(10));
    assert_eq!(config.rate_limit_per_minute.unwrap().get(), 300);
    assert_eq!(config.stripe.api_base, STRIPE_API_BASE_DEFAULT);
    assert_eq!(
        config.identity.jwks_url,
        "https://issuer.example/.well-known/jwks.json"
    );
    assert_eq!(
        config.identity.authorized_parties,
        ["https://front.example"]
    );
    assert!(!config.stripe.livemode());
}

#[test]
fn all_mistakes_are_told_at_once() {
    let nothing = Config::read(|_| None).unwrap_err();

    let variables: Vec<_> = nothing.0.iter().map(|mistake| mistake.variable).collect();
    let required: BTreeSet<_> = GOOD.iter().map(|(variable, _)| *variable).collect();
    assert_eq!(variables.iter().copied().collect::<BTreeSet<_>>(), required);
    assert_eq!(variables.len(), required.len(), "{nothing}");
    let sentences = nothing.to_string();
    assert!(sentences.starts_with("5 settings to fix:\n"), "{sentences}");
    for variable in required {
        assert!(
            sentences.contains(&format!("\n  {variable}: is missing; set it to ")),
            "{sentences}"
        );
    }

    let one = read(&[("BIND", "3000")]).unwrap_err().to_string();
    assert!(
        one.starts_with("1 setting to fix:\n  BIND: must be an address and a port"),
        "{one}"
    );
}

#[test]
fn origins_are_scheme_host_and_port() {
    let wrong = [
        "front.example",
        "localhost:5173",
        "https://front.example/",
        "https://front.example/app",
        "https://Front.example",
        "https://front.example:443",
        "ftp://front.example",
        "*",
        "null",
    ];
    for origin in wrong {
        refused(
            &[("APP_ORIGINS", origin)],
            "APP_ORIGINS",
            "such as http://localhost:5173",
        );
    }
    refused(&[("APP_ORIGINS", " , ")], "APP_ORIGINS", "is missing");
    let both = read(&[("APP_ORIGINS", "a,https://front.example,b")])
        .unwrap_err()
        .0;
    assert_eq!(both.len(), 2, "{both:?}");

    let config = read(&[(
        "APP_ORIGINS",
        "https://front.example, http://localhost:5173",
    )])
    .unwrap();
    assert_eq!(
        config.app_origins,
        ["https://front.example", "http://localhost:5173"]
    );
}

#[test]
fn trusted_proxies_are_networks_or_addresses() {
    let own = [("TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7,fd00::/8")];
    let networks = read(&own).unwrap().trusted_proxies;
    let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();

    assert_eq!(networks, ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]);
    for wrong in ["10.0.0.0/33", "proxy.example", "10.0.0"] {
        refused(
            &[("TRUSTED_PROXIES", wrong)],
            "TRUSTED_PROXIES",
            "such as 10.0.0.0/8",
        );
    }
}

/// Whoever is named there may say that they are anybody.
#[test]
fn nobody_trusts_everybody_as_a_proxy() {
    for everybody in ["0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/7", "2000::/3"] {
        let remedy = format!("{everybody:?} has addresses of anybody");
        refused(
            &[("TRUSTED_PROXIES", everybody)],
            "TRUSTED_PROXIES",
            &remedy,
        );
    }
    assert!(read(&[("TRUSTED_PROXIES", "fc00::/7")]).is_ok());
}

#[test]
fn the_issuer_and_the_database_have_a_scheme() {
    refused(
        &[("CLERK_ISSUER", "issuer.example")],
        "CLERK_ISSUER",
        "must begin with https://",
    );
    refused(
        &[("CLERK_JWKS_URL", "issuer.example/jwks")],
        "CLERK_JWKS_URL",
        "must begin with https://",
    );
    refused(
        &[("DATABASE_URL", "mysql://localhost/x")],
        "DATABASE_URL",
        "must begin with postgres://",
    );
    refused(
        &[("DATABASE_URL", "localhost/holdfast")],
        "DATABASE_URL",
        "must begin with postgres://",
    );
    refused(
        &[("DATABASE_URL", "postgres://localhost:port/x")],
        "DATABASE_URL",
        "cannot be read",
    );

    let config = read(&[("CLERK_ISSUER", "https://issuer.example/")]).unwrap();
    assert_eq!(config.identity.issuer, "https://issuer.example");
}

#[test]
fn numbers_are_whole_and_within_their_bounds() {
    for wrong in [
        "0",
        "abc",
        "82801",
        "-1",
        "1.5",
        "99999999999999999999",
        "600s",
    ] {
        refused(
            &[("HOLD_SECONDS", wrong)],
            "HOLD_SECONDS",
            "must be a whole number from 1 to 82800",
        );
    }
    refused(
        &[("RATE_LIMIT_PER_MINUTE", "-1")],
        "RATE_LIMIT_PER_MINUTE",
        "a whole number from 0 to 1000000",
    );
    for wrong in ["3000", ":3000", "localhost:3000", "127.0.0.1:70000"] {
        refused(&[("BIND", wrong)], "BIND", "such as 127.0.0.1:3000");
    }

    assert_eq!(
        read(&[("HOLD_SECONDS", " 1 ")]).unwrap().hold,
        Duration::from_secs(1)
    );
    assert_eq!(
        read(&[("HOLD_SECONDS", "82800")]).unwrap().hold,
        Duration::from_hours(23)
    );
    assert_eq!(
        read(&[("RATE_LIMIT_PER_MINUTE", "0")])
            .unwrap()
            .rate_limit_per_minute,
        None
    );
}

#[test]
fn an_empty_value_counts_as_none() {
    for (variable, _) in GOOD {
        refused(&[(variable, "")], variable, "is missing");
        refused(&[(variable, " \t")], variable, "is missing");
    }
    let optional = [
        "BIND",
        "HOLD_SECONDS",
        "STRIPE_API_BASE",
        "STRIPE_PUBLISHABLE_KEY",
        "CLERK_JWKS_URL",
    ];
    let config = read(&optional.map(|variable| (variable, " "))).unwrap();
    assert_eq!(format!("{config:?}"), format!("{:?}", read(&[]).unwrap()));
}

#[test]
fn logs_are_pretty_or_json() {
    let read = |format: &str, filter: &str| {
        let (format, filter) = (format.to_owned(), filter.to_owned());
        LogConfig::read(move |variable| {
            Some(if variable == "LOG_FORMAT" {
                format.clone()
            } else {
                filter.clone()
            })
        })
    };

    let wrong = read("yaml", "a=b=c").unwrap_err().0;
    assert_eq!(
        wrong
            .iter()
            .map(|mistake| mistake.variable)
            .collect::<Vec<_>>(),
        ["LOG_FORMAT", "RUST_LOG"]
    );
    assert!(read("json", "warn,holdfast=debug").unwrap().json);
    assert_eq!(read("", "").unwrap().filter, "info");
}

#[test]
fn no_secret_is_ever_shown() {
    let secrets = ["hunter2", "51secret", "whsec_secret"];
    let shown = format!("{:?}", read(&[]).unwrap());
    for secret in secrets {
        assert!(!shown.contains(secret), "{shown}");
    }

    let misplaced = [
        ("DATABASE_URL", "https://holdfast:hunter2@localhost"),
        ("STRIPE_SECRET_KEY", "whsec_secret"),
        ("STRIPE_WEBHOOK_SECRET", "sk_test_51secret"),
        ("STRIPE_PUBLISHABLE_KEY", "sk_live_51secret"),
        ("STRIPE_API_BASE", "sk_test_51secret"),
        ("CLERK_ISSUER", "sk_test_51secret"),
        ("CLERK_JWKS_URL", "whsec_secret"),
        ("APP_ORIGINS", "sk_test_51secret,whsec_secret"),
        ("BIND", "postgres://holdfast:hunter2@localhost"),
        ("HOLD_SECONDS", "sk_test_51secret"),
    ];
    let error = read(&misplaced).unwrap_err();
    assert_eq!(error.0.len(), misplaced.len() + 1, "{error}");
    for secret in secrets {
        assert!(!error.to_string().contains(secret), "{error}");
        assert!(!format!("{error:?}").contains(secret), "{error:?}");
    }
    let unreadable = read(&[(
        "DATABASE_URL",
        "postgres://holdfast:hunter2@localhost:port/x",
    )])
    .unwrap_err();
    assert!(!unreadable.to_string().contains("hunter2"), "{unreadable}");
}
