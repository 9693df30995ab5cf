//! How an admin adds to the catalogue: movies and shows.

mod refusals;
mod repeats;

use serde_json::{Value, json};

use crate::harness::{Answer, TestApp};

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

async fn create_show(harness: &TestApp, own: Value) -> Answer {
    harness.admin().post(SHOWS, show(&own)).await
}

#[tokio::test]
async fn a_movie_is_created_with_all_that_is_said_of_it() {
    let harness = TestApp::new().await;
    let said = json!({
        "title": "Metropolis", "overview": "A city of the future.", "runtimeMinutes": 153,
        "releaseDate": "1927-01-10", "genres": ["Drama", "Science fiction"],
        "posterUrl": "https://posters.example/metropolis.jpg",
    });

    let made = harness.admin().post(MOVIES, said.clone()).await;

    assert_eq!(made.status, 201, "{made:?}");
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(made.headers["location"], format!("/api/movies/{id}"));
    assert_eq!(uuid::Uuid::try_parse(id).unwrap().get_version_num(), 7);
    let mut movie = said;
    movie["id"] = json!(id);
    assert_eq!(made.body, movie);
    movie["moreShows"] = json!(false);
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
        "id": id, "title": "Metropolis", "overview": null, "runtimeMinutes": null,
        "releaseDate": null, "genres": [], "posterUrl": null,
    });
    assert_eq!(made.body, movie);
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
        "movieId": movie["id"], "title": null, "startsAt": "2026-12-24T20:30:00+01:00",
        "maxSeatsPerBooking": 4,
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
        "tiers": [tier("regular", 1_200, "eur"), tier("box", 2_500, "eur")],
        "maxSeatsPerBooking": 4,
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
