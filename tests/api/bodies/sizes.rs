//! How large a body may be.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{MOVIES, post};
use crate::harness::TestApp;

/// Sends a request that no client would send; returns all that comes back.
async fn send_raw(harness: &TestApp, request: &[u8]) -> String {
    let address = harness.url.trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_body_of_more_than_64_kib_is_too_large() {
    let harness = TestApp::new().await;
    let title = r#"{"title":"x"}"#;
    let padding = " ".repeat((64 << 10) - title.len());

    let largest = post(&harness, MOVIES, format!("{title}{padding}")).await;
    let larger = post(&harness, MOVIES, format!("{title}{padding} ")).await;

    assert_eq!(largest.status, 201, "{largest:?}");
    larger.refused(413, "body_too_large");
}

#[tokio::test]
async fn an_event_of_more_than_1_mib_is_too_large() {
    let harness = TestApp::new().await;

    let largest = harness.deliver(&" ".repeat(1 << 20)).await;
    let larger = harness.deliver(&" ".repeat((1 << 20) + 1)).await;

    largest.refused(400, "malformed_request");
    larger.refused(413, "body_too_large");
}

#[tokio::test]
async fn a_body_in_chunks_is_too_large_at_the_same_size() {
    let harness = TestApp::new().await;
    let forged = harness.forged_signature();
    let head = format!(
        "POST /api/stripe HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         stripe-signature: {forged}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));

    let largest = send_raw(
        &harness,
        format!("{head}{}0\r\n\r\n", chunk.repeat(16)).as_bytes(),
    )
    .await;
    let larger = send_raw(
        &harness,
        format!("{head}{}1\r\n \r\n0\r\n\r\n", chunk.repeat(16)).as_bytes(),
    )
    .await;

    assert!(
        largest.starts_with("HTTP/1.1 400") && largest.contains("invalid_signature"),
        "{largest}"
    );
    assert!(
        larger.starts_with("HTTP/1.1 413") && larger.contains("body_too_large"),
        "{larger}"
    );
}

#[tokio::test]
async fn a_body_far_too_large_is_answered_too() {
    let harness = TestApp::new().await;

    harness
        .deliver(&" ".repeat(20 << 20))
        .await
        .refused(413, "body_too_large");
    post(&harness, MOVIES, " ".repeat(20 << 20))
        .await
        .refused(413, "body_too_large");
}
