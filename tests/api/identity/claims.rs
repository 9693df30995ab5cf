//! What a token says: times of any precision, and claims that are not what they are named for.

use serde_json::json;

use super::{ask, ask_with, refused};
use crate::harness::TestApp;

/// RFC 7519, section 2: a `NumericDate` may have a fraction.
#[tokio::test]
async fn a_time_may_have_a_fraction() {
    let harness = TestApp::new().await;
    let now = harness.now().timestamp();
    let at = |seconds: i64, fraction: &str| -> serde_json::Value {
        serde_json::from_str(&format!("{}{fraction}", now + seconds)).unwrap()
    };

    for stands in [
        json!({ "exp": at(3_600, ".5"), "nbf": at(-1, ".25"), "iat": at(-1, ".25") }),
        json!({ "exp": at(3_600, ".0"), "nbf": at(0, ".0"), "iat": at(0, "e0") }),
        json!({ "exp": at(-60, ".5") }),
        json!({ "exp": 1e300, "nbf": -1.5 }),
        json!({ "nbf": at(59, ".5") }),
    ] {
        let answer = ask_with(&harness, stands.clone()).await;
        assert_eq!(answer.status, 200, "{stands}: {answer:?}");
    }
    for ended in [at(-61, ".5"), json!(-0.5), json!(-1e300)] {
        let answer = ask_with(&harness, json!({ "exp": ended })).await;
        refused(&answer);
        assert_eq!(answer.body["detail"], "The session token has expired.");
    }
    for early in [at(60, ".5"), json!(1e300)] {
        let answer = ask_with(&harness, json!({ "nbf": early })).await;
        refused(&answer);
        assert_eq!(answer.body["detail"], "The session token is not valid yet.");
    }
}

#[tokio::test]
async fn an_optional_claim_of_another_type_is_no_claim() {
    let harness = TestApp::new().await;

    for claim in ["iat", "email", "name", "metadata", "aud", "jti"] {
        for value in [json!(7.5), json!(true), json!(["x"]), json!({ "x": 1 })] {
            let mut changes = json!({ "sub": "user_eve" });
            changes[claim] = value;
            let answer = ask_with(&harness, changes.clone()).await;
            assert_eq!(answer.status, 200, "{changes}: {answer:?}");
        }
    }
    assert_eq!(
        harness
            .sql("select id || ' ' || email || ' ' || name from users")
            .await,
        "user_eve dana@example.com user_dana"
    );
}

/// Clerk: who has still something to do to sign in counts as signed out.
#[tokio::test]
async fn a_session_that_is_pending_opens_nothing() {
    let harness = TestApp::new().await;

    let pending = ask_with(&harness, json!({ "sts": "pending" })).await;
    let active = ask_with(&harness, json!({ "sts": "active" })).await;

    refused(&pending);
    assert_eq!(active.status, 200, "{active:?}");
}

/// They say where and when the token does not count.
#[tokio::test]
async fn a_restriction_of_another_type_is_not_passed_over() {
    let harness = TestApp::new().await;
    let claims = harness.claims("user_dana", "dana@example.com");

    for (claim, detail) in [
        ("nbf", "The session token is not valid yet."),
        ("azp", "The session token was made for another application."),
    ] {
        for value in ["true", "\"x\"", "[\"x\"]", "{}", "null", "1e999"] {
            let mut others = claims.clone();
            others.as_object_mut().unwrap().remove(claim);
            let start = format!("{{\"{claim}\": {value},");
            let restricted = others.to_string().replacen('{', &start, 1);
            let answer = ask(&harness, harness.issuer.token(&restricted)).await;
            refused(&answer);
            assert_eq!(answer.body["detail"], detail, "{claim}: {value}");
        }
    }
}

/// JSON allows both, and a profile may hold anything.
#[tokio::test]
async fn a_claim_that_nobody_can_read_takes_no_other_away() {
    let harness = TestApp::new().await;
    let claims = harness.claims("user_dana", "dana@example.com").to_string();

    for (name, value) in [
        ("nickname", r#""\ud800""#),
        ("score", "1e999"),
        ("\\ud800", "1"),
        ("deep", &format!("{}1{}", "[".repeat(200), "]".repeat(200))),
    ] {
        let odd = claims.replacen('{', &format!("{{\"{name}\": {value},"), 1);
        let answer = ask(&harness, harness.issuer.token(&odd)).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
    let nobody = claims.replace("user_dana", r"user_\ud800");
    refused(&ask(&harness, harness.issuer.token(&nobody)).await);
}

#[tokio::test]
async fn the_signature_is_blamed_for_nothing_else() {
    let harness = TestApp::new().await;

    for (changes, detail) in [
        (
            json!({ "exp": null }),
            "The session token does not say when it ends.",
        ),
        (
            json!({ "exp": "soon" }),
            "The session token does not say when it ends.",
        ),
        (
            json!({ "iss": null }),
            "The session token is from another issuer.",
        ),
        (
            json!({ "iss": ["x"] }),
            "The session token is from another issuer.",
        ),
        (json!({ "sub": null }), "The session token names no user."),
        (json!({ "sub": 7 }), "The session token names no user."),
    ] {
        let answer = ask_with(&harness, changes.clone()).await;
        refused(&answer);
        assert_eq!(answer.body["detail"], detail, "{changes}");
    }

    let claims = harness.claims("user_dana", "dana@example.com");
    let token = harness.issuer.token(&claims);
    let (message, signature) = token.rsplit_once('.').unwrap();
    for (token, detail) in [
        (
            harness.issuer.token(&json!("no claims")),
            "The claims of the session token cannot be read.",
        ),
        (
            format!("{message}.!{signature}"),
            "The signature of the session token is not valid.",
        ),
        (
            format!("{message}.{}", &signature[4..]),
            "The signature of the session token is not valid.",
        ),
    ] {
        let answer = ask(&harness, token).await;
        refused(&answer);
        assert_eq!(answer.body["detail"], detail);
    }
}
