//! Movies with their coming shows, in order, page by page, at the times of the place.

use serde_json::{Value, json};

use crate::harness::{Answer, TestApp};

/// Adds a movie; returns its id.
pub(crate) async fn movie(harness: &TestApp, title: &str) -> String {
    let made = harness
        .admin()
        .post("/api/admin/movies", json!({ "title": title }))
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    made.body["id"].as_str().unwrap().to_owned()
}

/// Adds a show of a movie; returns its id.
pub(crate) async fn show_of(
    harness: &TestApp,
    movie: &str,
    starts_at: &str,
    timezone: &str,
) -> String {
    harness
        .show_with(json!({ "movieId": movie, "startsAt": starts_at, "timezone": timezone }))
        .await
}

/// The dates of a movie, each with the starts of its shows.
pub(crate) async fn dates(harness: &TestApp, movie: &str) -> Vec<(String, Vec<String>)> {
    let movie = harness.get(&format!("/api/movies/{movie}")).await.body;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let starts = |date: &Value| {
        date["shows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|show| text(&show["startsAt"]))
            .collect()
    };
    movie["dates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|date| (text(&date["date"]), starts(date)))
        .collect()
}

/// What [`dates`] is compared with.
pub(crate) fn on(date: &str, starts: &[&str]) -> (String, Vec<String>) {
    (
        date.to_owned(),
        starts.iter().map(ToString::to_string).collect(),
    )
}

/// The ids of a list.
pub(crate) fn ids(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect()
}

/// All pages of a list, as ids.
pub(crate) async fn pages(harness: &TestApp, path: &str) -> Vec<Vec<String>> {
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
async fn a_movies_shows_are_grouped_by_the_date_of_the_place() {
    let harness = TestApp::new().await;
    let id = movie(&harness, "Metropolis").await;
    for (starts_at, timezone) in [
        ("2026-12-02T23:30:00Z", "Europe/Berlin"),
        ("2026-12-02T22:30:00Z", "Europe/Berlin"),
        ("2026-12-02T23:40:00Z", "UTC"),
        ("2026-12-02T02:00:00Z", "America/Los_Angeles"),
        ("2026-12-02T12:00:00Z", "Pacific/Kiritimati"),
    ] {
        show_of(&harness, &id, starts_at, timezone).await;
    }

    let dates = dates(&harness, &id).await;

    let expected = [
        on("2026-12-01", &["2026-12-02T02:00:00Z"]),
        on(
            "2026-12-02",
            &["2026-12-02T22:30:00Z", "2026-12-02T23:40:00Z"],
        ),
        on(
            "2026-12-03",
            &["2026-12-02T12:00:00Z", "2026-12-02T23:30:00Z"],
        ),
    ];
    assert_eq!(dates, expected);
}

#[tokio::test]
async fn show_time_is_right_across_a_dst_change() {
    let harness = TestApp::new().await;
    let (berlin, new_york) = (
        movie(&harness, "Berlin").await,
        movie(&harness, "New York").await,
    );
    // Said with the offset of the place, before and after the clocks there change.
    for starts_at in [
        "2027-03-27T23:30:00+01:00",
        "2027-03-28T00:30:00+01:00",
        "2027-03-28T01:59:59+01:00",
        "2027-03-28T03:00:00+02:00",
        "2027-03-28T23:30:00+02:00",
        "2027-03-29T00:30:00+02:00",
        "2027-10-31T02:30:00+02:00",
        "2027-10-31T02:30:00+01:00",
        "2027-10-31T23:30:00+01:00",
    ] {
        show_of(&harness, &berlin, starts_at, "Europe/Berlin").await;
    }
    for starts_at in [
        "2027-03-13T23:30:00-05:00",
        "2027-03-14T03:00:00-04:00",
        "2027-03-14T23:30:00-04:00",
        "2027-03-15T00:30:00-04:00",
    ] {
        show_of(&harness, &new_york, starts_at, "America/New_York").await;
    }

    let of_berlin = [
        on("2027-03-27", &["2027-03-27T22:30:00Z"]),
        on(
            "2027-03-28",
            &[
                "2027-03-27T23:30:00Z",
                "2027-03-28T00:59:59Z",
                "2027-03-28T01:00:00Z",
                "2027-03-28T21:30:00Z",
            ],
        ),
        on("2027-03-29", &["2027-03-28T22:30:00Z"]),
        on(
            "2027-10-31",
            &[
                "2027-10-31T00:30:00Z",
                "2027-10-31T01:30:00Z",
                "2027-10-31T22:30:00Z",
            ],
        ),
    ];
    assert_eq!(dates(&harness, &berlin).await, of_berlin);
    let of_new_york = [
        on("2027-03-13", &["2027-03-14T04:30:00Z"]),
        on(
            "2027-03-14",
            &["2027-03-14T07:00:00Z", "2027-03-15T03:30:00Z"],
        ),
        on("2027-03-15", &["2027-03-15T04:30:00Z"]),
    ];
    assert_eq!(dates(&harness, &new_york).await, of_new_york);
}
