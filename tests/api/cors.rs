//! Which pages a browser lets send requests and read the responses.

use reqwest::Method;

use crate::harness::{Answer, ORIGIN, TestApp, send};

/// Asks as a browser does before it sends a request from a page of `origin`.
async fn preflight(harness: &TestApp, origin: &str) -> Answer {
    let request = harness
        .request(Method::OPTIONS, "/api/bookings")
        .header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    send(request.header(
        "access-control-request-headers",
        "authorization,content-type,idempotency-key",
    ))
    .await
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_send_and_read() {
    let harness = TestApp::new().await;

    for origin in [ORIGIN, "http://other-front.example"] {
        let asked = preflight(&harness, origin).await;
        let answered = send(
            harness
                .customer("dana")
                .request(Method::GET, "/api/nothing")
                .header("origin", origin),
        )
        .await;

        assert_eq!(asked.status, 200);
        assert_eq!(asked.headers["access-control-allow-origin"], origin);
        assert_eq!(asked.headers["access-control-allow-credentials"], "true");
        let methods = asked.headers["access-control-allow-methods"]
            .to_str()
            .unwrap();
        assert!(
            ["GET", "POST", "PATCH"]
                .iter()
                .all(|method| methods.contains(method)),
            "{methods}"
        );
        let names = asked.headers["access-control-allow-headers"]
            .to_str()
            .unwrap();
        assert!(
            ["authorization", "content-type", "idempotency-key"]
                .iter()
                .all(|name| names.contains(name)),
            "{names}"
        );
        answered.refused(404, "not_found");
        assert_eq!(answered.headers["access-control-allow-origin"], origin);
        let shown = answered.headers["access-control-expose-headers"]
            .to_str()
            .unwrap();
        let wanted = [
            "location",
            "retry-after",
            "idempotent-replayed",
            "x-request-id",
        ];
        assert!(wanted.iter().all(|name| shown.contains(name)), "{shown}");
    }
}

#[tokio::test]
async fn a_page_of_a_foreign_origin_may_not() {
    let harness = TestApp::new().await;

    for origin in [
        "http://evil.example",
        "null",
        "http://front.example.evil.example",
        "https://front.example",
    ] {
        let asked = preflight(&harness, origin).await;
        let answered = send(
            harness
                .customer("dana")
                .request(Method::GET, "/api/bookings")
                .header("origin", origin),
        )
        .await;

        assert!(
            !asked.headers.contains_key("access-control-allow-origin"),
            "{origin}"
        );
        assert_eq!(
            answered.status, 200,
            "a bearer request is served; the browser keeps the answer back"
        );
        assert!(
            !answered.headers.contains_key("access-control-allow-origin"),
            "{origin}"
        );
    }
}
