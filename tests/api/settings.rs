//! The settings: all mistakes at once, each with what to do about it, and no secret in any of them.

use std::cell::RefCell;
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
    ("STRIPE_WEBHOOK_SECRET", "whsec_secret"),
    ("CLERK_ISSUER", "https://issuer.example"),
    ("APP_ORIGINS", "https://front.example"),
];

/// Variables that only the local Postgres reads, which `serve` does not contain.
const OF_THE_LOCAL_POSTGRES: [&str; 2] = ["PG_BIN_DIR", "PG_NO_DOWNLOAD"];

const EXAMPLE: &str = include_str!("../../.env.example");

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
fn an_api_key_is_no_webhook_secret() {
    let hint = "belongs in STRIPE_SECRET_KEY";
    refused(
        &[("STRIPE_WEBHOOK_SECRET", "sk_test_51secret")],
        "STRIPE_WEBHOOK_SECRET",
        hint,
    );
    refused(
        &[("STRIPE_WEBHOOK_SECRET", "rk_live_51secret")],
        "STRIPE_WEBHOOK_SECRET",
        hint,
    );
    refused(
        &[("STRIPE_WEBHOOK_SECRET", "whsec_a,sk_test_51")],
        "STRIPE_WEBHOOK_SECRET",
        hint,
    );
    let hint = "belongs in STRIPE_PUBLISHABLE_KEY";
    refused(
        &[("STRIPE_WEBHOOK_SECRET", "pk_test_51public")],
        "STRIPE_WEBHOOK_SECRET",
        hint,
    );
    refused(
        &[("STRIPE_WEBHOOK_SECRET", "we_123")],
        "STRIPE_WEBHOOK_SECRET",
        "`stripe listen` prints it",
    );
    refused(
        &[("STRIPE_WEBHOOK_SECRET", "whsec_")],
        "STRIPE_WEBHOOK_SECRET",
        "whsec_…",
    );
}

#[test]
fn several_webhook_secrets_are_read_while_one_is_rolled() {
    let config = read(&[("STRIPE_WEBHOOK_SECRET", " whsec_new , whsec_old,")]).unwrap();

    let secrets: Vec<_> = config
        .stripe
        .webhook_secrets
        .iter()
        .map(holdfast::config::Secret::reveal)
        .collect();
    assert_eq!(secrets, ["whsec_new", "whsec_old"]);
}

#[test]
fn each_key_stands_in_its_own_variable() {
    let hint = "belongs in STRIPE_PUBLISHABLE_KEY";
    refused(
        &[("STRIPE_SECRET_KEY", "pk_test_51public")],
        "STRIPE_SECRET_KEY",
        hint,
    );
    refused(
        &[("STRIPE_SECRET_KEY", "whsec_a")],
        "STRIPE_SECRET_KEY",
        "belongs in STRIPE_WEBHOOK_SECRET",
    );
    refused(
        &[("STRIPE_SECRET_KEY", "sk_test_")],
        "STRIPE_SECRET_KEY",
        "must be a secret key",
    );
    refused(
        &[("STRIPE_SECRET_KEY", "sk_prod_51")],
        "STRIPE_SECRET_KEY",
        "must be a secret key",
    );
    refused(
        &[("STRIPE_SECRET_KEY", "hunter2")],
        "STRIPE_SECRET_KEY",
        "must be a secret key",
    );
    let hint = "belongs in STRIPE_SECRET_KEY";
    refused(
        &[("STRIPE_PUBLISHABLE_KEY", "sk_test_51secret")],
        "STRIPE_PUBLISHABLE_KEY",
        hint,
    );
}

#[test]
fn live_and_test_are_not_mixed() {
    let live_and_test = [
        ("STRIPE_SECRET_KEY", "sk_live_51"),
        ("STRIPE_PUBLISHABLE_KEY", "pk_test_51"),
    ];
    refused(
        &live_and_test,
        "STRIPE_PUBLISHABLE_KEY",
        "is a test key while STRIPE_SECRET_KEY is a live key",
    );
    refused(
        &[("STRIPE_PUBLISHABLE_KEY", "pk_live_51")],
        "STRIPE_PUBLISHABLE_KEY",
        "two of the same mode",
    );

    for key in ["sk_live_51", "rk_live_51"] {
        let simulated = [
            ("STRIPE_SECRET_KEY", key),
            ("STRIPE_API_BASE", "http://127.0.0.1:12111"),
        ];
        refused(
            &simulated,
            "STRIPE_API_BASE",
            "is not Stripe while STRIPE_SECRET_KEY is a live key",
        );
    }
    let live = read(&[
        ("STRIPE_SECRET_KEY", "rk_live_51"),
        ("STRIPE_PUBLISHABLE_KEY", "pk_live_51"),
    ])
    .unwrap();
    assert!(live.stripe.livemode());
    let named = [
        ("STRIPE_SECRET_KEY", "sk_live_51"),
        ("STRIPE_API_BASE", "https://api.stripe.com/"),
    ];
    assert!(read(&named).unwrap().stripe.livemode());
    let test = read(&[("STRIPE_SECRET_KEY", "sk_test_51_live_")]).unwrap();
    assert!(!test.stripe.livemode());
}

