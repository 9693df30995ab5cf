//! Believable shows for the coming two weeks: silent films in two houses, for a developer to
//! book.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use crate::app::Pool;
use crate::domain::catalogue::{Movie, MovieDetails, ShowDraft, Tier};
use crate::domain::ids::MovieId;
use crate::domain::seats::SeatRow;
use crate::error::{Error, Result};
use crate::repositories::{movies, shows};

/// How many days ahead are filled.
const DAYS: u64 = 14;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seed {
    movies: Vec<MovieEntry>,
    houses: Vec<House>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MovieEntry {
    title: String,
    overview: String,
    runtime_minutes: i32,
    release_date: NaiveDate,
    genres: Vec<String>,
}

/// A place that shows one movie after the other.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct House {
    timezone: Tz,
    /// When shows begin, on the wall.
    times: Vec<NaiveTime>,
    tiers: Vec<Tier>,
    rows: Vec<SeatRow>,
    blocked: Vec<String>,
}

/// Loads the seed in one transaction, unless there are shows to come already. Returns how many
/// shows it added; `on_progress` is told how many it has added, of how many.
pub async fn load(
    db: &Pool,
    now: DateTime<Utc>,
    mut on_progress: impl FnMut(u64, u64),
) -> Result<u64> {
    let seed: Seed = serde_json::from_str(include_str!("seed.json"))
        .map_err(|error| Error::fault(format!("the seed is unreadable: {error}")))?;
    let mut tx = db.begin().await?;
    let coming = shows::Filter {
        from: Some(now),
        ..shows::Filter::default()
    };
    if !shows::list(&mut tx, &coming, 1).await?.is_empty() {
        return Ok(0);
    }
    let movies: Vec<Movie> = seed.movies.into_iter().map(MovieEntry::movie).collect();
    for movie in &movies {
        movies::insert(&mut tx, movie, now).await?;
    }
    let drafts = seed
        .houses
        .iter()
        .flat_map(|house| house.fortnight(&movies, now));
    let drafts: Vec<_> = drafts.collect();
    let of = u64::try_from(drafts.len()).unwrap_or_default();
    let mut added: u64 = 0;
    for draft in drafts {
        shows::insert(&mut tx, &draft.check(now)?, now).await?;
        added = added.saturating_add(1);
        on_progress(added, of);
    }
    tx.commit().await?;
    Ok(added)
}

impl MovieEntry {
    fn movie(self) -> Movie {
        let details = MovieDetails {
            title: self.title,
            overview: Some(self.overview),
            runtime_minutes: Some(self.runtime_minutes),
            release_date: Some(self.release_date),
            genres: self.genres,
            poster_url: None,
        };
        Movie {
            id: MovieId::new(),
            details,
        }
    }
}

impl House {
    /// One movie after the other; their number is odd, so that each comes at each time.
    fn fortnight(&self, movies: &[Movie], now: DateTime<Utc>) -> Vec<ShowDraft> {
        let tomorrow = now.with_timezone(&self.timezone).date_naive() + Days::new(1);
        let dates = (0..DAYS).filter_map(|day| tomorrow.checked_add_days(Days::new(day)));
        let slots = dates.flat_map(|date| self.times.iter().map(move |time| date.and_time(*time)));
        let starts = slots.filter_map(|local| local.and_local_timezone(self.timezone).earliest());
        starts
            .zip(movies.iter().cycle())
            .map(|(starts_at, movie)| self.draft(movie, starts_at.with_timezone(&Utc)))
            .collect()
    }

    fn draft(&self, movie: &Movie, starts_at: DateTime<Utc>) -> ShowDraft {
        ShowDraft {
            movie_id: Some(movie.id),
            title: movie.details.title.clone(),
            starts_at,
            timezone: self.timezone.name().to_owned(),
            max_seats_per_booking: None,
            max_seats_per_user: None,
            delayed_methods: false,
            tiers: self.tiers.clone(),
            rows: self.rows.clone(),
            blocked: self.blocked.clone(),
            cancellation_policy: None,
        }
    }
}
