//! How often one may call: each user, and each address without a token that stands.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::harness::{Caller, TestApp, send};

const NOTED: &str = "select coalesce(max(address), '') from untrusted_forwarders";
const NOBODYS: &str = "0193a000-0000-7000-8000-000000000000";

/// Calls each of the routes that cost more than an answer once, in vain; the statuses.
async fn call_costly(caller: &Caller<'_>) -> [u16; 4] {
    let session = json!({ "sessionId": "cs_test_nobodys" });
    let wanted = json!({ "kind": "show", "showId": NOBODYS, "seats": ["A2"] });
    let of_nobodys = |what: &str| format!("/api/bookings/{NOBODYS}/{what}");
    [
        caller.post("/api/bookings", wanted).await.status,
        caller.post(&of_nobodys("checkout"), json!({})).await.status,
        caller.post(&of_nobodys("cancel"), json!({})).await.status,
        caller.post("/api/payments/verify", session).await.status,
    ]
}

#[tokio::test]
async fn a_user_who_asks_too_often_is_told_when_to_go_on() {
    let harness = TestApp::with(&[("RATE_LIMIT_PER_MINUTE", "3")]).await;
    let (dana, eve) = (harness.customer("dana"), harness.customer("eve"));
    for _ in 0..3 {
        assert_eq!(dana.get("/api/bookings").await.status, 200);
    }

    let answer = dana.get("/api/shows").await;

    answer.refused(429, "rate_limited");
    let wait: u64 = answer.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=21).contains(&wait), "{wait}");
    assert_eq!(eve.get("/api/bookings").await.status, 200);
    assert_eq!(harness.get("/api/shows").await.status, 200);
}

#[tokio::test]
async fn without_a_token_the_address_is_counted_and_garbage_apart() {
    let harness = TestApp::with(&[("RATE_LIMIT_PER_MINUTE", "3")]).await;
    for garbage in ["garbage", "other garbage", "more"] {
        harness
            .bearer(garbage.to_owned())
            .get("/api/bookings")
            .await
            .refused(401, "unauthenticated");
    }

    let more_garbage = harness.bearer("garbage".to_owned()).get("/api/shows").await;

    more_garbage.refused(429, "rate_limited");
    for _ in 0..2 {
        assert_eq!(harness.get("/api/shows").await.status, 200);
    }
    harness
        .get("/api/bookings")
        .await
        .refused(401, "unauthenticated");
    harness
        .get("/api/movies")
        .await
        .refused(429, "rate_limited");
    assert_eq!(
        harness.customer("dana").get("/api/bookings").await.status,
        200
    );
}

/// Two tokens that describe one user differently have them stored each time.
#[tokio::test]
async fn who_is_refused_for_asking_too_often_writes_nothing() {
    let harness = TestApp::with(&[("RATE_LIMIT_PER_MINUTE", "2")]).await;
    let name = async |name: &str| {
        let mut claims = harness.claims("user_dana", "dana@example.com");
        claims["name"] = serde_json::json!(name);
        let token = harness.issuer.token(&claims);
        harness.bearer(token).get("/api/bookings").await
    };
    assert_eq!(name("Dana").await.status, 200);
    assert_eq!(name("Eve").await.status, 200);

    for wanted in ["Dana", "Zoe"] {
        name(wanted).await.refused(429, "rate_limited");
    }

    assert_eq!(harness.sql("select name from users").await, "Eve");
}

#[tokio::test]
async fn behind_a_proxy_each_caller_has_an_allowance() {
    let limited = [
        ("RATE_LIMIT_PER_MINUTE", "1"),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
    ];
    let harness = TestApp::with(&limited).await;
    let ask = async |from: &str| {
        let request = harness.request(Method::GET, "/api/shows");
        send(request.header("x-forwarded-for", from)).await.status
    };

    assert_eq!(ask("198.51.100.1").await, 200);
    assert_eq!(ask("198.51.100.2").await, 200);
    assert_eq!(
        ask("1.1.1.1, 198.51.100.1").await,
        429,
        "what the caller says of themselves"
    );
    assert_eq!(ask("2001:db8::1").await, 200);
    assert_eq!(ask("2001:db8::2").await, 429, "the same network");
}

#[tokio::test]
async fn a_proxy_that_is_not_trusted_is_noted_for_the_doctor() {
    let harness = TestApp::with(&[("RATE_LIMIT_PER_MINUTE", "2")]).await;
    let mut statuses = Vec::new();
    for from in ["198.51.100.1", "198.51.100.2", "198.51.100.3"] {
        let request = harness.request(Method::GET, "/api/shows");
        statuses.push(send(request.header("x-forwarded-for", from)).await.status);
    }

    assert_eq!(statuses, [200, 200, 429], "they share one allowance");
    // It is noted beside the answer.
    let noted = async { while harness.sql(NOTED).await != "127.0.0.1" {} };
    tokio::time::timeout(Duration::from_secs(20), noted)
        .await
        .unwrap();
}

#[tokio::test]
async fn neither_stripe_nor_operators_are_ever_limited() {
    let harness = TestApp::with(&[("RATE_LIMIT_PER_MINUTE", "1")]).await;

    for _ in 0..5 {
        harness
            .deliver("no event")
            .await
            .refused(400, "malformed_request");
        assert_eq!(harness.get("/health").await.status, 200);
        assert_eq!(harness.get("/ready").await.status, 200);
    }
}

#[tokio::test]
async fn what_costs_more_than_an_answer_has_a_tenth_of_the_limit_at_least_ten_in_all() {
    for (limit, tenth) in [("", 30), ("120", 12), ("60", 10)] {
        let harness = TestApp::with(&[("RATE_LIMIT_PER_MINUTE", limit)]).await;
        let (dana, eve) = (harness.customer("dana"), harness.customer("eve"));

        let mut answers = Vec::new();
        while !answers.contains(&429) {
            answers.extend(call_costly(&dana).await);
        }
        let session = json!({ "sessionId": "cs_test_nobodys" });
        let refused = dana.post("/api/payments/verify", session).await;

        let taken = answers.iter().take_while(|status| **status == 404).count();
        // While this runs, one or two may be added.
        assert!((tenth..tenth + 3).contains(&taken), "{limit}: {answers:?}");
        refused.refused(429, "rate_limited");
        let wait: u64 = refused.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((1..=7).contains(&wait), "{wait}");
        assert_eq!(
            dana.get("/api/bookings").await.status,
            200,
            "to read is free"
        );
        assert_eq!(call_costly(&eve).await, [404; 4]);
    }
}

#[tokio::test]
async fn without_a_limit_there_is_no_tenth_of_it() {
    let harness = TestApp::with(&[("RATE_LIMIT_PER_MINUTE", "0")]).await;
    let dana = harness.customer("dana");

    for _ in 0..10 {
        assert_eq!(call_costly(&dana).await, [404; 4]);
    }
}