#[test]
fn the_api_base_is_a_url_without_the_version() {
    refused(
        &[("STRIPE_API_BASE", "127.0.0.1:12111")],
        "STRIPE_API_BASE",
        "http://127.0.0.1:12111",
    );
    refused(
        &[("STRIPE_API_BASE", "localhost:12111")],
        "STRIPE_API_BASE",
        "an http or https URL",
    );
    refused(
        &[("STRIPE_API_BASE", "http://127.0.0.1:12111/v1")],
        "STRIPE_API_BASE",
        "must not end in /v1",
    );
    refused(
        &[("STRIPE_API_BASE", "http://127.0.0.1:12111/v1/")],
        "STRIPE_API_BASE",
        "must not end in /v1",
    );

    let config = read(&[("STRIPE_API_BASE", "http://127.0.0.1:12111/")]).unwrap();
    assert_eq!(config.stripe.api_base, "http://127.0.0.1:12111");
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
    let told = read(&misplaced).unwrap_err();
    assert_eq!(told.0.len(), misplaced.len() + 1, "{told}");
    for secret in secrets {
        assert!(!told.to_string().contains(secret), "{told}");
        assert!(!format!("{told:?}").contains(secret), "{told:?}");
    }
    let unreadable = read(&[(
        "DATABASE_URL",
        "postgres://holdfast:hunter2@localhost:port/x",
    )])
    .unwrap_err();
    assert!(!unreadable.to_string().contains("hunter2"), "{unreadable}");
}

/// The variables that the settings are read from.
fn asked() -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    let lookup = |variable: &str| {
        asked.borrow_mut().insert(variable.to_owned());
        None
    };
    Config::read(lookup).unwrap_err();
    LogConfig::read(lookup).unwrap();
    asked.into_inner()
}

/// Whether a line sets a variable; `true` beside it where the line is commented out.
fn setting(line: &str) -> Option<(&str, &str, bool)> {
    let commented = line.strip_prefix("# ");
    let (variable, value) = commented.unwrap_or(line).split_once('=')?;
    let is_name = variable
        .chars()
        .all(|letter| letter.is_ascii_uppercase() || letter == '_');
    is_name.then_some((variable, value, commented.is_some()))
}

#[test]
fn the_example_has_every_variable_once_each_with_a_comment() {
    let lines: Vec<_> = EXAMPLE.lines().collect();
    let listed: Vec<_> = lines
        .iter()
        .filter_map(|line| setting(line))
        .map(|(variable, ..)| variable.to_owned())
        .collect();
    let known: BTreeSet<_> = asked()
        .into_iter()
        .chain(OF_THE_LOCAL_POSTGRES.map(str::to_owned))
        .collect();

    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), known);
    assert_eq!(listed.len(), known.len(), "{listed:?}");
    for pair in lines.windows(2) {
        let explained = pair[0].starts_with("# ") && setting(pair[0]).is_none();
        assert!(
            setting(pair[1]).is_none() || explained,
            "{} has no comment",
            pair[1]
        );
    }
}

#[test]
fn the_comments_of_the_settings_name_every_variable_once() {
    let comments = include_str!("../../src/config/settings.rs")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("/// `"));
    let named: Vec<_> = comments
        .filter_map(|comment| comment.split_once("`: "))
        .map(|(name, _)| name.to_owned())
        .collect();

    assert_eq!(named.iter().cloned().collect::<BTreeSet<_>>(), asked());
    assert_eq!(named.len(), asked().len(), "{named:?}");
}

#[test]
fn the_example_stands_as_it_is_and_with_all_its_comments_taken_away() {
    let settings: Vec<_> = EXAMPLE.lines().filter_map(setting).collect();
    let uncommented: Vec<_> = settings
        .iter()
        .map(|(variable, value, _)| format!("{variable}={value}"))
        .collect();

    for text in [EXAMPLE, &uncommented.join("\n")] {
        let entries: Result<BTreeMap<_, _>, _> = dotenvy::from_read_iter(text.as_bytes()).collect();
        let entries: BTreeMap<String, String> = entries.unwrap();
        let config = Config::read(|variable| entries.get(variable).cloned()).unwrap();
        LogConfig::read(|variable| entries.get(variable).cloned()).unwrap();
        let defaults = ["127.0.0.1:3000", "600s", "300", STRIPE_API_BASE_DEFAULT];
        for default in defaults {
            assert!(
                format!("{config:?}").contains(default),
                "{default}: {config:?}"
            );
        }
    }
    let required: BTreeSet<_> = settings
        .iter()
        .filter(|(.., commented)| !commented)
        .map(|(name, ..)| *name)
        .collect();
    assert_eq!(
        required,
        GOOD.iter().map(|(variable, _)| *variable).collect()
    );
}
