//! Tokens of the development issuer are checked like anybody's: by what it publishes.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use holdfast::dev::identity::{Issuer, IssuerSettings, Site};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

#[tokio::test]
async fn a_token_verifies_against_the_published_key() {
    let issuer = start(None, None).await;

    let customer = claims(&issuer, &issuer.customer_token(now(), TimeDelta::hours(1))).await;
    let admin = claims(&issuer, &issuer.admin_token(now(), TimeDelta::hours(1))).await;

    let customer = customer.unwrap();
    assert_eq!(customer["sub"], "user_dev_customer");
    assert_eq!(customer["iss"], issuer.url());
    assert_eq!(customer["iat"], now().timestamp());
    assert_eq!(customer["exp"], now().timestamp() + 3600);
    assert_eq!(customer["metadata"], Value::Null);
    assert_eq!(customer["azp"], Value::Null);
    assert_eq!(admin.unwrap()["metadata"]["role"], "admin");
    assert_eq!(issuer.jwks_requests(), 2);
}

#[tokio::test]
async fn any_claims_are_signed_as_they_are() {
    let issuer = start(None, None).await;
    let strange = json!({"sub": 17, "exp": "never", "nested": [null, {"ü": "\u{1f3ad}"}]});

    let token = issuer.token(&strange);

    assert_eq!(claims(&issuer, &token).await, Some(strange));
}

#[tokio::test]
async fn after_a_rotation_only_the_new_key_is_published() {
    let issuer = start(None, None).await;
    let before = issuer.customer_token(now(), TimeDelta::hours(1));

    issuer.rotate();
    let after = issuer.customer_token(now(), TimeDelta::hours(1));

    assert_eq!(claims(&issuer, &before).await, None);
    assert!(claims(&issuer, &after).await.is_some());
}

#[tokio::test]
async fn a_kept_key_verifies_tokens_from_before_a_restart_and_is_readable_by_its_owner_alone() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("key-{}", std::process::id()));
    let file = folder.join("issuer.key");

    let first = start(Some(&file), None).await;
    let token = first.customer_token(now(), TimeDelta::hours(1));
    drop(first);
    let second = start(Some(&file), None).await;

    assert!(claims(&second, &token).await.is_some());
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    std::fs::remove_dir_all(folder).unwrap();
}

/// By DNS rebinding a page of any site asks, and reads, under its own name.
#[tokio::test]
async fn a_page_of_another_site_gets_no_token() {
    let site = Site {
        api: "http://localhost:3000".to_owned(),
    };
    let issuer = start(None, Some(site)).await;
    let port = issuer.url().rsplit(':').next().unwrap().to_owned();
    let ask = async |host: String| {
        let request = reqwest::Client::new().get(format!("{}/sessions", issuer.url()));
        request.header("host", host).send().await.unwrap().status()
    };

    for foreign in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("192.168.1.7:{port}"),
        "127.0.0.1".to_owned(),
        "localhost:1".to_owned(),
    ] {
        assert_eq!(ask(foreign.clone()).await, 421, "{foreign}");
    }
    for own in ["127.0.0.1", "localhost", "LocalHost", "[::1]"] {
        assert_eq!(ask(format!("{own}:{port}")).await, 200, "{own}");
    }
}

#[tokio::test]
async fn the_configuration_leads_to_the_key() {
    let issuer = start(None, None).await;

    let configuration = get_json(&format!(
        "{}/.well-known/openid-configuration",
        issuer.url()
    ))
    .await;

    assert_eq!(configuration["issuer"], issuer.url());
    let keys = get_json(configuration["jwks_uri"].as_str().unwrap()).await;
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_site_is_served_with_sessions_for_it_and_only_if_wanted() {
    let api = "http://localhost:3000".to_owned();
    let with = start(None, Some(Site { api: api.clone() })).await;
    let without = start(None, None).await;

    for path in [
        "/",
        "/booking/success?session_id=cs_test_1",
        "/booking/cancel?booking=1",
    ] {
        let page = reqwest::get(with.url() + path).await.unwrap();
        assert!(page.text().await.unwrap().contains("<title>Holdfast"));
        assert_eq!(
            reqwest::get(without.url() + path).await.unwrap().status(),
            404
        );
    }
    let sessions = get_json(&(with.url() + "/sessions")).await;

    assert_eq!(sessions["api"], api);
    let customer = claims(&with, sessions["customer"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(customer["azp"], with.url());
    assert_eq!(
        reqwest::get(without.url() + "/sessions")
            .await
            .unwrap()
            .status(),
        404
    );
}

#[tokio::test]
async fn a_dropped_issuer_serves_nobody() {
    let issuer = start(None, None).await;
    let keys = issuer.url() + "/.well-known/jwks.json";
    let client = reqwest::Client::new();
    client.get(&keys).send().await.unwrap();

    drop(issuer);

    // The server's task sees the end when it runs next.
    while client.get(&keys).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
}

async fn start(key_file: Option<&Path>, site: Option<Site>) -> Issuer {
    Issuer::start(IssuerSettings {
        bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        key_file: key_file.map(Path::to_owned),
        site,
    })
    .await
    .unwrap()
}

/// The token's claims, or `None` if no published key fits.
async fn claims(issuer: &Issuer, token: &str) -> Option<Value> {
    let keys = get_json(&format!("{}/.well-known/jwks.json", issuer.url())).await;
    let keys: JwkSet = serde_json::from_value(keys).unwrap();
    let key = keys.find(&decode_header(token).unwrap().kid.unwrap())?;
    // The signature alone is looked at: time stands still here, and strange claims are welcome.
    let mut validation = Validation::new(Algorithm::RS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    let key = DecodingKey::from_jwk(key).unwrap();
    Some(decode(token, &key, &validation).unwrap().claims)
}

async fn get_json(url: &str) -> Value {
    let body = reqwest::get(url).await.unwrap().bytes().await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap()
}
