//! A request to add a movie or a show that is sent again under its key.

use chrono::TimeDelta;
use serde_json::json;

use super::{MOVIES, SHOWS, show};
use crate::harness::{TestApp, send};

#[tokio::test]
async fn a_key_makes_one_movie_and_one_show() {
    let harness = TestApp::new().await;
    let admin = harness.admin();
    let count = "select (select count(*) from movies) + (select count(*) from shows)";

    for (path, body) in [(MOVIES, json!({ "title": "x" })), (SHOWS, show(&json!({})))] {
        let first = admin.post_keyed(path, body.clone(), path).await;
        let before = harness.sql(count).await;
        let again = admin.post_keyed(path, body, path).await;

        assert_eq!((first.status, again.status), (201, 201), "{again:?}");
        assert!(!first.headers.contains_key("idempotent-replayed"));
        assert_eq!(again.headers["idempotent-replayed"], "true");
        assert_eq!(again.headers["location"], first.headers["location"]);
        assert_eq!(again.body, first.body);
        assert_eq!(harness.sql(count).await, before);
    }
}

#[tokio::test]
async fn a_key_is_known_to_every_process() {
    let harness = TestApp::new().await;
    let first = harness
        .admin()
        .post_keyed(MOVIES, json!({ "title": "x" }), "k")
        .await;
    let path = format!("{}{MOVIES}", harness.second_server().await);
    let mut claims = harness.claims("user_admin", "admin@example.com");
    claims["metadata"] = json!({ "role": "admin" });
    let request = harness
        .http
        .post(path)
        .bearer_auth(harness.issuer.token(&claims))
        .header("idempotency-key", "k");

    let again = send(
        request
            .header("content-type", "application/json")
            .body(r#"{ "title":"x" }"#),
    )
    .await;

    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!((again.status, again.body), (201, first.body));
}

#[tokio::test]
async fn a_key_belongs_to_one_request_of_one_caller() {
    let harness = TestApp::new().await;
    let admin = harness.admin();
    let mut claims = harness.claims("user_other_admin", "other@example.com");
    claims["metadata"] = json!({ "role": "admin" });
    let other = harness.bearer(harness.issuer.token(&claims));
    assert_eq!(
        admin
            .post_keyed(MOVIES, json!({ "title": "x" }), "k")
            .await
            .status,
        201
    );

    admin
        .post_keyed(MOVIES, json!({ "title": "y" }), "k")
        .await
        .refused(422, "idempotency_key_reused");
    admin
        .post_keyed(MOVIES, json!({ "title": "" }), "k")
        .await
        .refused(422, "idempotency_key_reused");
    admin
        .post_keyed(SHOWS, show(&json!({})), "k")
        .await
        .refused(422, "idempotency_key_reused");
    let others = other.post_keyed(MOVIES, json!({ "title": "y" }), "k").await;

    assert_eq!(others.status, 201, "{others:?}");
}

#[tokio::test]
async fn the_first_answer_comes_again_after_the_show_has_begun_and_for_24_hours() {
    let harness = TestApp::new().await;
    let body = show(&json!({ "startsAt": "2026-11-21T13:00:00Z" }));
    let first = harness.admin().post_keyed(SHOWS, body.clone(), "k").await;
    assert_eq!(first.status, 201, "{first:?}");

    harness
        .advance(TimeDelta::hours(24) - TimeDelta::seconds(1))
        .await;
    let again = harness.admin().post_keyed(SHOWS, body.clone(), "k").await;
    harness.advance(TimeDelta::seconds(1)).await;
    let too_late = harness.admin().post_keyed(SHOWS, body, "k").await;

    assert_eq!((again.status, &again.body), (201, &first.body), "{again:?}");
    too_late.refused(422, "validation_failed");
}

#[tokio::test]
async fn a_no_comes_again_too() {
    let harness = TestApp::new().await;
    let body = show(&json!({ "movieId": "0193a000-0000-7000-8000-000000000000" }));
    harness
        .admin()
        .post_keyed(SHOWS, body.clone(), "k")
        .await
        .refused(404, "not_found");

    let again = harness.admin().post_keyed(SHOWS, body, "k").await;

    again.refused(404, "not_found");
    assert_eq!(again.headers["idempotent-replayed"], "true");
}
