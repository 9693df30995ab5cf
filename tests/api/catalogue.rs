//! Shows, in order, page by page; and what the catalogue says of those that are closed or cancelled.

use chrono::TimeDelta;
use serde_json::json;

use crate::harness::TestApp;
use crate::movies::{dates, ids, movie, on, pages, show_of};

const NOBODY: &str = "0193a000-0000-7000-8000-000000000000";

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
