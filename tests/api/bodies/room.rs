//! Room for bodies that are not whole: there is so much of it, nobody waits for it, and who does
//! not go on sending loses theirs.

use std::future::pending;
use std::time::Duration;

use holdfast::http::server::{self, Limits};
use holdfast::routes::router;
use serde_json::json;
use tokio::net::TcpListener;
use tracing_subscriber::filter::LevelFilter;

use super::{BOOKINGS, MOVIES, post};
use crate::connections::Server;
use crate::harness::{Log, RawConnection, TestApp};

/// Begins a body, of which nine bytes do not come.
async fn unended(harness: &TestApp, head: &str, bytes: usize) -> RawConnection {
    let head = format!("POST {head}content-length: {}\r\n\r\n", bytes + 9);
    let mut stranger = harness.connect().await;
    let begun = [head.as_bytes(), &vec![b' '; bytes]].concat();
    stranger.send_as_far_as_taken(&begun).await;
    stranger
}

/// A head with a signature that only who has read the body knows to be forged.
fn forged(harness: &TestApp) -> String {
    let forged = harness.forged_signature();
    format!("/api/stripe HTTP/1.1\r\nhost: x\r\nstripe-signature: {forged}\r\n")
}

/// An event of so many bytes and a few hundred.
fn event(padding: usize) -> String {
    let object = json!({ "padding": "x".repeat(padding) });
    json!({ "id": "evt_1", "object": "event", "type": "x.y", "created": 1, "livemode": false,
            "data": { "object": object } })
    .to_string()
}

/// One address has 256 connections; forty are more than there is room for.
#[tokio::test]
async fn large_bodies_of_strangers_without_end_are_not_in_the_way_of_events() {
    let harness = TestApp::new().await;
    let mut strangers = Vec::new();
    for _ in 0..40 {
        strangers.push(unended(&harness, &forged(&harness), (1 << 20) - 16).await);
    }

    for padding in [10, 20 << 10, 900 << 10] {
        let delivered = harness.deliver(&event(padding)).await;
        assert_eq!(delivered.status, 200, "{padding}: {delivered:?}");
    }
    let created = post(&harness, MOVIES, r#"{"title":"x"}"#).await;

    assert_eq!(created.status, 201, "{created:?}");
    strangers[0].answer().await.refused(408, "request_timeout");
}

/// Of eight addresses.
#[tokio::test]
async fn many_bodies_of_strangers_without_end_are_not_in_the_way_of_events() {
    let harness = TestApp::new().await;
    let mut strangers = Vec::new();
    for _ in 0..2_040 {
        strangers.push(unended(&harness, &forged(&harness), 17 << 10).await);
    }

    for padding in [10, 20 << 10] {
        let delivered = harness.deliver(&event(padding)).await;
        assert_eq!(delivered.status, 200, "{padding}: {delivered:?}");
    }
}

/// Those who have signed in are in nobody's way either, and not in Stripe's.
#[tokio::test]
async fn bodies_of_users_without_end_are_not_in_the_way_of_others() {
    let harness = TestApp::new().await;
    let token = harness
        .issuer
        .token(&harness.claims("user_eve", "eve@example.com"));
    let head = format!(
        "{BOOKINGS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\n"
    );
    let mut strangers = Vec::new();
    for _ in 0..600 {
        strangers.push(unended(&harness, &head, (64 << 10) - 16).await);
    }

    for padding in [0, 60 << 10] {
        let created = post(
            &harness,
            MOVIES,
            format!(r#"{{"title":"x"}}{:padding$}"#, ""),
        )
        .await;
        assert_eq!(created.status, 201, "{created:?}");
    }
    let delivered = harness.deliver(&event(20 << 10)).await;

    assert_eq!(delivered.status, 200, "{delivered:?}");
    strangers[0].answer().await.refused(408, "request_timeout");
}

#[tokio::test]
async fn all_bodies_together_have_a_bound_and_the_one_that_began_first_makes_room() {
    // A half of it is for callers.
    let server = Server::new(Limits {
        body_bytes_max: 64,
        ..Limits::default()
    })
    .await;
    let begin = async || {
        let mut connection = server.connect().await;
        let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\n\r\n";
        connection
            .send(format!("{head}half a body").as_bytes())
            .await;
        server.reading.notified().await;
        connection
    };
    let rest = b"the rest.";
    let mut first = begin().await;
    let mut second = begin().await;
    let mut third = begin().await;

    first.answer().await.refused(408, "request_timeout");

    for connection in [&mut second, &mut third] {
        connection.send(rest).await;
        assert_eq!(connection.answer().await.status, 200);
    }
    // What was whole has left its room.
    for _ in 0..4 {
        let mut connection = begin().await;
        connection.send(rest).await;
        assert_eq!(connection.answer().await.status, 200);
    }
}

/// Whoever reads errors has something to do, and nothing can be done about a slow client.
#[tokio::test]
async fn a_body_that_takes_too_long_is_refused_and_logged_as_no_error() {
    let harness = TestApp::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let limits = Limits {
        body_wait_max: Duration::from_millis(50),
        ..Limits::default()
    };
    let router = router(harness.second_process());
    tokio::spawn(server::serve(listener, router, limits, pending()));
    let log = Log::of(LevelFilter::INFO);
    for half in ["", "half"] {
        let head = forged(&harness);
        let mut slow = RawConnection::to(&address).await;
        slow.send(format!("POST {head}content-length: 9\r\n\r\n{half}").as_bytes())
            .await;

        slow.answer().await.refused(408, "request_timeout");
    }

    let levels: Vec<_> = log
        .lines()
        .iter()
        .map(|line| line["level"].clone())
        .collect();
    assert_eq!(levels, ["INFO", "INFO"], "{}", log.text());
    assert!(log.text().contains("\"status\":408"), "{}", log.text());
}
