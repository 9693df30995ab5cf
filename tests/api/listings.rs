//! How an admin adds to the catalogue: movies and shows, every no to them, and requests that are
//! sent again.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{Answer, TestApp, send};

const MOVIES: &str = "/api/admin/movies";
const SHOWS: &str = "/api/admin/shows";

/// The smallest show that there is, with some members of its own; a null takes a member away.
fn show(own: &Value) -> Value {
    let mut show = json!({
        "title": "Metropolis", "startsAt": "2026-12-24T19:30:00Z", "timezone": "Europe/Berlin",
        "tiers": [tier("a", 1_200, "eur")], "rows": [row("A", 2, "a")],
    });
    for (name, value) in own.as_object().unwrap() {
        show[name] = value.clone();
    }
    show.as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    show
}

fn tier(name: &str, amount_minor: i64, currency: &str) -> Value {
    json!({ "name": name, "price": { "amountMinor": amount_minor, "currency": currency } })
}

fn row(row: &str, seats: u32, tier: &str) -> Value {
    json!({ "row": row, "seats": seats, "tier": tier })
}

fn step(hours_before: u32, refund_percent: u32) -> Value {
    json!({ "hoursBefore": hours_before, "refundPercent": refund_percent })
}

/// Names rows A, B, …, Z, BA, BB, …
fn row_name(index: u8) -> String {
    let letter = |index: u8| char::from(b'A'.checked_add(index).unwrap());
    match (
        index.checked_div(26).unwrap(),
        index.checked_rem(26).unwrap(),
    ) {
        (0, last) => letter(last).to_string(),
        (first, last) => format!("{}{}", letter(first), letter(last)),
    }
}

async fn create_show(harness: &TestApp, own: Value) -> Answer {
    harness.admin().post(SHOWS, show(&own)).await
}

#[tokio::test]
async fn a_movie_is_created_with_all_that_is_said_of_it() {
    let harness = TestApp::new().await;
    let said = json!({
        "title": "Metropolis", "overview": "A city of the future.", "runtimeMinutes": 153, "releaseDate": "1927-01-10",
        "genres": ["Drama", "Science fiction"], "posterUrl": "https://posters.example/metropolis.jpg",
    });

    let made = harness.admin().post(MOVIES, said.clone()).await;

    assert_eq!(made.status, 201, "{made:?}");
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(made.headers["location"], format!("/api/movies/{id}"));
    assert_eq!(uuid::Uuid::try_parse(id).unwrap().get_version_num(), 7);
    let mut movie = said;
    movie["id"] = json!(id);
    assert_eq!(made.body, movie);
    movie["dates"] = json!([]);
    assert_eq!(harness.get(&format!("/api/movies/{id}")).await.body, movie);
}

#[tokio::test]
async fn of_a_movie_only_the_title_is_required() {
    let harness = TestApp::new().await;

    let made = harness
        .admin()
        .post(MOVIES, json!({ "title": "Metropolis" }))
        .await;

    assert_eq!(made.status, 201, "{made:?}");
    let id = &made.body["id"];
    let movie = json!({
        "id": id, "title": "Metropolis", "overview": null, "runtimeMinutes": null, "releaseDate": null, "genres": [],
        "posterUrl": null,
    });
    assert_eq!(made.body, movie);
}

#[tokio::test]
async fn each_no_to_a_movie_names_its_field() {
    let harness = TestApp::new().await;
    let cases = [
        ("title", json!("")),
        ("title", json!("  ")),
        ("title", json!("x".repeat(201))),
        ("overview", json!("x".repeat(5_001))),
        ("runtimeMinutes", json!(0)),
        ("runtimeMinutes", json!(-90)),
        ("runtimeMinutes", json!(10_001)),
        ("releaseDate", json!("1927-02-29")),
        ("genres", json!(vec!["a"; 21])),
        ("genres[1]", json!(["Drama", ""])),
        ("genres[0]", json!(["x".repeat(201)])),
        ("posterUrl", json!("posters/1.jpg")),
        ("posterUrl", json!("javascript:alert(1)")),
        ("posterUrl", json!("https://")),
        (
            "posterUrl",
            json!(format!("https://a.example/{}", "x".repeat(2_000))),
        ),
    ];

    for (field, value) in cases {
        let mut movie = json!({ "title": "x" });
        movie[field.split('[').next().unwrap()] = value;
        let answer = harness.admin().post(MOVIES, movie).await;

        answer.refused(422, "validation_failed");
        assert_eq!(answer.fields(), [field]);
    }
    let largest = json!({
        "title": "ü".repeat(200), "overview": "ü".repeat(5_000), "runtimeMinutes": 10_000, "genres": vec!["a"; 20],
    });
    assert_eq!(harness.admin().post(MOVIES, largest).await.status, 201);
}

