//! Movies of the catalogue, each with its coming shows.

use std::collections::BTreeMap;

use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MovieView, ShowView};
use crate::app::AppState;
use crate::connection::Connection;
use crate::domain::catalogue::{Movie, Show};
use crate::domain::ids::MovieId;
use crate::domain::refusal::Refusal;
use crate::error::Result;
use crate::http::extract::{Json, Path, Query};
use crate::http::paging::{Limit, Page, read_cursor};
use crate::repositories::{movies, shows};

/// The most coming shows that a movie brings along in a list: two weeks of seven a day, and a page
/// of a hundred movies stays below some megabytes …
const LISTED_SHOWS_MAX: usize = 100;
/// … and by itself: half a year of five a day, which is below a megabyte. The others are in the
/// list of shows.
const MOVIE_SHOWS_MAX: usize = 1_000;

/// A movie with its coming shows, by the date on the wall of the place.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MovieWithShowsView {
    #[serde(flatten)]
    movie: MovieView,
    dates: Vec<DateView>,
    /// Whether there are more coming shows than these, the soonest: `GET /api/shows?movieId=` lists
    /// them all.
    more_shows: bool,
}

/// The shows of one local date.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DateView {
    date: NaiveDate,
    shows: Vec<ShowView>,
}

/// The coming shows of a movie, as far as they are brought along.
#[derive(Default)]
struct ComingShows {
    soonest: Vec<Show>,
    are_more: bool,
}

impl MovieWithShowsView {
    fn new(movie: Movie, shows: ComingShows, now: DateTime<Utc>) -> Self {
        let mut dates: BTreeMap<NaiveDate, Vec<ShowView>> = BTreeMap::new();
        for show in shows.soonest {
            let timezone: Tz = show.timezone.parse().unwrap_or_default();
            let date = show.starts_at.with_timezone(&timezone).date_naive();
            dates.entry(date).or_default().push(ShowView::at(show, now));
        }
        let dates = dates
            .into_iter()
            .map(|(date, shows)| DateView { date, shows });
        Self {
            movie: movie.into(),
            dates: dates.collect(),
            more_shows: shows.are_more,
        }
    }
}

/// Which page of the movies.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListMovies {
    limit: Option<i64>,
    cursor: Option<String>,
}

/// The movies with coming shows, newest first, each with at most 100 of them.
#[utoipa::path(
    get, path = "/api/movies", params(ListMovies),
    responses((status = 200, body = Page<MovieWithShowsView>)),
)]
pub async fn list_movies(
    State(app): State<AppState>,
    Query(query): Query<ListMovies>,
) -> Result<Json<Page<MovieWithShowsView>>> {
    let limit = Limit::of(query.limit)?;
    let before = read_cursor(query.cursor.as_deref(), |text| text.parse().ok())?;
    let now = app.now();
    let mut db = app.pools.public.acquire().await?;
    let found = movies::list_coming(&mut db, before, limit.fetch(), now).await?;
    let page = limit.page(found, |movie| movie.id.to_string());
    let ids: Vec<_> = page.items.iter().map(|movie| movie.id).collect();
    let mut shows = coming_shows(&mut db, &ids, LISTED_SHOWS_MAX, now).await?;
    Ok(Json(page.map(|movie| {
        let shows = shows.remove(&movie.id).unwrap_or_default();
        MovieWithShowsView::new(movie, shows, now)
    })))
}

/// A movie, with at most 1,000 of its coming shows.
#[utoipa::path(
    get, path = "/api/movies/{id}", params(("id" = MovieId, Path)),
    responses((status = 200, body = MovieWithShowsView)),
)]
pub async fn find_movie(
    State(app): State<AppState>,
    Path(id): Path<MovieId>,
) -> Result<Json<MovieWithShowsView>> {
    let now = app.now();
    let mut db = app.pools.public.acquire().await?;
    let movie = movies::find(&mut db, id)
        .await?
        .ok_or(Refusal::NotFound("movie"))?;
    let mut shows = coming_shows(&mut db, &[id], MOVIE_SHOWS_MAX, now).await?;
    let shows = shows.remove(&id).unwrap_or_default();
    Ok(Json(MovieWithShowsView::new(movie, shows, now)))
}

/// The coming shows of movies, at most so many of each.
async fn coming_shows(
    db: &mut Connection,
    movie_ids: &[MovieId],
    most: usize,
    now: DateTime<Utc>,
) -> Result<BTreeMap<MovieId, ComingShows>> {
    // One more, to know whether there are more.
    let limit = i64::try_from(most).map_or(i64::MAX, |most| most.saturating_add(1));
    let mut by_movie: BTreeMap<MovieId, ComingShows> = BTreeMap::new();
    for show in shows::list_coming(db, movie_ids, now, limit).await? {
        let Some(movie) = &show.movie else { continue };
        let coming = by_movie.entry(movie.id).or_default();
        if coming.soonest.len() < most {
            coming.soonest.push(show);
        } else {
            coming.are_more = true;
        }
    }
    Ok(by_movie)
}
