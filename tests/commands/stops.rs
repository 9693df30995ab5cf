//! At a stop, whoever is owed an answer gets it, and nobody else puts the stop off.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::harness::Harness;
use super::serve::{AT_ONCE, book};
use super::world::Buyer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_server_stops_at_once() {
    let harness = Harness::new().await;
    for signal in ["TERM", "INT"] {
        let mut server = harness.serve(&[]);
        // Browsers and proxies keep their connections open.
        let client = reqwest::Client::new();
        let health = client
            .get(format!("{}/health", server.url))
            .send()
            .await
            .unwrap();
        health.bytes().await.unwrap();

        server.signal(signal);

        assert_eq!(server.ended(AT_ONCE).code(), Some(0));
        drop(client);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_requests_do_not_put_a_stop_off() {
    let harness = Harness::new().await;
    let mut server = harness.serve(&[]);
    let address = server.url.trim_start_matches("http://").to_owned();
    let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).timestamp();
    let forged = format!("stripe-signature: t={now},v1={}\r\n", "0".repeat(64));
    let post = "POST /api/stripe HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n";
    let mut unfinished = Vec::new();
    for sent in [
        String::new(),
        "GET / HTTP/1.1\r\nhost:".to_owned(),
        format!("{post}{forged}\r\nhalf"),
        format!("{post}\r\nhalf"),
        "garbage\r\n\r\n".to_owned(),
    ] {
        let mut connection = TcpStream::connect(&address).await.unwrap();
        connection.write_all(sent.as_bytes()).await.unwrap();
        unfinished.push(connection);
    }
    server.logged("refused what is no whole request");

    server.signal("TERM");

    assert_eq!(server.ended(AT_ONCE).code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_under_way_is_finished_before_it_stops() {
    let harness = Harness::new().await;
    assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
    let mut server = harness.serve(&[]);
    harness
        .fault(r#"{ "route": "POST /v1/checkout/sessions", "kind": "delay", "seconds": 1.5 }"#)
        .await;
    let booking = tokio::spawn(book(&harness, &server).await);
    until_held(&harness).await;

    server.signal("TERM");

    let (status, booking) = booking.await.unwrap();
    assert_eq!(status, 201, "{booking}");
    assert!(booking["checkout"]["url"].is_string(), "{booking}");
    assert_eq!(server.ended(AT_ONCE).code(), Some(0));
}

/// Who asks and does not read the answers has whole requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_their_answers_does_not_put_a_stop_off() {
    let harness = Harness::new().await;
    let mut server = harness.serve(&[]);
    let address: SocketAddr = server.url.trim_start_matches("http://").parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut connection = socket.connect(address).await.unwrap();
    // Each gets a 404, which nobody counts, until the server can write no more.
    let requests = "GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    let asking = async { while connection.write_all(requests.as_bytes()).await.is_ok() {} };
    assert!(timeout(Duration::from_secs(5), asking).await.is_err());

    server.signal("TERM");

    assert_eq!(server.ended(Duration::from_secs(3)).code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_payment_is_told_what_we_know_when_it_stops() {
    let harness = Harness::new().await;
    assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
    let mut server = harness.serve(&[]);
    let (_, booking) = book(&harness, &server).await.await;
    let session = booking["checkout"]["sessionId"].as_str().unwrap();
    let buyer = format!("of_{}", booking["seats"][0].as_str().unwrap());
    let waiting = Buyer::new(&harness, &buyer).post(
        &server,
        "/api/payments/verify?wait=25",
        &json!({ "sessionId": session }),
        None,
    );
    let waiting = tokio::spawn(waiting);
    // From now on nothing happens for a while.
    harness.until_answered("GET", session).await;

    server.signal("TERM");

    let (status, verified) = waiting.await.unwrap().unwrap();
    assert_eq!((status, &verified["status"]), (200, &json!("pending")));
    assert_eq!(server.ended(AT_ONCE).code(), Some(0));
}

/// Waits until the seat is held, after which Stripe is asked.
async fn until_held(harness: &Harness) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let held = "select exists (select from bookings)";
    while !sqlx::query_scalar::<_, bool>(held)
        .fetch_one(harness.database.pool())
        .await
        .unwrap()
    {
        assert!(Instant::now() < deadline, "no seat was held");
    }
}
