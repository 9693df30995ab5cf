//! Movies of the catalogue.

use chrono::{DateTime, NaiveDate, Utc};

use crate::connection::Connection;
use crate::domain::catalogue::{Movie, MovieDetails};
use crate::domain::ids::MovieId;
use crate::error::Result;

struct Row {
    id: MovieId,
    title: String,
    overview: Option<String>,
    runtime_minutes: Option<i32>,
    release_date: Option<NaiveDate>,
    genres: Vec<String>,
    poster_url: Option<String>,
}

impl From<Row> for Movie {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            details: MovieDetails {
                title: row.title,
                overview: row.overview,
                runtime_minutes: row.runtime_minutes,
                release_date: row.release_date,
                genres: row.genres,
                poster_url: row.poster_url,
            },
        }
    }
}

pub(crate) async fn insert(db: &mut Connection, movie: &Movie, now: DateTime<Utc>) -> Result<()> {
    let details = &movie.details;
    sqlx::query!(
        "insert into movies (id, title, overview, runtime_minutes, release_date, genres, poster_url,
                             created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        movie.id as _,
        details.title,
        details.overview,
        details.runtime_minutes,
        details.release_date,
        &details.genres,
        details.poster_url,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(crate) async fn find(db: &mut Connection, id: MovieId) -> Result<Option<Movie>> {
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: _", title, overview, runtime_minutes, release_date, genres, poster_url
           from movies
           where id = $1"#,
        id as _,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(Movie::from))
}

/// Movies that are still to be shown, newest first, at most `limit`, those after `before` only.
pub(crate) async fn list_coming(
    db: &mut Connection,
    before: Option<MovieId>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<Movie>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: _", title, overview, runtime_minutes, release_date, genres, poster_url
           from movies
           where ($1::uuid is null or id < $1)
             and exists (
               select from shows
               where shows.movie_id = movies.id and shows.starts_at > $2
                  and shows.status <> 'cancelled'
             )
           order by id desc
           limit $3"#,
        before as _,
        now,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Movie::from).collect())
}
