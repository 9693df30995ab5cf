//! The issuer's keys: when they are fetched, and which of them count.

use axum::Router;
use axum::routing::get;
use chrono::TimeDelta;
use holdfast::dev::identity::{Issuer, IssuerSettings};
use serde_json::json;
use tokio::net::TcpListener;

use super::{ask, encode, header, refused};
use crate::harness::{TestApp, send};

pub(super) async fn another_issuer() -> Issuer {
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
async fn the_keys_are_fetched_before_anybody_needs_them() {
    let harness = TestApp::new().await;

    for (minutes, requests) in [(0, 1), (29, 1), (1, 2), (29, 2), (1, 3)] {
        harness.advance(TimeDelta::minutes(minutes)).await;
        harness.keep_issuer_keys().await;
        harness.keep_issuer_keys().await;

        assert_eq!(harness.issuer.jwks_requests(), requests);
    }
    harness.issuer.rotate();
    harness.advance(TimeDelta::minutes(30)).await;
    harness.keep_issuer_keys().await;
    let new = harness.customer("dana").get("/api/bookings").await;

    assert_eq!((new.status, harness.issuer.jwks_requests()), (200, 4));
}

#[tokio::test]
async fn a_new_key_is_fetched_when_it_is_met() {
    let harness = TestApp::new().await;
    let old = harness.customer("dana");
    assert_eq!(old.get("/api/bookings").await.status, 200);
    harness.issuer.rotate();
    harness.advance(TimeDelta::seconds(1)).await;
    assert_eq!(
        old.get("/api/bookings").await.status,
        200,
        "its key is still known"
    );

    let new = harness.customer("dana").get("/api/bookings").await;

    assert_eq!(new.status, 200);
    assert_eq!(harness.issuer.jwks_requests(), 2);
    // The answer had no key that was known: it may have been somebody else's.
    assert_eq!(old.get("/api/bookings").await.status, 200);
}

#[tokio::test]
async fn unknown_keys_make_one_request_a_second() {
    let harness = TestApp::new().await;
    assert_eq!(
        harness.customer("dana").get("/api/bookings").await.status,
        200
    );
    let claims = harness.claims("user_dana", "dana@example.com");
    let forged = another_issuer().await.token(&claims);

    for (milliseconds, requests) in [(0, 1), (999, 1), (1, 2), (999, 2), (1, 3)] {
        harness.advance(TimeDelta::milliseconds(milliseconds)).await;
        refused(&ask(&harness, forged.as_str()).await);
        refused(&ask(&harness, forged.as_str()).await);

        assert_eq!(harness.issuer.jwks_requests(), requests);
    }
}

#[tokio::test]
async fn a_forged_token_just_before_a_rotation_keeps_nobody_out() {
    let harness = TestApp::new().await;
    assert_eq!(
        harness.customer("dana").get("/api/bookings").await.status,
        200
    );
    let claims = harness.claims("user_dana", "dana@example.com");
    harness.advance(TimeDelta::seconds(1)).await;
    refused(&ask(&harness, another_issuer().await.token(&claims)).await);

    harness.issuer.rotate();
    harness.advance(TimeDelta::seconds(1)).await;

    assert_eq!(
        harness.customer("eve").get("/api/bookings").await.status,
        200
    );
}

#[tokio::test]
async fn an_issuer_that_sends_us_elsewhere_is_not_followed() {
    let keys = another_issuer().await;
    let target = format!("{}/.well-known/jwks.json", keys.url());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let router = Router::new().route(
        "/jwks.json",
        get(async move || axum::response::Redirect::temporary(&target)),
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (harness, token) = harness_with_keys(&url, &keys).await;

    ask(&harness, token)
        .await
        .refused(503, "identity_unavailable");

    assert_eq!(keys.jwks_requests(), 0);
}

#[tokio::test]
async fn a_key_that_all_others_have_replaced_ends_within_the_hour() {
    let harness = TestApp::new().await;
    let mut claims = harness.claims("user_dana", "dana@example.com");
    claims["exp"] = json!(harness.now().timestamp() + 86_400);
    let token = harness.issuer.token(&claims);
    assert_eq!(ask(&harness, token.as_str()).await.status, 200);
    harness.issuer.rotate();

    harness.advance(TimeDelta::minutes(30)).await;
    harness.keep_issuer_keys().await;
    harness.advance(TimeDelta::seconds(1_799)).await;
    let last = ask(&harness, token.as_str()).await;
    harness.advance(TimeDelta::seconds(1)).await;
    let gone = ask(&harness, token.as_str()).await;

    assert_eq!(last.status, 200);
    refused(&gone);
}

/// A harness whose keys come from elsewhere, and a token that is signed by `signer`.
async fn harness_with_keys(jwks_url: &str, signer: &Issuer) -> (TestApp, String) {
    let harness = TestApp::with(&[("CLERK_JWKS_URL", jwks_url)]).await;
    let mut claims = harness.claims("user_dana", "dana@example.com");
    claims["exp"] = json!((harness.now() + TimeDelta::days(1)).timestamp());
    (harness, signer.token(&claims))
}

#[tokio::test]
async fn while_the_issuer_is_down_the_keys_at_hand_go_on_to_count() {
    let keys = another_issuer().await;
    let (harness, token) =
        harness_with_keys(&format!("{}/.well-known/jwks.json", keys.url()), &keys).await;
    assert_eq!(ask(&harness, token.as_str()).await.status, 200);

    drop(keys);
    harness.advance(TimeDelta::hours(2)).await;
    harness.keep_issuer_keys().await;

    assert_eq!(ask(&harness, token.as_str()).await.status, 200);
    let another = another_issuer().await;
    ask(&harness, another.token(&harness.claims("user_dana", "")))
        .await
        .refused(503, "identity_unavailable");
}

#[tokio::test]
async fn without_any_key_of_the_issuer_only_the_public_is_served() {
    let keys = another_issuer().await;
    let (harness, token) = harness_with_keys("http://127.0.0.1:1/jwks.json", &keys).await;

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

    let (harness, token) = harness_with_keys(&url, &keys).await;

    assert_eq!(ask(&harness, token).await.status, 200);
}
