//! What a body must be: JSON that is called so, of the right shape and size, and nothing that
//! cannot be kept.

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use crate::harness::{Answer, TestApp, send};

pub(crate) const MOVIES: &str = "/api/admin/movies";
const SHOWS: &str = "/api/admin/shows";
const BOOKINGS: &str = "/api/bookings";

/// Posts a body, letter by letter, as an admin.
pub(crate) async fn post(harness: &TestApp, path: &str, body: impl Into<reqwest::Body>) -> Answer {
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

/// Bodies that are no movie, each with the field that is to be named.
const NO_MOVIES: &[(&str, &str)] = &[
    ("null", ""),
    (r#"["x",null,null,null,[],null]"#, ""),
    (r#""title""#, ""),
    ("{}", "title"),
    (r#"{"title":null}"#, "title"),
    (r#"{"title":7}"#, "title"),
    (r#"{"title":"x","titel":"y"}"#, "titel"),
    (r#"{"title":"x","title":"y"}"#, "title"),
    (r#"{"title":"x","runtimeMinutes":"90"}"#, "runtimeMinutes"),
    (r#"{"title":"x","runtimeMinutes":90.5}"#, "runtimeMinutes"),
    (
        r#"{"title":"x","runtimeMinutes":99999999999999999999999}"#,
        "runtimeMinutes",
    ),
    (r#"{"title":"x","releaseDate":"yesterday"}"#, "releaseDate"),
    (r#"{"title":"x","genres":["a",2]}"#, "genres[1]"),
];

const NO_SHOWS: &[(&str, &str)] = &[
    (r#"{"movieId":"no uuid"}"#, "movieId"),
    (r#"{"startsAt":"2026-12-24"}"#, "startsAt"),
    (r#"{"tiers":[{"name":"a","price":12}]}"#, "tiers[0].price"),
    (
        r#"{"tiers":[{"name":"a","price":{"amountMinor":"12","currency":"eur"}}]}"#,
        "tiers[0].price.amountMinor",
    ),
    (
        r#"{"tiers":[{"name":"a","price":{"amountMinor":12.5,"currency":"eur"}}]}"#,
        "tiers[0].price.amountMinor",
    ),
    (
        r#"{"tiers":[{"name":"a","price":{"amountMinor":12,"currency":"EUR"}}]}"#,
        "tiers[0].price.currency",
    ),
    (
        r#"{"tiers":[{"name":"a","price":{"amountMinor":12,"currency":"eur","tax":1}}]}"#,
        "tiers[0].price.tax",
    ),
    (
        r#"{"tiers":[{"name":"a","price":{"amountMinor":12}}]}"#,
        "tiers[0].price.currency",
    ),
    (
        r#"{"rows":[{"row":"A","seats":-1,"tier":"a"}]}"#,
        "rows[0].seats",
    ),
    (
        r#"{"cancellationPolicy":[{"hoursBefore":1,"refundPercent":256}]}"#,
        "cancellationPolicy[0].refundPercent",
    ),
];

const NO_BOOKINGS: &[(&str, &str)] = &[
    (
        r#"{"showId":"0193a000-0000-7000-8000-000000000000","seats":["A2"]}"#,
        "kind",
    ),
    (r#"{"kind":"show","seats":["A2"]}"#, "showId"),
    (r#"{"kind":"show","showId":"1","seats":["A2"]}"#, "showId"),
    (r#"{"kind":"show","seats":"A2"}"#, "seats"),
    (r#"{"kind":"show","seats":[2]}"#, "seats[0]"),
    (
        r#"{"kind":"show","showId":"0193a000-0000-7000-8000-000000000000","seats":[]}"#,
        "seats",
    ),
    (
        r#"{"kind":"show","showId":"0193a000-0000-7000-8000-000000000000","seats":["A2","A2"]}"#,
        "seats",
    ),
    (r#"{"kind":"opera"}"#, "kind"),
    (r#"{"kind":"show","paymentOption":"none"}"#, "paymentOption"),
    (r#"{"kind":"show","paymentString":"x"}"#, "paymentString"),
    (r#"{"kind":"show","ui":"popup"}"#, "ui"),
];

#[tokio::test]
async fn a_body_of_another_shape_names_its_field() {
    let harness = TestApp::new().await;

    for (path, bodies) in [
        (MOVIES, NO_MOVIES),
        (SHOWS, NO_SHOWS),
        (BOOKINGS, NO_BOOKINGS),
    ] {
        for (body, field) in bodies {
            let answer = post(&harness, path, *body).await;

            answer.refused(422, "validation_failed");
            assert_eq!(answer.fields(), [*field], "{body}");
        }
    }
}

/// Bodies with a NUL in each string, by path, each with the field that is to be named.
fn bodies_with_nul(show: &str) -> Vec<(&'static str, Value, &'static str)> {
    let show_with = |name: &str, value: Value| {
        let mut body = json!({
            "title": "Metropolis", "startsAt": "2026-12-24T19:30:00Z", "timezone": "Europe/Berlin",
            "tiers": [{ "name": "a", "price": { "amountMinor": 1200, "currency": "eur" } }],
            "rows": [{ "row": "A", "seats": 1, "tier": "a" }],
        });
        body[name] = value;
        body
    };
    let price = json!({ "amountMinor": 1200, "currency": "eur" });
    vec![
        (MOVIES, json!({ "title": "a\0" }), "title"),
        (
            MOVIES,
            json!({ "title": "a", "overview": "\0" }),
            "overview",
        ),
        (
            MOVIES,
            json!({ "title": "a", "genres": ["b", "\0"] }),
            "genres[1]",
        ),
        (
            MOVIES,
            json!({ "title": "a", "posterUrl": "https://a/\0" }),
            "posterUrl",
        ),
        (SHOWS, show_with("title", json!("\0")), "title"),
        (SHOWS, show_with("timezone", json!("\0")), "timezone"),
        (
            SHOWS,
            show_with("blocked", json!(["A\u{0}1"])),
            "blocked[0]",
        ),
        (
            SHOWS,
            show_with("tiers", json!([{ "name": "a\0", "price": price }])),
            "tiers[0].name",
        ),
        (
            SHOWS,
            show_with("rows", json!([{ "row": "\0", "seats": 1, "tier": "a" }])),
            "rows[0].row",
        ),
        (
            BOOKINGS,
            json!({ "kind": "show", "showId": show, "seats": ["A\u{0}2"] }),
            "seats[0]",
        ),
        (
            BOOKINGS,
            json!({ "kind": "show", "showId": show, "seats": ["A2"], "voucher": "\0" }),
            "voucher",
        ),
    ]
}

#[tokio::test]
async fn a_nul_character_is_refused_wherever_a_string_may_be() {
    let harness = TestApp::new().await;
    let show = harness.show().await;

    for (path, body, field) in bodies_with_nul(&show) {
        let answer = harness.admin().post(path, body).await;

        answer.refused(422, "validation_failed");
        assert_eq!(answer.fields(), [field], "{path}");
    }
    for path in [
        "/api/shows/%00",
        "/api/movies/%00",
        "/api/shows/%00/seats",
        "/%00",
    ] {
        harness.get(path).await.refused(404, "not_found");
    }
    harness
        .get("/api/shows?cursor=%00")
        .await
        .refused(422, "validation_failed");
    harness.reconcile().await;
}

#[tokio::test]
async fn nul_characters_of_stripes_are_kept_as_they_came() {
    let harness = TestApp::new().await;
    let object = json!({
        "id": "cs_\0", "object": "checkout.session", "client_reference_id": "\0", "payment_intent": "pi_\0",
        "currency": "\0", "amount_total": 1, "payment_status": "paid", "status": "complete",
        "metadata": { "app": "holdfast", "bookingId": "\0", "attemptId": "\0", "\0": "\0" },
    });
    let mut event = json!({
        "id": "evt_1", "object": "event", "type": "checkout.session.completed", "api_version": "\0",
        "created": 1, "livemode": false, "data": { "object": object },
    });

    let taken = harness.deliver(&event.to_string()).await;
    event["id"] = json!("evt_\0");
    let nameless = harness.deliver(&event.to_string()).await;

    assert_eq!(taken.status, 200, "{taken:?}");
    assert!(
        harness
            .sql("select payload from payment_events")
            .await
            .contains(r"\u0000")
    );
    nameless.refused(400, "malformed_request");
}

#[tokio::test]
async fn a_year_without_four_digits_is_refused() {
    let harness = TestApp::new().await;
    let admin = harness.admin();
    let show = |starts_at: &str| {
        json!({
            "title": "Metropolis", "startsAt": starts_at, "timezone": "Europe/Berlin",
            "tiers": [{ "name": "a", "price": { "amountMinor": 1200, "currency": "eur" } }],
            "rows": [{ "row": "A", "seats": 1, "tier": "a" }],
        })
    };

    for (answer, field) in [
        (
            harness.get("/api/shows?from=-200000-01-01T00:00:00Z").await,
            "from",
        ),
        (
            harness.get("/api/shows?to=%2B200000-01-01T00:00:00Z").await,
            "to",
        ),
        (
            admin.post(SHOWS, show("+262142-12-31T23:59:59Z")).await,
            "startsAt",
        ),
        (
            admin
                .post(
                    MOVIES,
                    json!({ "title": "x", "releaseDate": "-200000-01-01" }),
                )
                .await,
            "releaseDate",
        ),
    ] {
        answer.refused(422, "validation_failed");
        assert_eq!(answer.fields(), [field]);
    }
}

#[tokio::test]
async fn a_backslash_before_the_letters_of_a_nul_is_text() {
    let harness = TestApp::new().await;

    let answer = post(&harness, MOVIES, r#"{"title":"\\u0000"}"#).await;

    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["title"], r"\u0000");
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
