//! What a caller may do: cookies and their origins, roles, other people's bookings.

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use crate::harness::{Answer, ORIGIN, TestApp, send};

fn movie() -> Value {
    json!({ "title": "Metropolis" })
}

/// A request by cookie, as a browser sends it for a page of `origin`.
async fn by_cookie(harness: &TestApp, method: Method, origin: Option<&str>) -> Answer {
    let mut claims = harness.claims("user_admin", "admin@example.com");
    claims["metadata"] = json!({ "role": "admin" });
    let path = if method == Method::POST {
        "/api/admin/movies"
    } else {
        "/api/bookings"
    };
    let cookies = format!(
        "theme=dark; __session={}; other=1",
        harness.issuer.token(&claims)
    );
    let request = harness
        .request(method, path)
        .header("cookie", cookies)
        .header("content-type", "application/json");
    let request = origin
        .into_iter()
        .fold(request, |request, origin| request.header("origin", origin));
    send(request.body(movie().to_string())).await
}

#[tokio::test]
async fn the_session_cookie_lets_read_from_anywhere() {
    let harness = TestApp::new().await;

    for origin in [None, Some(ORIGIN), Some("http://evil.example")] {
        let answer = by_cookie(&harness, Method::GET, origin).await;

        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test]
async fn a_cookie_request_from_an_origin_not_allowed_is_refused() {
    let harness = TestApp::new().await;

    for origin in [
        None,
        Some(""),
        Some("null"),
        Some("http://evil.example"),
        Some("http://front.example/"),
        Some("https://front.example"),
    ] {
        by_cookie(&harness, Method::POST, origin)
            .await
            .refused(403, "origin_not_allowed");
    }
    for origin in [ORIGIN, "http://other-front.example"] {
        assert_eq!(
            by_cookie(&harness, Method::POST, Some(origin)).await.status,
            201
        );
    }
    assert_eq!(harness.sql("select count(*) from movies").await, "2");
}

#[tokio::test]
async fn a_cookie_that_does_not_stand_is_unauthenticated() {
    let harness = TestApp::new().await;

    for cookie in [
        "__session=garbage",
        "__session=",
        "__session",
        "session=x",
        "__session_x=y",
    ] {
        let answer = send(
            harness
                .request(Method::GET, "/api/bookings")
                .header("cookie", cookie),
        )
        .await;

        answer.refused(401, "unauthenticated");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
}

#[tokio::test]
async fn a_cookie_that_is_not_ascii_does_not_hide_the_session() {
    let harness = TestApp::new().await;
    let token = harness
        .issuer
        .token(&harness.claims("user_dana", "dana@example.com"));
    let cookies =
        HeaderValue::from_bytes(format!("name=Zo\u{eb}; __session={token}").as_bytes()).unwrap();

    let answer = send(
        harness
            .request(Method::GET, "/api/bookings")
            .header("cookie", cookies),
    )
    .await;

    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn the_header_goes_before_the_cookie() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let (dana, eve) = (harness.customer("dana"), harness.customer("eve"));
    dana.booked(&show, &["A2"]).await;
    let cookie = format!(
        "__session={}",
        harness
            .issuer
            .token(&harness.claims("user_dana", "dana@example.com"))
    );

    let both = send(
        eve.request(Method::GET, "/api/bookings")
            .header("cookie", &cookie),
    )
    .await;
    let bad = send(
        harness
            .bearer("garbage".to_owned())
            .request(Method::GET, "/api/bookings")
            .header("cookie", &cookie),
    )
    .await;

    assert_eq!(both.body["items"], json!([]));
    bad.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_bearer_request_from_a_foreign_origin_is_served() {
    let harness = TestApp::new().await;
    let request = harness
        .admin()
        .request(Method::POST, "/api/admin/movies")
        .header("origin", "http://evil.example");

    let answer = send(
        request
            .header("content-type", "application/json")
            .body(movie().to_string()),
    )
    .await;

    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn what_is_public_asks_for_no_token_and_minds_no_bad_one() {
    let harness = TestApp::new().await;
    let show = harness.show().await;

    for path in [
        "/api/shows",
        "/api/movies",
        &format!("/api/shows/{show}"),
        &format!("/api/shows/{show}/seats"),
        "/health",
    ] {
        assert_eq!(harness.get(path).await.status, 200, "{path}");
        assert_eq!(
            harness.bearer("garbage".to_owned()).get(path).await.status,
            200,
            "{path}"
        );
    }
}

#[tokio::test]
async fn admin_without_the_role_is_forbidden() {
    let harness = TestApp::new().await;
    let roles = [
        json!(null),
        json!({}),
        json!({ "role": "user" }),
        json!({ "role": "Admin" }),
        json!({ "role": ["admin"] }),
        json!("admin"),
    ];

    for metadata in roles {
        let mut claims = harness.claims("user_dana", "dana@example.com");
        claims["metadata"] = metadata;
        claims["role"] = json!("admin");
        let caller = harness.bearer(harness.issuer.token(&claims));
        for path in ["/api/admin/movies", "/api/admin/shows"] {
            caller.post(path, movie()).await.refused(403, "forbidden");
        }
    }
    assert_eq!(harness.sql("select count(*) from movies").await, "0");
}

#[tokio::test]
async fn who_may_not_learns_nothing_of_their_body() {
    let harness = TestApp::new().await;

    for path in ["/api/admin/movies", "/api/admin/shows"] {
        harness
            .customer("dana")
            .post(path, json!({ "nonsense": 1 }))
            .await
            .refused(403, "forbidden");
        let anonymous = harness
            .request(Method::POST, path)
            .header("content-type", "application/json");
        send(anonymous.body("{"))
            .await
            .refused(401, "unauthenticated");
    }
}

#[tokio::test]
async fn another_users_booking_or_session_id_is_not_found() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let path = format!("/api/bookings/{}", booking["id"].as_str().unwrap());
    let session = json!({ "sessionId": booking["checkout"]["sessionId"] });
    let eve = harness.customer("eve");

    eve.get(&path).await.refused(404, "not_found");
    eve.post("/api/payments/verify", session)
        .await
        .refused(404, "not_found");
    harness.get(&path).await.refused(401, "unauthenticated");
    assert_eq!(eve.get("/api/bookings").await.body["items"], json!([]));
    harness.reconcile().await;
}

#[tokio::test]
async fn an_admin_sees_every_booking_but_lists_their_own() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;

    let seen = harness.admin().booking(&booking).await;
    let listed = harness.admin().get("/api/bookings").await;

    assert_eq!(seen, booking);
    assert_eq!(listed.body["items"], json!([]));
}

#[tokio::test]
async fn a_client_sent_price_is_refused() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");

    for name in [
        "price",
        "total",
        "amountMinor",
        "amount",
        "currency",
        "unitPrice",
        "discount",
    ] {
        let mut body = json!({ "kind": "show", "showId": show, "seats": ["A2"] });
        body[name] = json!(1);
        let answer = dana.post("/api/bookings", body).await;

        answer.refused(422, "validation_failed");
        assert_eq!(answer.fields(), [name]);
    }
    assert_eq!(harness.sql("select count(*) from bookings").await, "0");
    assert!(harness.stripe_requests().await.is_empty());
    harness.reconcile().await;
}
