//! How often one may ask, and who is counted as one.

use crate::harness::TestApp;

#[tokio::test]
async fn a_user_who_asks_too_often_learns_when_to_go_on() {
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
async fn without_a_valid_token_the_address_is_counted() {
    let harness = TestApp::with(&[("RATE_LIMIT_PER_MINUTE", "3")]).await;
    harness
        .bearer("garbage".to_owned())
        .get("/api/bookings")
        .await
        .refused(401, "unauthenticated");
    harness
        .get("/api/bookings")
        .await
        .refused(401, "unauthenticated");
    assert_eq!(harness.get("/api/shows").await.status, 200);

    let another_token = harness
        .bearer("other garbage".to_owned())
        .get("/api/bookings")
        .await;

    another_token.refused(429, "rate_limited");
    harness
        .get("/api/movies")
        .await
        .refused(429, "rate_limited");
    assert_eq!(
        harness.customer("dana").get("/api/bookings").await.status,
        200
    );
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
