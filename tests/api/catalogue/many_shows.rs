//! A movie with more coming shows than a list brings along takes none from another.

use chrono::TimeDelta;
use serde_json::Value;

use super::{movie, show_of};
use crate::harness::TestApp;

/// How many coming shows a movie brings along in a list, and by itself.
const LISTED: usize = 100;
const BY_ITSELF: usize = 1_000;

/// Adds shows of a movie, an hour apart, like one that it has.
async fn add_shows(harness: &TestApp, like: &str, count: usize) {
    let copies = format!(
        "with copy as (
           insert into shows
           select (jsonb_populate_record(shows, jsonb_build_object(
             'id', gen_random_uuid(),
             'starts_at', shows.starts_at + number * interval '1 hour'))).*
           from shows cross join generate_series(1, {count}) as number
           where id = '{like}'
           returning id
         )
         insert into show_tiers
         select (jsonb_populate_record(show_tiers, jsonb_build_object('show_id', copy.id))).*
         from show_tiers, copy where show_id = '{like}'"
    );
    sqlx::query(sqlx::AssertSqlSafe(copies))
        .execute(harness.db())
        .await
        .unwrap();
}

fn shows_of(movie: &Value) -> usize {
    let dates = movie["dates"].as_array().unwrap().iter();
    dates
        .map(|date| date["shows"].as_array().unwrap().len())
        .sum()
}

#[tokio::test]
async fn each_movie_of_a_page_brings_its_soonest_shows_and_says_if_there_are_more() {
    let harness = TestApp::new().await;
    let many = movie(&harness, "Metropolis").await;
    let first = show_of(&harness, &many, "2026-12-01T10:00:00Z", "UTC").await;
    add_shows(&harness, &first, LISTED).await;
    let few = movie(&harness, "Nosferatu").await;
    show_of(&harness, &few, "2027-06-01T10:00:00Z", "UTC").await;
    let just_so_many = movie(&harness, "Faust").await;
    let first = show_of(&harness, &just_so_many, "2027-01-01T10:00:00Z", "UTC").await;
    add_shows(&harness, &first, LISTED - 1).await;

    let page = harness.get("/api/movies").await.body;

    let movies = page["items"].as_array().unwrap();
    let brought: Vec<_> = movies
        .iter()
        .map(|movie| {
            (
                movie["title"].as_str().unwrap(),
                shows_of(movie),
                &movie["moreShows"],
            )
        })
        .collect();
    let (yes, no) = (Value::Bool(true), Value::Bool(false));
    let expected = [
        ("Faust", LISTED, &no),
        ("Nosferatu", 1, &no),
        ("Metropolis", LISTED, &yes),
    ];
    assert_eq!(brought, expected);
    let dates = &movies[2]["dates"];
    assert_eq!(dates[0]["shows"][0]["startsAt"], "2026-12-01T10:00:00Z");

    let alone = harness.get(&format!("/api/movies/{many}")).await.body;

    assert_eq!(shows_of(&alone), LISTED + 1);
    assert_eq!(alone["moreShows"], false);
}

#[tokio::test]
async fn a_movie_by_itself_brings_its_soonest_shows_and_says_if_there_are_more() {
    let harness = TestApp::new().await;
    let many = movie(&harness, "Metropolis").await;
    let first = show_of(&harness, &many, "2026-12-01T10:00:00Z", "UTC").await;

    for (added, more) in [(BY_ITSELF - 1, false), (1, true)] {
        harness.advance(TimeDelta::seconds(1)).await;
        add_shows(&harness, &first, added).await;
        let alone = harness.get(&format!("/api/movies/{many}")).await.body;

        assert_eq!(shows_of(&alone), BY_ITSELF);
        assert_eq!(alone["moreShows"], more);
        let soonest = &alone["dates"][0]["shows"][0]["startsAt"];
        assert_eq!(soonest, "2026-12-01T10:00:00Z");
    }
}