#[tokio::test]
async fn a_show_is_created_in_the_shape_of_the_contract() {
    let harness = TestApp::new().await;
    let movie = harness
        .admin()
        .post(MOVIES, json!({ "title": "Metropolis" }))
        .await
        .body;
    let own = json!({
        "movieId": movie["id"], "title": null, "startsAt": "2026-12-24T20:30:00+01:00", "maxSeatsPerBooking": 4,
        "tiers": [tier("regular", 1_200, "eur"), tier("box", 2_500, "eur")],
        "rows": [row("B", 10, "box"), row("A", 10, "regular")], "blocked": ["A1", "A1", "B10"],
        "cancellationPolicy": [step(48, 100), step(24, 50), step(0, 0)],
    });

    let made = create_show(&harness, own).await;

    assert_eq!(made.status, 201, "{made:?}");
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(made.headers["location"], format!("/api/shows/{id}"));
    let view = json!({
        "id": id, "movie": movie, "title": "Metropolis", "startsAt": "2026-12-24T19:30:00Z",
        "timezone": "Europe/Berlin", "status": "onSale", "currency": "eur",
        "tiers": [tier("regular", 1_200, "eur"), tier("box", 2_500, "eur")], "maxSeatsPerBooking": 4,
        "seats": { "total": 20, "free": 18 },
        "cancellationPolicy": [step(48, 100), step(24, 50), step(0, 0)],
    });
    assert_eq!(made.body, view);
    assert_eq!(harness.get(&format!("/api/shows/{id}")).await.body, view);
    assert_eq!(
        harness.get("/api/shows").await.body,
        json!({ "items": [view], "nextCursor": null })
    );
}

#[tokio::test]
async fn what_a_show_does_not_say_is_taken_from_the_defaults() {
    let harness = TestApp::new().await;

    let made = create_show(&harness, json!({})).await;

    assert_eq!(made.body["movie"], Value::Null);
    assert_eq!(made.body["maxSeatsPerBooking"], 10);
    assert_eq!(
        made.body["cancellationPolicy"],
        json!([step(24, 100), step(0, 0)])
    );
    assert_eq!(made.body["seats"], json!({ "total": 2, "free": 2 }));
}

#[tokio::test]
async fn a_show_of_a_movie_may_have_a_title_of_its_own() {
    let harness = TestApp::new().await;
    let movie = harness
        .admin()
        .post(MOVIES, json!({ "title": "Metropolis" }))
        .await
        .body;

    let made = create_show(
        &harness,
        json!({ "movieId": movie["id"], "title": "Metropolis, with organ" }),
    )
    .await;

    assert_eq!(made.body["title"], "Metropolis, with organ");
    assert_eq!(made.body["movie"], movie);
}

#[tokio::test]
async fn a_show_of_a_movie_that_there_is_not_is_not_found() {
    let harness = TestApp::new().await;
    let nobody = "0193a000-0000-7000-8000-000000000000";

    create_show(&harness, json!({ "movieId": nobody }))
        .await
        .refused(404, "not_found");
    create_show(&harness, json!({ "movieId": nobody, "title": null }))
        .await
        .refused(404, "not_found");

    assert_eq!(harness.sql("select count(*) from shows").await, "0");
    assert_eq!(harness.sql("select count(*) from show_seats").await, "0");
}

