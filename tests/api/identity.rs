//! Who is calling: which tokens stand, what they open, and what they do not.

use aws_lc_rs::hmac;
use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use holdfast::dev::identity::{Issuer, IssuerSettings};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

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

async fn another_issuer() -> Issuer {
    let bind = "127.0.0.1:0".parse().unwrap();
    Issuer::start(IssuerSettings {
        bind,
        key_file: None,
        site: None,
    })
    .await
    .unwrap()
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
async fn a_token_names_a_user_of_1_to_255_bytes() {
    let harness = TestApp::new().await;

    for sub in [
        json!(""),
        json!(null),
        json!(7),
        json!("u".repeat(256)),
        json!("u\0"),
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

#[tokio::test]
async fn a_key_that_is_not_the_issuers_opens_nothing() {
    let harness = TestApp::new().await;
    let claims = harness.claims("user_dana", "dana@example.com");
    let (good, forged) = (
        harness.issuer.token(&claims),
        another_issuer().await.token(&claims),
    );
    let mut disguised = header(&good);
    disguised["jku"] = json!("https://evil.example/jwks.json");
    let signature = forged.rsplit('.').next().unwrap();

    let unknown_key = ask(&harness, forged.as_str()).await;
    let wrong_key = ask(
        &harness,
        format!("{}.{}.{signature}", encode(&disguised), encode(&claims)),
    )
    .await;
    let no_key = ask(
        &harness,
        format!(
            "{}.{}.{signature}",
            encode(&json!({ "alg": "RS256" })),
            encode(&claims)
        ),
    )
    .await;

    for answer in [unknown_key, wrong_key, no_key] {
        refused(&answer);
    }
}

#[tokio::test]
async fn the_issuer_is_asked_once_for_its_keys() {
    let harness = TestApp::new().await;

    for name in ["dana", "eve", "dana"] {
        assert_eq!(
            harness.customer(name).get("/api/bookings").await.status,
            200
        );
    }
    harness.advance(TimeDelta::minutes(59)).await;
    assert_eq!(
        harness.customer("dana").get("/api/bookings").await.status,
        200
    );

    assert_eq!(harness.issuer.jwks_requests(), 1);
}

#[tokio::test]
async fn a_new_key_is_fetched_when_it_is_met_and_the_old_one_goes() {
    let harness = TestApp::new().await;
    let old = harness.customer("dana");
    assert_eq!(old.get("/api/bookings").await.status, 200);
    harness.issuer.rotate();
    harness.advance(TimeDelta::seconds(30)).await;
    assert_eq!(
        old.get("/api/bookings").await.status,
        200,
        "its key is still known"
    );

    let new = harness.customer("dana").get("/api/bookings").await;

    assert_eq!(new.status, 200);
    assert_eq!(harness.issuer.jwks_requests(), 2);
    refused(&old.get("/api/bookings").await);
}

#[tokio::test]
async fn unknown_keys_make_one_request_in_30_seconds() {
    let harness = TestApp::new().await;
    assert_eq!(
        harness.customer("dana").get("/api/bookings").await.status,
        200
    );
    let claims = harness.claims("user_dana", "dana@example.com");
    let forged = another_issuer().await.token(&claims);

    for (seconds, requests) in [(0, 1), (29, 1), (1, 2), (29, 2), (1, 3)] {
        harness.advance(TimeDelta::seconds(seconds)).await;
        refused(&ask(&harness, forged.as_str()).await);
        refused(&ask(&harness, forged.as_str()).await);

        assert_eq!(harness.issuer.jwks_requests(), requests);
    }
}

#[tokio::test]
async fn a_withdrawn_key_ends_within_an_hour() {
    let harness = TestApp::new().await;
    let mut claims = harness.claims("user_dana", "dana@example.com");
    claims["exp"] = json!(harness.now().timestamp() + 86_400);
    let token = harness.issuer.token(&claims);
    assert_eq!(ask(&harness, token.as_str()).await.status, 200);
    harness.issuer.rotate();

    harness.advance(TimeDelta::minutes(60)).await;
    let last = ask(&harness, token.as_str()).await;
    harness.advance(TimeDelta::seconds(1)).await;
    let gone = ask(&harness, token.as_str()).await;

    assert_eq!(last.status, 200);
    refused(&gone);
}

/// A harness whose keys come from elsewhere, and a token that is signed by `signer`.
async fn stage_with_keys(jwks_url: &str, signer: &Issuer) -> (TestApp, String) {
    let harness = TestApp::with(&[("CLERK_JWKS_URL", jwks_url)]).await;
    let mut claims = harness.claims("user_dana", "dana@example.com");
    claims["exp"] = json!((harness.now() + TimeDelta::days(1)).timestamp());
    (harness, signer.token(&claims))
}

#[tokio::test]
async fn while_the_issuer_is_down_the_keys_at_hand_go_on_to_count() {
    let keys = another_issuer().await;
    let (harness, token) =
        stage_with_keys(&format!("{}/.well-known/jwks.json", keys.url()), &keys).await;
    assert_eq!(ask(&harness, token.as_str()).await.status, 200);

    drop(keys);
    harness.advance(TimeDelta::hours(2)).await;

    assert_eq!(ask(&harness, token.as_str()).await.status, 200);
    refused(
        &ask(
            &harness,
            another_issuer()
                .await
                .token(&harness.claims("user_dana", "")),
        )
        .await,
    );
}

#[tokio::test]
async fn without_any_key_of_the_issuer_only_the_public_is_served() {
    let keys = another_issuer().await;
    let (harness, token) = stage_with_keys("http://127.0.0.1:1/jwks.json", &keys).await;

    let unchecked = ask(&harness, token.as_str()).await;
    unchecked.refused(503, "identity_unavailable");
    assert!(unchecked.headers.contains_key("retry-after"));
    assert_eq!(harness.bearer(token).get("/api/shows").await.status, 200);
    assert_eq!(harness.get("/health").await.status, 200);
    let ready = harness.get("/ready").await;
    ready.refused(503, "identity_unavailable");
    let missing = ["the issuer's keys cannot be had; check CLERK_ISSUER and CLERK_JWKS_URL"];
    assert_eq!(ready.body["missing"], json!(missing));
}

#[tokio::test]
async fn a_key_of_an_unknown_kind_does_not_hide_the_others() {
    let keys = another_issuer().await;
    let mut jwks =
        send(reqwest::Client::new().get(format!("{}/.well-known/jwks.json", keys.url())))
            .await
            .body;
    let strange = [
        json!({ "kty": "AKP", "kid": "post-quantum", "alg": "ML-DSA-44", "pub": "AA" }),
        json!({ "kty": "EC", "kid": "curve", "crv": "secp256k1", "x": "AA", "y": "AA" }),
        json!({ "kty": "RSA", "kid": "broken", "n": "!", "e": "!" }),
        json!({ "kty": "RSA" }),
        json!("no key"),
    ];
    jwks["keys"].as_array_mut().unwrap().splice(0..0, strange);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", get(async move || jwks.to_string()));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let (harness, token) = stage_with_keys(&url, &keys).await;

    assert_eq!(ask(&harness, token).await.status, 200);
}
