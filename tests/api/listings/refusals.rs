//! Every no to a movie and to a show names its field; what is just within the bounds is taken.

use serde_json::{Value, json};

use super::{MOVIES, create_show, row, step, tier};
use crate::harness::TestApp;

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
        "title": "ü".repeat(200), "overview": "ü".repeat(5_000), "runtimeMinutes": 10_000,
        "genres": vec!["a"; 20],
    });
    assert_eq!(harness.admin().post(MOVIES, largest).await.status, 201);
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

/// Each of these shows must be refused for this field alone.
async fn refused<const N: usize>(cases: [(&str, Value); N]) {
    let harness = TestApp::new().await;

    for (field, own) in cases {
        let answer = create_show(&harness, own).await;

        answer.refused(422, "validation_failed");
        assert_eq!(answer.fields(), [field]);
    }
    assert_eq!(harness.sql("select count(*) from shows").await, "0");
}

#[tokio::test]
async fn each_no_to_a_show_names_its_field() {
    refused([
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
    ])
    .await;
}

#[tokio::test]
async fn each_no_to_the_tiers_of_a_show_names_its_field() {
    let of_tiers = |tiers: Value| json!({ "tiers": tiers });
    let many_tiers: Vec<Value> = (0..21)
        .map(|index| tier(&format!("a{index}"), 1, "eur"))
        .collect();

    refused([
        (
            "tiers",
            json!({ "tiers": many_tiers, "rows": [row("A", 1, "a0")] }),
        ),
        (
            "tiers",
            of_tiers(json!([tier("a", 1, "eur"), tier("a", 2, "eur")])),
        ),
        (
            "tiers[1].name",
            of_tiers(json!([tier("a", 1, "eur"), tier("", 2, "eur")])),
        ),
        (
            "tiers[1].price.currency",
            of_tiers(json!([tier("a", 1, "eur"), tier("b", 2, "usd")])),
        ),
        (
            "tiers[0].price.currency",
            of_tiers(json!([tier("a", 1, "xxx")])),
        ),
        (
            "tiers[0].price.amountMinor",
            of_tiers(json!([tier("a", -1, "eur")])),
        ),
        (
            "tiers[0].price.amountMinor",
            of_tiers(json!([tier("a", 100_000_000, "eur")])),
        ),
    ])
    .await;
}

#[tokio::test]
async fn each_no_to_the_seats_of_a_show_names_its_field() {
    let of_row = |row: Value| json!({ "rows": [row] });
    let many_rows: Vec<Value> = (0..101)
        .map(|index| row(&row_name(index), 1, "a"))
        .collect();
    let many_seats: Vec<Value> = (0..26)
        .map(|index| row(&row_name(index), 200, "a"))
        .collect();

    refused([
        ("rows", json!({ "rows": [] })),
        ("rows", json!({ "rows": many_rows })),
        ("rows", json!({ "rows": many_seats })),
        (
            "rows",
            json!({ "rows": [row("A", 1, "a"), row("A", 2, "a")] }),
        ),
        ("rows[0].row", of_row(row("a", 1, "a"))),
        ("rows[0].row", of_row(row("A1", 1, "a"))),
        ("rows[0].row", of_row(row("ABCD", 1, "a"))),
        ("rows[0].row", of_row(row("", 1, "a"))),
        ("rows[0].seats", of_row(row("A", 0, "a"))),
        ("rows[0].seats", of_row(row("A", 201, "a"))),
        ("rows[0].tier", of_row(row("A", 1, "b"))),
        ("blocked", json!({ "blocked": ["A3"] })),
        ("blocked", json!({ "blocked": ["a1"] })),
    ])
    .await;
}

#[tokio::test]
async fn each_no_to_a_cancellation_policy_names_its_field() {
    let many_steps: Vec<Value> = (0..11).rev().map(|hours| step(hours, 0)).collect();
    let policies = [
        json!(many_steps),
        json!([step(0, 0), step(24, 100)]),
        json!([step(24, 100), step(24, 50)]),
        json!([step(24, 101)]),
    ];

    refused(policies.map(|policy| {
        let own = json!({ "cancellationPolicy": policy });
        ("cancellationPolicy", own)
    }))
    .await;
}

#[tokio::test]
async fn all_that_is_wrong_with_a_show_is_said_at_once() {
    let harness = TestApp::new().await;

    let answer = create_show(
        &harness,
        json!({
            "title": "", "timezone": "Berlin", "tiers": [], "rows": [row("a", 0, "x")],
            "blocked": ["B1"],
        }),
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
    let own = json!({
        "tiers": tiers, "rows": rows, "cancellationPolicy": policy, "maxSeatsPerBooking": 100,
    });

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