#[tokio::test]
async fn each_no_to_a_show_names_its_field() {
    let harness = TestApp::new().await;
    let many_tiers: Vec<Value> = (0..21)
        .map(|index| tier(&format!("a{index}"), 1, "eur"))
        .collect();
    let many_rows: Vec<Value> = (0..101)
        .map(|index| row(&row_name(index), 1, "a"))
        .collect();
    let many_seats: Vec<Value> = (0..26)
        .map(|index| row(&row_name(index), 200, "a"))
        .collect();
    let many_steps: Vec<Value> = (0..11).rev().map(|hours| step(hours, 0)).collect();
    let cases = [
        ("title", json!({ "title": null })),
        ("title", json!({ "title": "" })),
        ("title", json!({ "title": "x".repeat(201) })),
        ("startsAt", json!({ "startsAt": "2026-11-21T12:00:00Z" })),
        ("startsAt", json!({ "startsAt": "1999-12-31T12:00:00Z" })),
        ("startsAt", json!({ "startsAt": "2026-12-24T19:30:00" })),
        ("startsAt", json!({ "startsAt": null })),
        ("timezone", json!({ "timezone": "Berlin" })),
        ("timezone", json!({ "timezone": "+01:00" })),
        ("timezone", json!({ "timezone": "" })),
        ("maxSeatsPerBooking", json!({ "maxSeatsPerBooking": 0 })),
        ("maxSeatsPerBooking", json!({ "maxSeatsPerBooking": 101 })),
        ("maxSeatsPerBooking", json!({ "maxSeatsPerBooking": -1 })),
        (
            "tiers",
            json!({ "tiers": many_tiers, "rows": [row("A", 1, "a0")] }),
        ),
        (
            "tiers",
            json!({ "tiers": [tier("a", 1, "eur"), tier("a", 2, "eur")] }),
        ),
        (
            "tiers[1].name",
            json!({ "tiers": [tier("a", 1, "eur"), tier("", 2, "eur")] }),
        ),
        (
            "tiers[1].price.currency",
            json!({ "tiers": [tier("a", 1, "eur"), tier("b", 2, "usd")] }),
        ),
        (
            "tiers[0].price.currency",
            json!({ "tiers": [tier("a", 1, "xxx")] }),
        ),
        (
            "tiers[0].price.amountMinor",
            json!({ "tiers": [tier("a", -1, "eur")] }),
        ),
        (
            "tiers[0].price.amountMinor",
            json!({ "tiers": [tier("a", 100_000_000, "eur")] }),
        ),
        ("rows", json!({ "rows": [] })),
        ("rows", json!({ "rows": many_rows })),
        ("rows", json!({ "rows": many_seats })),
        (
            "rows",
            json!({ "rows": [row("A", 1, "a"), row("A", 2, "a")] }),
        ),
        ("rows[0].row", json!({ "rows": [row("a", 1, "a")] })),
        ("rows[0].row", json!({ "rows": [row("A1", 1, "a")] })),
        ("rows[0].row", json!({ "rows": [row("ABCD", 1, "a")] })),
        ("rows[0].row", json!({ "rows": [row("", 1, "a")] })),
        ("rows[0].seats", json!({ "rows": [row("A", 0, "a")] })),
        ("rows[0].seats", json!({ "rows": [row("A", 201, "a")] })),
        ("rows[0].tier", json!({ "rows": [row("A", 1, "b")] })),
        ("blocked", json!({ "blocked": ["A3"] })),
        ("blocked", json!({ "blocked": ["a1"] })),
        (
            "cancellationPolicy",
            json!({ "cancellationPolicy": many_steps }),
        ),
        (
            "cancellationPolicy",
            json!({ "cancellationPolicy": [step(0, 0), step(24, 100)] }),
        ),
        (
            "cancellationPolicy",
            json!({ "cancellationPolicy": [step(24, 100), step(24, 50)] }),
        ),
        (
            "cancellationPolicy",
            json!({ "cancellationPolicy": [step(24, 101)] }),
        ),
    ];

    for (field, own) in cases {
        let answer = create_show(&harness, own).await;

        answer.refused(422, "validation_failed");
        assert_eq!(answer.fields(), [field]);
    }
    assert_eq!(harness.sql("select count(*) from shows").await, "0");
}

#[tokio::test]
async fn all_that_is_wrong_with_a_show_is_said_at_once() {
    let harness = TestApp::new().await;

    let answer = create_show(
        &harness,
        json!({ "title": "", "timezone": "Berlin", "tiers": [], "rows": [row("a", 0, "x")], "blocked": ["B1"] }),
    )
    .await;

    answer.refused(422, "validation_failed");
    assert_eq!(
        answer.fields(),
        [
            "title",
            "timezone",
            "tiers",
            "rows[0].tier",
            "rows[0].row",
            "rows[0].seats",
            "blocked"
        ]
    );
}

#[tokio::test]
async fn the_largest_show_is_taken() {
    let harness = TestApp::new().await;
    let tiers: Vec<Value> = (0..20)
        .map(|index| tier(&format!("a{index}"), 99_999_999, "eur"))
        .collect();
    let rows: Vec<Value> = (0..100)
        .map(|index| row(&row_name(index), 50, "a0"))
        .collect();
    let policy: Vec<Value> = (0..10).rev().map(|hours| step(hours, 100)).collect();
    let own = json!({ "tiers": tiers, "rows": rows, "cancellationPolicy": policy, "maxSeatsPerBooking": 100 });

    let made = create_show(&harness, own).await;

    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["seats"], json!({ "total": 5_000, "free": 5_000 }));
}

