//! Who is calling: which tokens stand, what they open, and what they do not.

mod claims;
mod cookies;
mod keys;
mod lame_issuer;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, ORIGIN, TestApp, send};

/// Asks, with this token, for what only a user may see.
async fn ask(harness: &TestApp, token: impl Into<String>) -> Answer {
    harness.bearer(token.into()).get("/api/bookings").await
}

/// Asks with a token of dana's whose claims are changed so; a null takes the claim away.
async fn ask_with(harness: &TestApp, changes: Value) -> Answer {
    let mut claims = harness.claims("user_dana", "dana@example.com");
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    ask(harness, harness.issuer.token(&claims)).await
}

fn refused(answer: &Answer) {
    answer.refused(401, "unauthenticated");
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// The header of a token that the issuer has signed.
fn header(token: &str) -> Value {
    let part = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn without_a_token_nobody_is_let_in() {
    let harness = TestApp::new().await;

    refused(&harness.get("/api/bookings").await);
    refused(&send(harness.request(Method::POST, "/api/bookings")).await);
    refused(&send(harness.request(Method::POST, "/api/admin/movies")).await);
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Token abc",
        "bearer:abc",
    ] {
        refused(
            &send(
                harness
                    .request(Method::GET, "/api/bookings")
                    .header("authorization", value),
            )
            .await,
        );
    }
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let harness = TestApp::new().await;
    let good = harness
        .issuer
        .token(&harness.claims("user_dana", "dana@example.com"));
    let parts: Vec<&str> = good.split('.').collect();
    let cut = format!("{}.{}", parts[0], parts[1]);
    let unsigned = format!("{cut}.");
    let longer = format!("{good}.x");
    let longest = format!("{good}{}", "x".repeat(16 << 10));

    for token in [
        "garbage",
        "a.b.c",
        "..",
        cut.as_str(),
        unsigned.as_str(),
        longer.as_str(),
        longest.as_str(),
    ] {
        refused(&ask(&harness, token).await);
    }
    assert_eq!(ask(&harness, good).await.status, 200);
}

#[tokio::test]
async fn another_algorithm_than_rs256_is_refused() {
    let harness = TestApp::new().await;
    let claims = harness.claims("user_dana", "dana@example.com");
    let good = harness.issuer.token(&claims);
    let jwks = send(
        harness
            .http
            .get(format!("{}/.well-known/jwks.json", harness.issuer.url())),
    )
    .await
    .body;
    let modulus = jwks["keys"][0]["n"].as_str().unwrap();
    let message = |algorithm: &str| {
        let mut header = header(&good);
        header["alg"] = json!(algorithm);
        format!("{}.{}", encode(&header), encode(&claims))
    };

    for secret in [
        modulus.as_bytes().to_vec(),
        URL_SAFE_NO_PAD.decode(modulus).unwrap(),
        jwks.to_string().into_bytes(),
    ] {
        let message = message("HS256");
        let signature = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &secret),
            message.as_bytes(),
        );
        refused(
            &ask(
                &harness,
                format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)),
            )
            .await,
        );
    }
    let signature = good.rsplit('.').next().unwrap();
    for algorithm in [
        "none", "None", "NONE", "", "HS256", "PS256", "ES256", "RS512",
    ] {
        refused(&ask(&harness, format!("{}.", message(algorithm))).await);
        refused(&ask(&harness, format!("{}.{signature}", message(algorithm))).await);
    }
}

/// RFC 7515, section 4.1.11: who does not know an extension that is critical refuses the token.
#[tokio::test]
async fn a_token_with_an_extension_that_is_not_known_is_refused() {
    let harness = TestApp::new().await;
    let claims = harness.claims("user_dana", "dana@example.com");
    let good = harness.issuer.token(&claims);

    for critical in [json!(["b64"]), json!([])] {
        let mut header = header(&good);
        header["crit"] = critical;
        let answer = ask(
            &harness,
            format!("{}.{}.AAAA", encode(&header), encode(&claims)),
        )
        .await;
        refused(&answer);
        let detail = "The session token has extensions that are not known here.";
        assert_eq!(answer.body["detail"], detail);
    }
}

