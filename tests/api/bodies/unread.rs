//! An answer that is given before the body was read reaches a client that goes on sending.

use serde_json::json;

use crate::harness::TestApp;

/// More than the buffers of a connection take in.
const BODY_BYTES: usize = 12 << 20;

/// The answers before the body: head of the request without the length of its body, status, code.
fn early_answers(harness: &TestApp) -> Vec<(String, u16, &'static str)> {
    let mut claims = harness.claims("user_admin", "admin@example.com");
    claims["metadata"] = json!({ "role": "admin" });
    let token = harness.issuer.token(&claims);
    let json = "content-type: application/json\r\n";
    let forged = harness.forged_signature();
    vec![
        (
            format!("POST /api/bookings HTTP/1.1\r\nhost: x\r\n{json}"),
            401,
            "unauthenticated",
        ),
        (
            format!("POST /api/nothing HTTP/1.1\r\nhost: x\r\n{json}"),
            404,
            "not_found",
        ),
        (
            format!("PUT /api/bookings HTTP/1.1\r\nhost: x\r\n{json}"),
            405,
            "method_not_allowed",
        ),
        (
            format!(
                "POST /api/admin/movies HTTP/1.1\r\nhost: x\r\n{json}\
                 authorization: Bearer {token}\r\n"
            ),
            413,
            "body_too_large",
        ),
        (
            format!(
                "POST /api/admin/movies HTTP/1.1\r\nhost: x\r\n\
                 authorization: Bearer {token}\r\n"
            ),
            415,
            "unsupported_media_type",
        ),
        (
            format!("POST /api/stripe HTTP/1.1\r\nhost: x\r\n{json}"),
            400,
            "invalid_signature",
        ),
        (
            format!(
                "POST /api/stripe HTTP/1.1\r\nhost: x\r\n{json}\
                 stripe-signature: {forged}\r\n"
            ),
            413,
            "body_too_large",
        ),
    ]
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_sends_first_and_reads_then() {
    let harness = TestApp::new().await;
    let body = vec![b' '; BODY_BYTES];

    for (head, status, code) in early_answers(&harness) {
        let head = format!("{head}content-length: {BODY_BYTES}\r\n\r\n");
        let request = [head.as_bytes(), &body].concat();

        let answer = harness.send_raw(&request).await;

        answer.refused(status, code);
        assert_eq!(answer.headers["connection"], "close", "{head}");
    }
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_sends_in_chunks() {
    let harness = TestApp::new().await;
    let chunk = [b"100000\r\n", &vec![b' '; 1 << 20][..], b"\r\n"].concat();
    let body = [&chunk.repeat(12)[..], b"0\r\n\r\n"].concat();

    for (head, status, code) in early_answers(&harness) {
        let head = format!("{head}transfer-encoding: chunked\r\n\r\n");
        let request = [head.as_bytes(), &body].concat();

        let answer = harness.send_raw(&request).await;

        answer.refused(status, code);
        assert_eq!(answer.headers["connection"], "close", "{head}");
    }
}

#[tokio::test]
async fn a_chunk_that_is_none_is_answered_while_the_client_goes_on_sending() {
    let harness = TestApp::new().await;
    let forged = harness.forged_signature();
    let head = format!(
        "POST /api/stripe HTTP/1.1\r\nhost: x\r\nstripe-signature: {forged}\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    let request = [head.as_bytes(), b"no length\r\n", &vec![b' '; BODY_BYTES]].concat();

    let answer = harness.send_raw(&request).await;

    answer.refused(400, "malformed_request");
    assert_eq!(answer.headers["connection"], "close");
}

/// Who asks first whether to send the body is told no, and not to send it.
#[tokio::test]
async fn a_body_that_nobody_will_read_is_not_asked_for() {
    let harness = TestApp::new().await;
    let [unauthenticated, not_found, ..] = &early_answers(&harness)[..] else {
        panic!("there are more");
    };

    for (head, status, code) in [unauthenticated, not_found] {
        for length in [2, BODY_BYTES] {
            let head = format!("{head}expect: 100-continue\r\ncontent-length: {length}\r\n\r\n");

            let answer = harness.send_raw(head.as_bytes()).await;

            answer.refused(*status, code);
            assert_eq!(answer.headers["connection"], "close");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_read_is_asked_for() {
    let harness = TestApp::new().await;
    let mut connection = harness.connect().await;
    let forged = harness.forged_signature();
    let head = format!(
        "POST /api/stripe HTTP/1.1\r\nhost: x\r\nstripe-signature: {forged}\r\n\
         expect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    );

    connection.send(head.as_bytes()).await;
    connection.told_to_go_on().await;
    connection.send(b"{}").await;

    connection.answer().await.refused(400, "invalid_signature");
}

#[tokio::test]
async fn a_connection_outlives_a_small_body_that_nobody_read() {
    let harness = TestApp::new().await;
    let mut connection = harness.connect().await;

    for (head, status, code) in early_answers(&harness) {
        if status == 413 {
            continue;
        }
        for body in [
            "content-length: 2\r\n\r\n{}",
            "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        ] {
            connection.send(format!("{head}{body}").as_bytes()).await;

            let answer = connection.answer().await;

            answer.refused(status, code);
            assert!(!answer.headers.contains_key("connection"), "{answer:?}");
        }
    }
}

/// A client that says how much it will send and then waits gets its answer all the same.
#[tokio::test]
async fn a_small_body_that_does_not_come_is_not_waited_for() {
    let harness = TestApp::new().await;
    let head = "POST /api/bookings HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n";

    let answer = harness.send_raw(head.as_bytes()).await;

    answer.refused(401, "unauthenticated");
    assert_eq!(answer.headers["connection"], "close");
}

#[tokio::test]
async fn who_never_stops_sending_is_cut_off() {
    let harness = TestApp::new().await;
    let mut connection = harness.connect().await;
    let head = "POST /api/nothing HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = [b"100000\r\n", &vec![b' '; 1 << 20][..], b"\r\n"].concat();

    connection.send(head.as_bytes()).await;
    let sent = connection.send_for_ever(&chunk).await;

    // What is read, and what the buffers on both sides hold.
    assert!(((16 << 20)..(48 << 20)).contains(&sent), "{sent}");
}
