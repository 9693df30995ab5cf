//! What is no request, or too much of one, is answered with a problem too, after which the
//! connection ends.

use std::future::pending;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::post;
use holdfast::http::bodies::read_body;
use holdfast::http::middleware::request_id;
use holdfast::http::server::{self, Limits};
use tokio::net::TcpListener;

use crate::harness::{Answer, RawConnection, TestApp};

const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n";

/// A request with this many header lines, `host` among them.
fn with_headers(count: usize) -> String {
    let lines = "x: 1\r\n".repeat(count - 1);
    format!("GET /health HTTP/1.1\r\nhost: x\r\n{lines}\r\n")
}

/// A request whose URL has this many bytes.
fn with_url(length: usize) -> String {
    let query = "x".repeat(length - "/health?".len());
    format!("GET /health?{query} HTTP/1.1\r\nhost: x\r\n\r\n")
}

/// A request with a header of this many bytes.
fn with_header(length: usize) -> String {
    let value = "x".repeat(length);
    format!("GET /health HTTP/1.1\r\nhost: x\r\nx-long: {value}\r\n\r\n")
}

fn assert_refused(answer: &Answer, status: u16) {
    answer.refused(status, "malformed_request");
    assert_eq!(answer.headers["connection"], "close");
    let id = answer.body["requestId"].as_str().unwrap();
    assert!(uuid::Uuid::try_parse(id).is_ok(), "{id}");
    let date = answer.headers["date"].to_str().unwrap();
    assert!(date.ends_with(" GMT"), "{date}");
}

#[tokio::test]
async fn what_is_no_request_is_malformed() {
    let harness = TestApp::new().await;
    let requests: [&[u8]; 16] = [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\0",
        b"GET\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / HTTP/1.2\r\n\r\n",
        b"GET / HTTQ/1.1\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET http://[/ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: \x01\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\nab",
        b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ];

    for request in requests {
        let mut connection = harness.connect().await;
        connection.send(request).await;

        assert_refused(&connection.answer().await, 400);
        connection.ended().await;
    }
}

/// What a client says is repeated in the answer, and is no answer itself.
#[tokio::test]
async fn a_request_id_that_looks_like_a_refusal_takes_no_answer_away() {
    let harness = TestApp::new().await;

    for id in ["HTTP/1.1-404", "HTTP/1.0-499", "HTTP/1.1"] {
        for method in ["HEAD", "OPTIONS", "GET"] {
            let mut connection = harness.connect().await;
            let request = format!("{method} /health HTTP/1.1\r\nhost: x\r\nx-request-id: {id}\r\n");
            connection.send(request.as_bytes()).await;
            connection.send(b"connection: close\r\n\r\n").await;

            let head = connection.rest().await;

            let repeated = format!("x-request-id: {id}\r\n");
            assert!(head.contains(&repeated), "{method}: {head}");
        }
    }
}

/// Some clients begin so without having asked.
#[tokio::test]
async fn http_2_is_malformed() {
    let harness = TestApp::new().await;

    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

    assert_refused(&harness.send_raw(preface).await, 400);
}

#[tokio::test]
async fn the_head_of_a_request_has_at_most_32_kib() {
    let harness = TestApp::new().await;
    let largest = 32 << 10;
    let line = with_url("/health?".len()).len();
    let headers = with_header(0).len();

    for request in [with_url(largest - line), with_header(largest - headers)] {
        let mut connection = harness.connect().await;
        connection.send(request.as_bytes()).await;
        assert_eq!(connection.answer().await.status, 200);
    }
    for length in [largest, 1 << 20] {
        let url = harness.send_raw(with_url(length).as_bytes()).await;
        assert_refused(&url, 414);
        let header = harness.send_raw(with_header(length).as_bytes()).await;
        assert_refused(&header, 431);
    }
}

#[tokio::test]
async fn a_request_has_at_most_100_headers() {
    let harness = TestApp::new().await;
    let mut connection = harness.connect().await;

    connection.send(with_headers(100).as_bytes()).await;
    let most = connection.answer().await;
    let more = harness.send_raw(with_headers(101).as_bytes()).await;

    assert_eq!(most.status, 200);
    assert_refused(&more, 431);
}

#[tokio::test]
async fn what_came_before_on_the_connection_is_answered_first() {
    let harness = TestApp::new().await;
    let missing = "GET /api/nothing HTTP/1.1\r\nhost: x\r\nx-request-id: mine\r\n\r\n";

    let mut one_by_one = harness.connect().await;
    for _ in 0..3 {
        one_by_one.send(HEALTH.as_bytes()).await;
        assert_eq!(one_by_one.answer().await.status, 200);
    }
    one_by_one.send(b"garbage\r\n\r\n").await;
    assert_refused(&one_by_one.answer().await, 400);
    one_by_one.ended().await;

    let mut at_once = harness.connect().await;
    let requests = format!("{}{missing}{}", HEALTH.repeat(3), with_headers(101));
    at_once.send(requests.as_bytes()).await;
    for _ in 0..3 {
        assert_eq!(at_once.answer().await.status, 200);
    }
    let answer = at_once.answer().await;
    answer.refused(404, "not_found");
    assert_eq!(answer.headers["x-request-id"], "mine");
    assert_refused(&at_once.answer().await, 431);
    at_once.ended().await;
}

