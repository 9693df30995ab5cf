//! The catalogue: movies, shows and their seats, and how an admin adds to it.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{AppState, commit};
use crate::domain::calendar::{YEARS_SENTENCE, has_instant};
use crate::domain::catalogue::{
    Movie, MovieDetails, PolicyStep, Show, ShowDraft, ShowStatus, Tier,
};
use crate::domain::ids::{MovieId, ShowId};
use crate::domain::refusal::Refusal;
use crate::domain::seats::SeatRow;
use crate::error::{Error, Result};
use crate::http::extract::{Created, Json, Path, Query};
use crate::http::idempotency::{Idempotent, Keyed};
use crate::http::identity::Admin;
use crate::http::paging::{Limit, Page, bad_cursor};
use crate::repositories::{movies, shows};

/// The most shows that one page of movies brings along.
const MOVIE_SHOWS_MAX: i64 = 1_000;

/// What an admin says of a movie; only the title is required.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateMovie {
    title: String,
    overview: Option<String>,
    runtime_minutes: Option<i32>,
    release_date: Option<NaiveDate>,
    #[serde(default)]
    genres: Vec<String>,
    poster_url: Option<String>,
}

/// A movie.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MovieView {
    id: MovieId,
    title: String,
    overview: Option<String>,
    runtime_minutes: Option<i32>,
    release_date: Option<NaiveDate>,
    genres: Vec<String>,
    poster_url: Option<String>,
}

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

/// What an admin says of a show. It shows a movie of the programme, or something else that has a
/// title.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateShow {
    movie_id: Option<MovieId>,
    title: Option<String>,
    starts_at: DateTime<Utc>,
    timezone: String,
    max_seats_per_booking: Option<u32>,
    tiers: Vec<Tier>,
    rows: Vec<SeatRow>,
    #[serde(default)]
    blocked: Vec<String>,
    cancellation_policy: Option<Vec<PolicyStep>>,
}

/// A show.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShowView {
    id: ShowId,
    movie: Option<MovieView>,
    title: String,
    starts_at: DateTime<Utc>,
    timezone: String,
    status: ShowStatus,
    currency: String,
    tiers: Vec<Tier>,
    max_seats_per_booking: i32,
    seats: SeatCountView,
    cancellation_policy: Vec<PolicyStep>,
}

/// How many seats a show has.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SeatCountView {
    total: i64,
    free: i64,
}

impl From<Movie> for MovieView {
    fn from(movie: Movie) -> Self {
        let details = movie.details;
        Self {
            id: movie.id,
            title: details.title,
            overview: details.overview,
            runtime_minutes: details.runtime_minutes,
            release_date: details.release_date,
            genres: details.genres,
            poster_url: details.poster_url,
        }
    }
}

impl ShowView {
    /// The show as it stands at `now`: one that has begun is closed.
    fn at(show: Show, now: DateTime<Utc>) -> Self {
        Self {
            id: show.id,
            movie: show.movie.map(MovieView::from),
            title: show.title,
            starts_at: show.starts_at,
            timezone: show.timezone,
            status: show.status.at(show.starts_at, now),
            currency: show.currency.to_string(),
            tiers: show.tiers,
            max_seats_per_booking: show.max_seats_per_booking,
            seats: SeatCountView {
                total: show.seats_total,
                free: show.seats_free,
            },
            cancellation_policy: show.cancellation_policy,
        }
    }
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

impl CreateMovie {
    fn details(self) -> MovieDetails {
        MovieDetails {
            title: self.title,
            overview: self.overview,
            runtime_minutes: self.runtime_minutes,
            release_date: self.release_date,
            genres: self.genres,
            poster_url: self.poster_url,
        }
    }
}

impl CreateShow {
    /// The show as it is said; where it has no title of its own, that of its movie.
    fn draft(self, title_of_movie: Option<String>) -> Result<ShowDraft, Refusal> {
        let title = self.title.or(title_of_movie);
        Ok(ShowDraft {
            movie_id: self.movie_id,
            title: title.ok_or_else(|| {
                Refusal::field("title", "must be given where there is no movieId")
            })?,
            starts_at: self.starts_at,
            timezone: self.timezone,
            max_seats_per_booking: self.max_seats_per_booking,
            tiers: self.tiers,
            rows: self.rows,
            blocked: self.blocked,
            cancellation_policy: self.cancellation_policy,
        })
    }
}

/// Adds a movie to the programme.
#[utoipa::path(post, path = "/api/admin/movies", request_body = CreateMovie, responses((status = 201, body = MovieView)))]
pub async fn create_movie(
    State(app): State<AppState>,
    _: Admin,
    Idempotent { body, key }: Idempotent<CreateMovie>,
) -> Result<Response> {
    // The rules are asked within the work: what was made under a key comes again, whatever they say
    // meanwhile.
    let work = async |keyed: Keyed| {
        let movie = Movie {
            id: MovieId::new(),
            details: body.details().check()?,
        };
        let mut tx = app.begin().await?;
        keyed.claim(&mut tx, app.now()).await?;
        movies::insert(&mut tx, &movie, app.now()).await?;
        commit(tx).await?;
        Ok(Created {
            location: format!("/api/movies/{}", movie.id),
            resource: MovieView::from(movie),
        })
    };
    key.answer(&app, work).await
}

/// Puts a show on sale.
#[utoipa::path(post, path = "/api/admin/shows", request_body = CreateShow, responses((status = 201, body = ShowView)))]
pub async fn create_show(
    State(app): State<AppState>,
    _: Admin,
    Idempotent { body, key }: Idempotent<CreateShow>,
) -> Result<Response> {
    let work = async |keyed: Keyed| {
        let now = app.now();
        let title_of_movie = match (&body.title, body.movie_id) {
            (None, Some(id)) => {
                let movie = movies::find(&mut *app.acquire().await?, id).await?;
                Some(movie.ok_or(Refusal::NotFound("movie"))?.details.title)
            }
            (Some(_), _) | (None, None) => None,
        };
        let show = body.draft(title_of_movie)?.check(now)?;
        let mut tx = app.begin().await?;
        keyed.claim(&mut tx, now).await?;
        shows::insert(&mut tx, &show, now)
            .await
            .map_err(|error| match error.constraint() {
                Some(shows::MOVIE_KEY) => Refusal::NotFound("movie").into(),
                _ => error,
            })?;
        let stored = shows::find(&mut tx, show.id).await?;
        commit(tx).await?;
        let stored = stored.ok_or_else(|| Error::fault("a new show is not there"))?;
        Ok(Created {
            location: format!("/api/shows/{}", show.id),
            resource: ShowView::at(stored, now),
        })
    };
    key.answer(&app, work).await
}

/// Which page of the movies.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListMovies {
    limit: Option<i64>,
    cursor: Option<String>,
}

