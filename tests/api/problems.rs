//! What goes wrong is said in one form, whatever it is: a problem with a stable code, and never a
//! fault of ours.

mod unparsed;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::get;
use holdfast::http::middleware::{on_panic, request_id};
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::json;
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;

use crate::harness::{TestApp, send};

#[tokio::test]
async fn a_problem_is_whole() {
    let harness = TestApp::new().await;

    let answer = harness
        .get("/api/shows/0193a000-0000-7000-8000-000000000000")
        .await;

    answer.refused(404, "not_found");
    let members: Vec<&str> = answer
        .body
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        members,
        ["code", "detail", "requestId", "status", "title", "type"]
    );
    assert_eq!(answer.body["title"], "Not found");
    assert_eq!(answer.body["detail"], "There is no such show.");
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let harness = TestApp::new().await;

    for path in [
        "/",
        "/api",
        "/api/",
        "/api/nothing",
        "/api/shows/",
        "/api/movies/1/2",
        "/API/shows",
        "/%FF",
        "//",
    ] {
        harness.get(path).await.refused(404, "not_found");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        send(harness.request(method, "/api/nothing").body("{"))
            .await
            .refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_which_ones_there_are() {
    let harness = TestApp::new().await;
    let id = "0193a000-0000-7000-8000-000000000000";
    let cases = [
        (
            Method::DELETE,
            "/api/bookings".to_owned(),
            vec!["GET", "HEAD", "POST"],
        ),
        (Method::POST, "/api/shows".to_owned(), vec!["GET", "HEAD"]),
        (Method::PUT, format!("/api/shows/{id}"), vec!["GET", "HEAD"]),
        (Method::GET, "/api/admin/movies".to_owned(), vec!["POST"]),
        (Method::GET, "/api/stripe".to_owned(), vec!["POST"]),
        (Method::POST, "/health".to_owned(), vec!["GET", "HEAD"]),
        (
            Method::from_bytes(b"BREW").unwrap(),
            "/api/movies".to_owned(),
            vec!["GET", "HEAD"],
        ),
    ];

    for (method, path, allowed) in cases {
        let answer = send(harness.request(method, &path)).await;

        answer.refused(405, "method_not_allowed");
        let mut allow: Vec<&str> = answer.headers["allow"]
            .to_str()
            .unwrap()
            .split(',')
            .map(str::trim)
            .collect();
        allow.sort_unstable();
        assert_eq!(allow, allowed, "{path}");
    }
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let harness = TestApp::new().await;

    let found = send(harness.request(Method::HEAD, "/api/shows")).await;
    let missing = send(harness.request(Method::HEAD, "/api/nothing")).await;

    assert_eq!((found.status, found.body), (200, json!("")));
    assert_eq!((missing.status, missing.body), (404, json!("")));
    assert_eq!(missing.headers["content-type"], "application/problem+json");
    assert!(missing.headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn what_is_not_utf8_is_never_a_fault() {
    let harness = TestApp::new().await;

    harness
        .get("/api/shows/%FF")
        .await
        .refused(400, "malformed_request");
    harness
        .get("/api/shows/%FF/seats")
        .await
        .refused(400, "malformed_request");
    for query in [
        "%FF=1",
        "cursor=%FF",
        "movieId=%FF",
        "from=%FF",
        "limit=%FF",
    ] {
        harness
            .get(&format!("/api/shows?{query}"))
            .await
            .refused(422, "validation_failed");
    }
    for (name, status, code) in [
        ("authorization", 401, "unauthenticated"),
        ("cookie", 401, "unauthenticated"),
        ("origin", 401, "unauthenticated"),
        ("x-request-id", 401, "unauthenticated"),
        ("stripe-signature", 401, "unauthenticated"),
    ] {
        let value = HeaderValue::from_bytes(b"a\xff=\xfe").unwrap();
        let request = harness
            .request(Method::POST, "/api/bookings")
            .header(HeaderName::from_static(name), value);
        send(request.body("{}")).await.refused(status, code);
    }
    let signature = HeaderValue::from_bytes(b"t=1,v1=\xff").unwrap();
    let delivery = harness
        .request(Method::POST, "/api/stripe")
        .header("stripe-signature", signature);
    send(delivery.body("{}"))
        .await
        .refused(400, "invalid_signature");
}

#[tokio::test]
async fn an_idempotency_key_has_1_to_255_visible_ascii_characters() {
    let harness = TestApp::new().await;
    let request = |key: &[u8]| {
        let request = harness
            .admin()
            .request(Method::POST, "/api/admin/movies")
            .header("content-type", "application/json");
        request
            .header("idempotency-key", HeaderValue::from_bytes(key).unwrap())
            .body(r#"{"title":"x"}"#)
    };

    for key in [&b""[..], b"two words", b"k\xc3\xa9y", b"\xff", &[b'k'; 256]] {
        let answer = send(request(key)).await;

        answer.refused(422, "validation_failed");
        assert_eq!(answer.fields(), ["Idempotency-Key"]);
    }
    assert_eq!(send(request(&[b'k'; 255])).await.status, 201);
}

#[tokio::test]
async fn an_id_that_is_no_uuid_names_nothing() {
    let harness = TestApp::new().await;
    let dana = harness.customer("dana");

    for id in [
        "1",
        "null",
        "0193a000",
        "..%2F..",
        "%27%3B--",
        "0193a000-0000-7000-8000-00000000000g",
    ] {
        dana.get(&format!("/api/shows/{id}"))
            .await
            .refused(404, "not_found");
        dana.get(&format!("/api/shows/{id}/seats"))
            .await
            .refused(404, "not_found");
        dana.get(&format!("/api/movies/{id}"))
            .await
            .refused(404, "not_found");
        dana.get(&format!("/api/bookings/{id}"))
            .await
            .refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_list_takes_1_to_100_items_and_its_own_cursors_only() {
    let harness = TestApp::new().await;
    let dana = harness.customer("dana");
    let faults = [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=abc", "limit"),
        ("limit=", "limit"),
        ("limit=1.5", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=garbage", "cursor"),
        ("cursor=", "cursor"),
        (
            "cursor=9223372036854775807_0193a000-0000-7000-8000-000000000000",
            "cursor",
        ),
        (
            "cursor=-8000000000000000000_0193a000-0000-7000-8000-000000000000",
            "cursor",
        ),
        ("unknown=1", "unknown"),
    ];

    for list in ["/api/shows", "/api/movies", "/api/bookings"] {
        for (query, field) in faults {
            let answer = dana.get(&format!("{list}?{query}")).await;

            answer.refused(422, "validation_failed");
            assert_eq!(answer.fields(), [field], "{list}?{query}");
        }
        for query in ["limit=1", "limit=100", ""] {
            assert_eq!(
                dana.get(&format!("{list}?{query}")).await.body,
                json!({ "items": [], "nextCursor": null })
            );
        }
    }
}

#[tokio::test]
async fn a_request_id_is_taken_over_where_it_is_readable() {
    let harness = TestApp::new().await;
    let ask = |id: &[u8]| {
        let id = HeaderValue::from_bytes(id).unwrap();
        send(
            harness
                .request(Method::GET, "/api/nothing")
                .header("x-request-id", id),
        )
    };

    for id in [&b"a"[..], b"req-1!~", &[b'x'; 128]] {
        let answer = ask(id).await;

        answer.refused(404, "not_found");
        assert_eq!(answer.headers["x-request-id"].as_bytes(), id);
    }
    for id in [&b""[..], b"two words", b"\xff", &[b'x'; 129]] {
        let answer = ask(id).await;

        answer.refused(404, "not_found");
        let made = answer.headers["x-request-id"].to_str().unwrap();
        assert!(uuid::Uuid::try_parse(made).is_ok(), "{made}");
    }
    assert!(
        harness
            .get("/health")
            .await
            .headers
            .contains_key("x-request-id")
    );
}

#[tokio::test]
async fn without_the_database_the_caller_is_told_to_come_again() {
    let harness = TestApp::new().await;
    harness.app.pools.requests.close().await;
    harness.app.pools.reporting.close().await;
    harness.app.pools.public.close().await;

    for answer in [
        harness.get("/api/shows").await,
        harness.customer("dana").get("/api/bookings").await,
    ] {
        answer.refused(503, "database_unavailable");
        assert_eq!(answer.headers["retry-after"], "1");
    }
    let ready = harness.get("/ready").await;
    ready.refused(503, "database_unavailable");
    assert_eq!(
        ready.body["missing"],
        json!(["the database cannot be reached; check DATABASE_URL and that Postgres runs"])
    );
    assert_eq!(harness.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_panic_is_an_internal_error_without_its_words() {
    let panics = get(async || -> &'static str { panic!("a secret") });
    let router = Router::new()
        .route("/", panics)
        .layer(CatchPanicLayer::custom(on_panic))
        .layer(from_fn(request_id));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let answer = send(reqwest::Client::new().get(url)).await;

    answer.refused(500, "internal");
    assert!(!answer.body.to_string().contains("secret"));
}

/// A lock is waited for five seconds.
#[tokio::test]
async fn somebody_who_keeps_a_lock_makes_the_database_unavailable() {
    let harness = TestApp::new().await;
    let mut other = harness.db().begin().await.unwrap();
    sqlx::query("lock table shows")
        .execute(&mut *other)
        .await
        .unwrap();

    let answer = harness.get("/api/shows").await;

    answer.refused(503, "database_unavailable");
    other.rollback().await.unwrap();
    assert_eq!(harness.get("/api/shows").await.status, 200);
}