#[tokio::test]
async fn the_answer_reaches_a_client_that_goes_on_sending() {
    let harness = TestApp::new().await;
    let body = vec![b' '; 12 << 20];
    let heads = [
        "POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n".to_owned(),
        with_headers(101),
        "garbage".to_owned(),
    ];

    for head in heads {
        let answer = harness.send_raw(&[head.as_bytes(), &body].concat()).await;

        assert!(answer.body["requestId"].is_string(), "{answer:?}");
    }
}

#[tokio::test]
async fn http_1_0_is_served() {
    let harness = TestApp::new().await;

    let closed = harness.send_raw(b"GET /health HTTP/1.0\r\n\r\n").await;
    assert_eq!(closed.status, 200);

    let mut kept = harness.connect().await;
    for _ in 0..2 {
        kept.send(b"GET /health HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
            .await;
        assert_eq!(kept.answer().await.status, 200);
    }
    kept.send(b"garbage\r\n\r\n").await;
    assert_refused(&kept.answer().await, 400);
}

/// RFC 9112, section 3.2.
#[tokio::test]
async fn a_request_that_does_not_name_one_host_is_malformed() {
    let harness = TestApp::new().await;

    for hosts in [
        "",
        "host: a\r\nhost: b\r\n",
        "host: a\r\nHost: a\r\n",
        "host: a/b\r\n",
    ] {
        for path in ["/health", "/api/nowhere"] {
            let mut connection = harness.connect().await;
            let request = format!("GET {path} HTTP/1.1\r\n{hosts}\r\n");
            connection.send(request.as_bytes()).await;

            let answer = connection.answer().await;

            answer.refused(400, "malformed_request");
            assert!(answer.headers.contains_key("x-request-id"), "{answer:?}");
        }
    }
    for host in ["", "a", "a:1", "[::1]:3000"] {
        let mut connection = harness.connect().await;
        let request = format!("GET /health HTTP/1.1\r\nhost: {host}\r\n\r\n");
        connection.send(request.as_bytes()).await;
        assert_eq!(connection.answer().await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn a_length_that_no_body_has_is_refused() {
    let harness = TestApp::new().await;
    let post = async |length: &str| {
        let head = format!("POST /api/stripe HTTP/1.1\r\nhost: x\r\ncontent-length: {length}");
        harness
            .send_raw(format!("{head}\r\n\r\n{{}}").as_bytes())
            .await
    };

    for length in ["18446744073709551615", "18446744073709551614"] {
        let answer = post(length).await;
        answer.refused(413, "body_too_large");
    }
    for length in ["18446744073709551616", "99999999999999999999999"] {
        assert_refused(&post(length).await, 400);
    }
}

/// A server of one route with these limits; returns its address.
async fn serve(limits: Limits) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let read = async |request| read_body(request).await.map(drop);
    let router = Router::new().route("/", post(read));
    let router = router.layer(from_fn(request_id));
    tokio::spawn(server::serve(listener, router, limits, pending()));
    address
}

#[tokio::test]
async fn a_body_that_does_not_come_to_its_end_is_not_waited_for() {
    let limits = Limits {
        body_wait_max: Duration::from_millis(50),
        ..Limits::default()
    };
    let mut connection = RawConnection::to(&serve(limits).await).await;

    connection
        .send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf")
        .await;

    connection.answer().await.refused(408, "request_timeout");
    connection.ended().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_to_its_end_is_not_waited_for() {
    let limits = Limits {
        head_wait_max: Duration::from_millis(50),
        ..Limits::default()
    };
    let mut connection = RawConnection::to(&serve(limits).await).await;

    connection.send(b"GET / HTTP/1.1\r\nhost:").await;

    let answer = connection.answer().await;
    answer.refused(408, "request_timeout");
    connection.ended().await;
}

#[tokio::test]
async fn who_neither_sends_nor_goes_is_left_alone_after_a_while() {
    let limits = Limits {
        end_wait_max: Duration::from_millis(50),
        ..Limits::default()
    };
    let mut connection = RawConnection::to(&serve(limits).await).await;

    connection.send(b"garbage\r\n\r\n").await;
    connection.answer().await.refused(400, "malformed_request");

    connection.ended().await;
    connection.send_for_ever(b"more").await;
}
