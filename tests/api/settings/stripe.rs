//! Stripe's settings: each key in its own variable, and no live key beside a test key.

use super::{read, refused};

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
