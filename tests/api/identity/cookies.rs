//! Session cookies: a browser may send several, and the first that stands counts.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;

use super::refused;
use crate::harness::{Answer, ORIGIN, TestApp, send};

/// More tokens than one request may have checked.
const TOO_MANY: usize = 9;

/// The token of a session of this user.
fn token(harness: &TestApp, name: &str) -> String {
    harness
        .issuer
        .token(&harness.claims(&format!("user_{name}"), ""))
}

/// A token whose time is over.
fn expired(harness: &TestApp) -> String {
    let mut claims = harness.claims("user_old", "");
    claims["exp"] = json!((harness.now() - TimeDelta::hours(1)).timestamp());
    harness.issuer.token(&claims)
}

async fn ask(harness: &TestApp, cookies: &[String]) -> Answer {
    let request = harness.request(Method::GET, "/api/bookings");
    send(request.header("cookie", cookies.join("; "))).await
}

/// The users who were let in, one of them for each request.
async fn seen(harness: &TestApp) -> String {
    harness
        .sql("select string_agg(id, ' ' order by created_at, id) from users")
        .await
}

#[tokio::test]
async fn the_first_session_that_stands_counts() {
    let harness = TestApp::new().await;
    let old = expired(&harness);
    let of = |name: &str, value: &str| format!("{name}={value}");

    let (ann, bob, cid, dan, eve) = (
        token(&harness, "ann"),
        token(&harness, "bob"),
        token(&harness, "cid"),
        token(&harness, "dan"),
        token(&harness, "eve"),
    );
    for (cookies, user) in [
        (
            vec![of("__session", &old), of("__session", &ann)],
            "user_ann",
        ),
        (
            vec![of("__session", &bob), of("__session", &ann)],
            "user_bob",
        ),
        (vec![of("__session", ""), of("__session", &cid)], "user_cid"),
        // As Clerk's libraries set beside the plain one, by the application.
        // https://clerk.com/docs/guides/how-clerk-works/overview
        (
            vec![of("__session_Ab1-_c2D", &dan), "other=1".to_owned()],
            "user_dan",
        ),
        (
            vec![
                of("__session", "garbage"),
                of("__session_id", "17"),
                of("__session_Ab1-_c2D", &eve),
            ],
            "user_eve",
        ),
    ] {
        let answer = ask(&harness, &cookies).await;

        assert_eq!(answer.status, 200, "{user}: {answer:?}");
        assert!(seen(&harness).await.contains(user), "{user}");
    }
    assert_eq!(
        seen(&harness).await,
        "user_ann user_bob user_cid user_dan user_eve"
    );
}

#[tokio::test]
async fn a_name_that_only_begins_alike_is_no_session() {
    let harness = TestApp::new().await;
    let dana = token(&harness, "dana");

    for name in [
        "__sessions",
        "__session2",
        "x__session",
        "__SESSION",
        "session",
    ] {
        refused(&ask(&harness, &[format!("{name}={dana}")]).await);
    }
}

#[tokio::test]
async fn where_none_stands_the_first_that_could_is_refused() {
    let harness = TestApp::new().await;
    let (old, garbage) = (expired(&harness), "garbage".to_owned());
    let cookies = |tokens: [&String; 2]| tokens.map(|token| format!("__session={token}"));

    let expired = ask(&harness, &cookies([&old, &garbage])).await;
    let later = ask(&harness, &cookies([&garbage, &old])).await;
    let unreadable = ask(&harness, &cookies([&garbage, &garbage])).await;
    let empty = ask(&harness, &["__session=".to_owned()]).await;

    for (answer, detail) in [
        (expired, "The session token has expired."),
        (later, "The session token has expired."),
        (unreadable, "The session token is not a JWT."),
        (empty, "This needs a session token."),
    ] {
        refused(&answer);
        assert_eq!(answer.body["detail"], detail);
    }
}

#[tokio::test]
async fn a_request_has_few_tokens_checked() {
    let harness = TestApp::new().await;
    let bad = vec![format!("__session={}", expired(&harness)); TOO_MANY];
    let good = format!("__session={}", token(&harness, "dana"));

    let last = ask(&harness, &[&bad[..3], std::slice::from_ref(&good)].concat()).await;
    let too_late = ask(&harness, &[&bad[..], &[good]].concat()).await;

    assert_eq!(last.status, 200, "{last:?}");
    refused(&too_late);
}

#[tokio::test]
async fn a_suffixed_session_from_another_origin_changes_nothing() {
    let harness = TestApp::new().await;
    let cookie = format!("__session_x={}", token(&harness, "dana"));
    let post = |origin: &str| {
        let request = harness.request(Method::POST, "/api/bookings");
        send(request.header("cookie", &cookie).header("origin", origin))
    };

    let foreign = post("http://evil.example").await;
    let own = post(ORIGIN).await;

    foreign.refused(403, "origin_not_allowed");
    own.refused(415, "unsupported_media_type");
}

#[tokio::test]
async fn what_a_neighbour_on_the_domain_sets_locks_nobody_out() {
    let harness = TestApp::new().await;
    let dana = token(&harness, "dana");
    let old = expired(&harness);
    for junk in ["x", old.as_str()] {
        let mut cookies: Vec<_> = (0..TOO_MANY)
            .map(|number| format!("__session_{number}={junk}"))
            .collect();
        cookies.push(format!("__session={dana}"));

        let answer = ask(&harness, &cookies).await;

        assert_eq!(answer.status, 200, "{junk}: {answer:?}");
    }
}
