//! What anyone may read: movies, shows and their seats, in order, page by page.

mod many_shows;
mod show_times;

use serde_json::json;

use crate::harness::{Answer, TestApp};

const NOBODY: &str = "0193a000-0000-7000-8000-000000000000";

/// Adds a movie; returns its id.
async fn movie(harness: &TestApp, title: &str) -> String {
    let made = harness
        .admin()
        .post("/api/admin/movies", json!({ "title": title }))
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    made.body["id"].as_str().unwrap().to_owned()
}

/// Adds a show of a movie; returns its id.
async fn show_of(harness: &TestApp, movie: &str, starts_at: &str, timezone: &str) -> String {
    harness
        .show_with(json!({ "movieId": movie, "startsAt": starts_at, "timezone": timezone }))
        .await
}

/// The ids of a list.
fn ids(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect()
}

/// All pages of a list, as ids.
async fn pages(harness: &TestApp, path: &str) -> Vec<Vec<String>> {
    let mut pages: Vec<Vec<String>> = Vec::new();
    let mut next = path.to_owned();
    loop {
        let answer = harness.get(&next).await;
        pages.push(ids(&answer).into_iter().map(str::to_owned).collect());
        match answer.body["nextCursor"].as_str() {
            Some(cursor) => next = format!("{path}&cursor={cursor}"),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn what_there_is_not_is_not_found() {
    let harness = TestApp::new().await;

    for path in ["shows/ID", "shows/ID/seats", "movies/ID"] {
        harness
            .get(&format!("/api/{}", path.replace("ID", NOBODY)))
            .await
            .refused(404, "not_found");
    }
    assert_eq!(
        harness.get("/api/shows").await.body,
        json!({ "items": [], "nextCursor": null })
    );
    assert_eq!(
        harness
            .get(&format!("/api/shows?movieId={NOBODY}"))
            .await
            .body["items"],
        json!([])
    );
}

#[tokio::test]
async fn the_seat_map_says_of_each_seat_what_it_is() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    harness.pay(&dana.booked(&show, &["B10", "A3"]).await).await;
    harness.customer("eve").booked(&show, &["A2"]).await;

    let map = harness.get(&format!("/api/shows/{show}/seats")).await.body;

    assert_eq!(map["showId"], show.as_str());
    let seats = map["seats"].as_array().unwrap();
    let labels: Vec<String> = seats
        .iter()
        .map(|seat| seat["label"].as_str().unwrap().to_owned())
        .collect();
    let natural: Vec<String> = ["A", "B"]
        .iter()
        .flat_map(|row| (1..=10).map(move |n| format!("{row}{n}")))
        .collect();
    assert_eq!(labels, natural);
    let states: Vec<&str> = seats
        .iter()
        .map(|seat| seat["state"].as_str().unwrap())
        .collect();
    assert_eq!(states[..4], ["blocked", "held", "sold", "free"]);
    assert_eq!(
        (
            states[19],
            states.iter().filter(|state| **state == "free").count()
        ),
        ("sold", 16)
    );
    let price = json!({ "amountMinor": 2500, "currency": "eur" });
    assert_eq!(
        seats[19],
        json!({ "label": "B10", "tier": "box", "price": price, "state": "sold" })
    );
    assert_eq!(
        harness.get(&format!("/api/shows/{show}")).await.body["seats"],
        json!({ "total": 20, "free": 16 })
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn row_aa_comes_after_row_z() {
    let harness = TestApp::new().await;
    let row = |row: &str| json!({ "row": row, "seats": 2, "tier": "regular" });
    let rows = json!([row("AA"), row("Z"), row("B")]);
    let show = harness
        .show_with(json!({ "rows": rows, "blocked": [] }))
        .await;

    let map = harness.get(&format!("/api/shows/{show}/seats")).await.body;

    let labels: Vec<&str> = map["seats"]
        .as_array()
        .unwrap()
        .iter()
        .map(|seat| seat["label"].as_str().unwrap())
        .collect();
    assert_eq!(labels, ["B1", "B2", "Z1", "Z2", "AA1", "AA2"]);
}

#[tokio::test]
async fn shows_are_filtered_by_movie_and_time() {
    let harness = TestApp::new().await;
    let (one, two) = (movie(&harness, "One").await, movie(&harness, "Two").await);
    let third = show_of(&harness, &one, "2026-12-03T20:00:00Z", "Europe/Berlin").await;
    let first = show_of(&harness, &one, "2026-12-01T20:00:00Z", "Europe/Berlin").await;
    let second = show_of(&harness, &two, "2026-12-02T20:00:00Z", "Europe/Berlin").await;
    let cases = [
        (String::new(), vec![&first, &second, &third]),
        (format!("movieId={one}"), vec![&first, &third]),
        (format!("movieId={two}"), vec![&second]),
        (
            "from=2026-12-02T20:00:00Z".to_owned(),
            vec![&second, &third],
        ),
        ("from=2026-12-02T20:00:01Z".to_owned(), vec![&third]),
        (
            "from=2026-12-02T21:00:00%2B01:00".to_owned(),
            vec![&second, &third],
        ),
        ("to=2026-12-02T20:00:00Z".to_owned(), vec![&first]),
        ("to=2026-12-02T20:00:01Z".to_owned(), vec![&first, &second]),
        (
            "from=2026-12-02T00:00:00Z&to=2026-12-03T00:00:00Z".to_owned(),
            vec![&second],
        ),
        (
            "from=2026-12-03T00:00:00Z&to=2026-12-02T00:00:00Z".to_owned(),
            vec![],
        ),
        (
            format!("movieId={one}&from=2026-12-02T00:00:00Z"),
            vec![&third],
        ),
    ];

    for (query, shows) in cases {
        assert_eq!(
            ids(&harness.get(&format!("/api/shows?{query}")).await),
            shows,
            "{query}"
        );
    }
    for (query, field) in [
        ("movieId=1", "movieId"),
        ("from=yesterday", "from"),
        ("to=2026-12-02", "to"),
    ] {
        let answer = harness.get(&format!("/api/shows?{query}")).await;
        answer.refused(422, "validation_failed");
        assert_eq!(answer.fields(), [field]);
    }
}

#[tokio::test]
async fn pages_of_shows_neither_skip_nor_repeat_where_starts_are_equal() {
    let harness = TestApp::new().await;
    for starts_at in [
        "2026-12-02T20:00:00Z",
        "2026-12-01T20:00:00Z",
        "2026-12-02T20:00:00.000001Z",
    ] {
        for _ in 0..2 {
            harness.show_with(json!({ "startsAt": starts_at })).await;
        }
    }
    let all = pages(&harness, "/api/shows?limit=100").await.concat();
    assert_eq!(all.len(), 6);

    for (limit, sizes) in [
        (1, vec![1; 6]),
        (2, vec![2; 3]),
        (3, vec![3; 2]),
        (4, vec![4, 2]),
        (5, vec![5, 1]),
        (6, vec![6]),
    ] {
        let pages = pages(&harness, &format!("/api/shows?limit={limit}")).await;

        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
        assert_eq!(pages.concat(), all);
    }
}

#[tokio::test]
async fn a_page_has_50_items_where_no_limit_is_named() {
    let harness = TestApp::new().await;
    let rows = json!([{ "row": "A", "seats": 1, "tier": "regular" }]);
    for _ in 0..51 {
        harness
            .show_with(json!({ "rows": rows, "blocked": [] }))
            .await;
    }

    let page = harness.get("/api/shows").await;

    assert_eq!(ids(&page).len(), 50);
    assert!(page.body["nextCursor"].is_string());
}

#[tokio::test]
async fn movies_with_coming_shows_are_listed_newest_first() {
    let harness = TestApp::new().await;
    let mut movies = Vec::new();
    for title in ["One", "Two", "Three"] {
        let id = movie(&harness, title).await;
        show_of(&harness, &id, "2026-12-24T19:30:00Z", "Europe/Berlin").await;
        movies.insert(0, id);
    }
    movie(&harness, "Without a show").await;

    let list = harness.get("/api/movies").await;

    assert_eq!(ids(&list), movies);
    assert_eq!(
        pages(&harness, "/api/movies?limit=2").await,
        [&movies[..2], &movies[2..]]
    );
    let alone = harness
        .get(&format!("/api/movies/{}", movies[0]))
        .await
        .body;
    assert_eq!(list.body["items"][0], alone);
    assert_eq!(alone["dates"][0]["date"], "2026-12-24");
    let shows = harness
        .get(&format!("/api/shows?movieId={}", movies[0]))
        .await
        .body;
    assert_eq!(alone["dates"][0]["shows"], shows["items"]);
}

#[tokio::test]
async fn a_seat_map_follows_a_change_of_the_layout() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let path = format!("/api/shows/{show}/seats");
    let before = harness.get(&path).await.body;

    for change in [
        "update show_seats set sellable = false where label = 'A2'",
        "update show_tiers set price_minor = 1300",
    ] {
        sqlx::query(change).execute(harness.db()).await.unwrap();
    }
    let after = harness.get(&path).await.body;

    assert_eq!(
        (&before["seats"][1]["label"], &before["seats"][1]["state"]),
        (&json!("A2"), &json!("free"))
    );
    assert_eq!(before["seats"][1]["price"]["amountMinor"], 1200);
    assert_eq!(after["seats"][1]["state"], "blocked");
    assert_eq!(after["seats"][1]["price"]["amountMinor"], 1300);
}
