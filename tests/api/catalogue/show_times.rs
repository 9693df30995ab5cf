//! When shows are, at the time of the place, and when they are sold no more.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{ids, movie, show_of};
use crate::harness::TestApp;

/// The dates of a movie, each with the starts of its shows.
async fn dates(harness: &TestApp, movie: &str) -> Vec<(String, Vec<String>)> {
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
fn on(date: &str, starts: &[&str]) -> (String, Vec<String>) {
    (
        date.to_owned(),
        starts.iter().map(ToString::to_string).collect(),
    )
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

#[tokio::test]
async fn a_booking_carries_the_instant_and_the_zone_of_its_show() {
    let harness = TestApp::new().await;
    let show = harness
        .show_with(json!({ "startsAt": "2027-03-28T03:00:00+02:00" }))
        .await;

    let booking = harness.customer("dana").booked(&show, &["A2"]).await;

    assert_eq!(booking["show"]["startsAt"], "2027-03-28T01:00:00Z");
    assert_eq!(booking["show"]["timezone"], "Europe/Berlin");
    harness.reconcile().await;
}

#[tokio::test]
async fn a_show_that_has_begun_is_closed() {
    let harness = TestApp::new().await;
    let id = movie(&harness, "Metropolis").await;
    let show = show_of(&harness, &id, "2026-11-21T12:10:00Z", "Europe/Berlin").await;

    harness.advance(TimeDelta::seconds(599)).await;
    assert_eq!(
        harness.get(&format!("/api/shows/{show}")).await.body["status"],
        "onSale"
    );
    assert_eq!(ids(&harness.get("/api/movies").await), [id.as_str()]);
    harness.advance(TimeDelta::seconds(1)).await;

    assert_eq!(
        harness.get(&format!("/api/shows/{show}")).await.body["status"],
        "closed"
    );
    harness
        .customer("dana")
        .book(&show, &["A2"])
        .await
        .refused(409, "show_closed");
    assert!(ids(&harness.get("/api/shows").await).is_empty());
    assert!(ids(&harness.get("/api/movies").await).is_empty());
    assert!(dates(&harness, &id).await.is_empty());
    assert_eq!(
        ids(&harness.get("/api/shows?from=2026-11-21T12:10:00Z").await),
        [show]
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn a_show_that_is_cancelled_says_so_and_sells_no_movie() {
    let harness = TestApp::new().await;
    let (one, two) = (movie(&harness, "One").await, movie(&harness, "Two").await);
    let cancelled = show_of(&harness, &one, "2026-12-01T20:00:00Z", "Europe/Berlin").await;
    let alone = show_of(&harness, &two, "2026-12-01T20:00:00Z", "Europe/Berlin").await;
    show_of(&harness, &one, "2026-12-02T20:00:00Z", "Europe/Berlin").await;
    let cancel = sqlx::query("update shows set status = 'cancelled' where id::text = any($1)");
    cancel
        .bind(vec![&cancelled, &alone])
        .execute(harness.db())
        .await
        .unwrap();

    harness
        .customer("dana")
        .book(&cancelled, &["A2"])
        .await
        .refused(409, "show_closed");
    assert_eq!(
        harness.get(&format!("/api/shows/{cancelled}")).await.body["status"],
        "cancelled"
    );
    assert_eq!(ids(&harness.get("/api/movies").await), [one.as_str()]);
    assert_eq!(
        dates(&harness, &one).await,
        [on("2026-12-02", &["2026-12-02T20:00:00Z"])]
    );
    assert!(dates(&harness, &two).await.is_empty());
    harness.reconcile().await;
}
