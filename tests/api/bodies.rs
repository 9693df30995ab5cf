//! What a body must be: JSON that is called so, of the right shape and size, and nothing that
//! cannot be kept.

mod nul_characters;
mod room;
mod shapes;
mod sizes;
mod unread;

use reqwest::Method;
use reqwest::header::HeaderValue;

use crate::harness::{Answer, TestApp, send};

const MOVIES: &str = "/api/admin/movies";
const SHOWS: &str = "/api/admin/shows";
const BOOKINGS: &str = "/api/bookings";

/// Posts a body, letter by letter, as an admin.
async fn post(harness: &TestApp, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = harness.admin().request(Method::POST, path);
    send(
        request
            .header("content-type", "application/json")
            .body(body),
    )
    .await
}

#[tokio::test]
async fn a_body_that_is_no_json_is_malformed() {
    let harness = TestApp::new().await;
    let deep = format!("{{\"title\":\"x\",\"genres\":{}", "[".repeat(5_000));
    let bodies: [&[u8]; 12] = [
        b"",
        b" ",
        b"{",
        b"{\"title\":\"x\"",
        b"{\"title\":\"x\",}",
        b"{\"title\":\"x\"} trailing",
        b"{\"title\":\"x\"}{\"title\":\"y\"}",
        b"{'title':'x'}",
        b"{\"title\":\"\xff\"}",
        b"{\"title\":\"a\0b\"}",
        b"{\"title\":\"\\ud800\"}",
        b"\xef\xbb\xbf{\"title\":\"x\"}",
    ];

    for body in bodies {
        post(&harness, MOVIES, body.to_vec())
            .await
            .refused(400, "malformed_request");
    }

    assert_eq!(post(&harness, MOVIES, deep).await.status, 422);
    assert_eq!(harness.sql("select count(*) from movies").await, "0");
}

#[tokio::test]
async fn a_body_that_is_not_called_json_is_an_unsupported_media_type() {
    let harness = TestApp::new().await;
    let request = || {
        harness
            .admin()
            .request(Method::POST, MOVIES)
            .body(r#"{"title":"x"}"#)
    };

    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "text/json",
        "json",
        "",
        "application/jsonp",
    ] {
        send(request().header("content-type", media_type))
            .await
            .refused(415, "unsupported_media_type");
    }
    send(request()).await.refused(415, "unsupported_media_type");
    let unreadable = HeaderValue::from_bytes(b"application/json\xff").unwrap();
    send(request().header("content-type", unreadable))
        .await
        .refused(415, "unsupported_media_type");

    for media_type in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.api+json",
    ] {
        assert_eq!(
            send(request().header("content-type", media_type))
                .await
                .status,
            201,
            "{media_type}"
        );
    }
}