#[tokio::test]
async fn a_token_that_was_changed_is_refused() {
    let harness = TestApp::new().await;
    let mut claims = harness.claims("user_dana", "dana@example.com");
    let good = harness.issuer.token(&claims);
    let parts: Vec<&str> = good.split('.').collect();
    claims["metadata"] = json!({ "role": "admin" });

    refused(
        &ask(
            &harness,
            format!("{}.{}.{}", parts[0], encode(&claims), parts[2]),
        )
        .await,
    );
}

#[tokio::test]
async fn an_expired_token_counts_for_60_seconds_more() {
    let harness = TestApp::new().await;
    let now = harness.now().timestamp();

    assert_eq!(
        ask_with(&harness, json!({ "exp": now - 59 })).await.status,
        200
    );
    for exp in [
        json!(now - 60),
        json!(now - 61),
        json!(0),
        json!(-1),
        json!(i64::MIN),
        json!(null),
        json!("tomorrow"),
    ] {
        refused(&ask_with(&harness, json!({ "exp": exp })).await);
    }
}

#[tokio::test]
async fn a_token_expires_while_time_goes_by() {
    let harness = TestApp::new().await;
    let dana = harness.customer("dana");

    harness.advance(TimeDelta::seconds(3_600 + 59)).await;
    let last = dana.get("/api/bookings").await;
    harness.advance(TimeDelta::seconds(1)).await;
    let too_late = dana.get("/api/bookings").await;

    assert_eq!(last.status, 200);
    refused(&too_late);
}

#[tokio::test]
async fn a_token_of_the_future_counts_60_seconds_before() {
    let harness = TestApp::new().await;
    let now = harness.now().timestamp();

    for nbf in [json!(now + 59), json!(now + 60), json!(null)] {
        assert_eq!(
            ask_with(&harness, json!({ "nbf": nbf })).await.status,
            200,
            "{nbf}"
        );
    }
    for nbf in [now + 61, i64::MAX] {
        refused(&ask_with(&harness, json!({ "nbf": nbf })).await);
    }
}

#[tokio::test]
async fn a_token_of_another_issuer_is_refused() {
    let harness = TestApp::new().await;

    for issuer in [
        json!("https://evil.example"),
        json!(""),
        json!(null),
        json!(format!("{}.evil", harness.issuer.url())),
    ] {
        refused(&ask_with(&harness, json!({ "iss": issuer })).await);
    }
}

#[tokio::test]
async fn a_token_for_another_application_is_refused() {
    let harness = TestApp::new().await;

    for party in ["https://evil.example", "", "http://front.example/"] {
        refused(&ask_with(&harness, json!({ "azp": party })).await);
    }
    for party in [
        json!(null),
        json!(ORIGIN),
        json!("http://other-front.example"),
    ] {
        assert_eq!(
            ask_with(&harness, json!({ "azp": party })).await.status,
            200,
            "{party}"
        );
    }
}

#[tokio::test]
async fn the_parties_can_be_named() {
    let harness = TestApp::with(&[("CLERK_AUTHORIZED_PARTIES", "https://app.example")]).await;

    refused(&ask_with(&harness, json!({ "azp": ORIGIN })).await);
    assert_eq!(
        ask_with(&harness, json!({ "azp": "https://app.example" }))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_token_names_a_user_of_1_to_255_visible_characters() {
    let harness = TestApp::new().await;

    for sub in [
        json!(""),
        json!(null),
        json!(7),
        json!("u".repeat(256)),
        json!("u\0"),
        // Not to be told apart from others by whoever reads them, or tidies them up.
        json!("user_dana "),
        json!("user\tdana"),
        json!("user_d\u{e4}na"),
        json!("us\u{435}r_dana"),
        json!("user_dana\u{200b}"),
    ] {
        refused(&ask_with(&harness, json!({ "sub": sub })).await);
    }
    assert_eq!(
        ask_with(&harness, json!({ "sub": "u".repeat(255) }))
            .await
            .status,
        200
    );
}