/// The movies with coming shows, newest first.
#[utoipa::path(get, path = "/api/movies", params(ListMovies), responses((status = 200, body = Page<MovieWithShowsView>)))]
pub async fn list_movies(
    State(app): State<AppState>,
    Query(query): Query<ListMovies>,
) -> Result<Json<Page<MovieWithShowsView>>> {
    let limit = Limit::of(query.limit)?;
    let before = query
        .cursor
        .map(|cursor| cursor.parse().map_err(|_| bad_cursor()))
        .transpose()?;
    let now = app.now();
    let mut db = app.pools.reporting.acquire().await?;
    let found = movies::list_coming(&mut db, before, limit.fetch(), now).await?;
    let page = limit.page(found, |movie| movie.id.to_string());
    let ids = page.items.iter().map(|movie| movie.id).collect();
    let mut shows = coming(&mut db, ids, now).await?;
    Ok(Json(page.map(|movie| {
        let shows = shows.remove(&movie.id).unwrap_or_default();
        MovieWithShowsView::new(movie, shows, now)
    })))
}

/// A movie, with its coming shows.
#[utoipa::path(get, path = "/api/movies/{id}", params(("id" = MovieId, Path)), responses((status = 200, body = MovieWithShowsView)))]
pub async fn find_movie(
    State(app): State<AppState>,
    Path(id): Path<MovieId>,
) -> Result<Json<MovieWithShowsView>> {
    let now = app.now();
    let mut db = app.pools.reporting.acquire().await?;
    let movie = movies::find(&mut db, id)
        .await?
        .ok_or(Refusal::NotFound("movie"))?;
    let shows = coming(&mut db, vec![id], now)
        .await?
        .remove(&id)
        .unwrap_or_default();
    Ok(Json(MovieWithShowsView::new(movie, shows, now)))
}

/// The shows of these movies that are still to come, soonest first; what was cancelled does not
/// come.
async fn coming(
    db: &mut sqlx::PgConnection,
    movie_ids: Vec<MovieId>,
    now: DateTime<Utc>,
) -> Result<BTreeMap<MovieId, Vec<Show>>> {
    let from = Some(just_after(now));
    let filter = shows::Filter {
        movie_ids: Some(movie_ids),
        from,
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

/// The next instant that the database can tell from `now`: a show that begins now has begun.
fn just_after(now: DateTime<Utc>) -> DateTime<Utc> {
    now + TimeDelta::microseconds(1)
}

/// Which shows; without `from`, those that have not begun.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListShows {
    movie_id: Option<MovieId>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// Shows, soonest first.
#[utoipa::path(get, path = "/api/shows", params(ListShows), responses((status = 200, body = Page<ShowView>)))]
pub async fn list_shows(
    State(app): State<AppState>,
    Query(query): Query<ListShows>,
) -> Result<Json<Page<ShowView>>> {
    let limit = Limit::of(query.limit)?;
    for (field, instant) in [("from", query.from), ("to", query.to)] {
        if instant.is_some_and(|instant| !has_instant(instant)) {
            return Err(Refusal::field(field, YEARS_SENTENCE).into());
        }
    }
    let now = app.now();
    let filter = shows::Filter {
        movie_ids: query.movie_id.map(|id| vec![id]),
        from: Some(query.from.unwrap_or_else(|| just_after(now))),
        to: query.to,
        after: query
            .cursor
            .map(|cursor| place(&cursor).ok_or_else(bad_cursor))
            .transpose()?,
    };
    let found = shows::list(
        &mut *app.pools.reporting.acquire().await?,
        &filter,
        limit.fetch(),
    )
    .await?;
    let page = limit.page(found, |show| {
        format!("{}_{}", show.starts_at.timestamp_micros(), show.id)
    });
    Ok(Json(page.map(|show| ShowView::at(show, now))))
}

/// The place in the list that a cursor names.
fn place(cursor: &str) -> Option<(DateTime<Utc>, ShowId)> {
    let (starts_at, id) = cursor.split_once('_')?;
    let starts_at =
        DateTime::from_timestamp_micros(starts_at.parse().ok()?).filter(|at| has_instant(*at))?;
    Some((starts_at, id.parse().ok()?))
}

/// A show.
#[utoipa::path(get, path = "/api/shows/{id}", params(("id" = ShowId, Path)), responses((status = 200, body = ShowView)))]
pub async fn find_show(
    State(app): State<AppState>,
    Path(id): Path<ShowId>,
) -> Result<Json<ShowView>> {
    let show = shows::find(&mut *app.acquire().await?, id)
        .await?
        .ok_or(Refusal::NotFound("show"))?;
    Ok(Json(ShowView::at(show, app.now())))
}