#[tokio::test]
async fn a_price_keeps_to_the_step_of_its_currency() {
    let harness = TestApp::new().await;
    let cases = [
        ("eur", 1, true),
        ("eur", 0, true),
        ("jpy", 1_201, true),
        ("krw", 999, true),
        ("isk", 1_200, true),
        ("isk", 1_250, false),
        ("ugx", 150, false),
        ("kwd", 1_200, true),
        ("kwd", 1_205, false),
        ("bhd", 1_001, false),
        ("tnd", 10, true),
    ];

    for (currency, amount_minor, right) in cases {
        let answer = create_show(
            &harness,
            json!({ "tiers": [tier("a", amount_minor, currency)] }),
        )
        .await;

        if right {
            assert_eq!(answer.status, 201, "{answer:?}");
            assert_eq!(
                (&answer.body["currency"], &answer.body["tiers"][0]),
                (&json!(currency), &tier("a", amount_minor, currency))
            );
        } else {
            answer.refused(422, "validation_failed");
            assert_eq!(
                answer.fields(),
                ["tiers[0].price.amountMinor"],
                "{currency} {amount_minor}"
            );
        }
    }
}

#[tokio::test]
async fn a_key_makes_one_movie_and_one_show() {
    let harness = TestApp::new().await;
    let admin = harness.admin();
    let count = "select (select count(*) from movies) + (select count(*) from shows)";

    for (path, body) in [(MOVIES, json!({ "title": "x" })), (SHOWS, show(&json!({})))] {
        let first = admin.post_keyed(path, body.clone(), path).await;
        let before = harness.sql(count).await;
        let again = admin.post_keyed(path, body, path).await;

        assert_eq!((first.status, again.status), (201, 201), "{again:?}");
        assert!(!first.headers.contains_key("idempotent-replayed"));
        assert_eq!(again.headers["idempotent-replayed"], "true");
        assert_eq!(again.headers["location"], first.headers["location"]);
        assert_eq!(again.body, first.body);
        assert_eq!(harness.sql(count).await, before);
    }
}

#[tokio::test]
async fn a_key_is_known_to_every_process() {
    let harness = TestApp::new().await;
    let first = harness
        .admin()
        .post_keyed(MOVIES, json!({ "title": "x" }), "k")
        .await;
    let path = format!("{}{MOVIES}", harness.second_server().await);
    let mut claims = harness.claims("user_admin", "admin@example.com");
    claims["metadata"] = json!({ "role": "admin" });
    let request = harness
        .http
        .post(path)
        .bearer_auth(harness.issuer.token(&claims))
        .header("idempotency-key", "k");

    let again = send(
        request
            .header("content-type", "application/json")
            .body(r#"{ "title":"x" }"#),
    )
    .await;

    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!((again.status, again.body), (201, first.body));
}

#[tokio::test]
async fn a_key_belongs_to_one_request_of_one_caller() {
    let harness = TestApp::new().await;
    let admin = harness.admin();
    let mut claims = harness.claims("user_other_admin", "other@example.com");
    claims["metadata"] = json!({ "role": "admin" });
    let other = harness.bearer(harness.issuer.token(&claims));
    assert_eq!(
        admin
            .post_keyed(MOVIES, json!({ "title": "x" }), "k")
            .await
            .status,
        201
    );

    admin
        .post_keyed(MOVIES, json!({ "title": "y" }), "k")
        .await
        .refused(422, "idempotency_key_reused");
    admin
        .post_keyed(MOVIES, json!({ "title": "" }), "k")
        .await
        .refused(422, "idempotency_key_reused");
    admin
        .post_keyed(SHOWS, show(&json!({})), "k")
        .await
        .refused(422, "idempotency_key_reused");
    let others = other.post_keyed(MOVIES, json!({ "title": "y" }), "k").await;

    assert_eq!(others.status, 201, "{others:?}");
}

#[tokio::test]
async fn the_first_answer_comes_again_after_the_show_has_begun_and_for_24_hours() {
    let harness = TestApp::new().await;
    let body = show(&json!({ "startsAt": "2026-11-21T13:00:00Z" }));
    let first = harness.admin().post_keyed(SHOWS, body.clone(), "k").await;
    assert_eq!(first.status, 201, "{first:?}");

    harness
        .advance(TimeDelta::hours(24) - TimeDelta::seconds(1))
        .await;
    let again = harness.admin().post_keyed(SHOWS, body.clone(), "k").await;
    harness.advance(TimeDelta::seconds(1)).await;
    let too_late = harness.admin().post_keyed(SHOWS, body, "k").await;

    assert_eq!((again.status, &again.body), (201, &first.body), "{again:?}");
    too_late.refused(422, "validation_failed");
}

#[tokio::test]
async fn a_no_comes_again_too() {
    let harness = TestApp::new().await;
    let body = show(&json!({ "movieId": "0193a000-0000-7000-8000-000000000000" }));
    harness
        .admin()
        .post_keyed(SHOWS, body.clone(), "k")
        .await
        .refused(404, "not_found");

    let again = harness.admin().post_keyed(SHOWS, body, "k").await;

    again.refused(404, "not_found");
    assert_eq!(again.headers["idempotent-replayed"], "true");
}
