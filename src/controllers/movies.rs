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
use crate::domain::calendar::just_after;
use crate::domain::catalogue::{Movie, Show, ShowStatus};
use crate::domain::ids::MovieId;
use crate::domain::refusal::Refusal;
use crate::error::Result;
use crate::http::extract::{Json, Path, Query};
use crate::http::paging::{Limit, Page, read_cursor};
use crate::repositories::{movies, shows};

/// The most shows that one page of movies brings along.
const MOVIE_SHOWS_MAX: i64 = 1_000;

/// A movie with its coming shows, by the date on the wall of the place.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MovieWithShowsView {
    #[serde(flatten)]
    movie: MovieView,
    dates: Vec<DateView>,
}

/// The shows of one local date.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DateView {
    date: NaiveDate,
    shows: Vec<ShowView>,
}

impl MovieWithShowsView {
    fn new(movie: Movie, shows: Vec<Show>, now: DateTime<Utc>) -> Self {
        let mut dates: BTreeMap<NaiveDate, Vec<ShowView>> = BTreeMap::new();
        for show in shows {
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

/// The movies with coming shows, newest first.
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
    let mut db = app.pools.reporting.acquire().await?;
    let found = movies::list_coming(&mut db, before, limit.fetch(), now).await?;
    let page = limit.page(found, |movie| movie.id.to_string());
    let ids = page.items.iter().map(|movie| movie.id).collect();
    let mut shows = coming_shows(&mut db, ids, now).await?;
    Ok(Json(page.map(|movie| {
        let shows = shows.remove(&movie.id).unwrap_or_default();
        MovieWithShowsView::new(movie, shows, now)
    })))
}

/// A movie, with its coming shows.
#[utoipa::path(
    get, path = "/api/movies/{id}", params(("id" = MovieId, Path)),
    responses((status = 200, body = MovieWithShowsView)),
)]
pub async fn find_movie(
    State(app): State<AppState>,
    Path(id): Path<MovieId>,
) -> Result<Json<MovieWithShowsView>> {
    let now = app.now();
    let mut db = app.pools.reporting.acquire().await?;
    let movie = movies::find(&mut db, id)
        .await?
        .ok_or(Refusal::NotFound("movie"))?;
    let mut shows = coming_shows(&mut db, vec![id], now).await?;
    let shows = shows.remove(&id).unwrap_or_default();
    Ok(Json(MovieWithShowsView::new(movie, shows, now)))
}

/// The shows of these movies that are still to come, soonest first. One that was cancelled does not
/// come.
async fn coming_shows(
    db: &mut Connection,
    movie_ids: Vec<MovieId>,
    now: DateTime<Utc>,
) -> Result<BTreeMap<MovieId, Vec<Show>>> {
    let filter = shows::Filter {
        movie_ids: Some(movie_ids),
        from: Some(just_after(now)),
        ..shows::Filter::default()
    };
    let mut by_movie: BTreeMap<MovieId, Vec<Show>> = BTreeMap::new();
    for show in shows::list(db, &filter, MOVIE_SHOWS_MAX).await? {
        let movie_id = show.movie.as_ref().map(|movie| movie.id);
        if let Some(id) = movie_id.filter(|_| show.status != ShowStatus::Cancelled) {
            by_movie.entry(id).or_default().push(show);
        }
    }
    Ok(by_movie)
}
