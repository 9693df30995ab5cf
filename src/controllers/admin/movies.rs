//! Adding movies to the catalogue.

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::controllers::MovieView;
use crate::domain::audit::AdminAction;
use crate::domain::catalogue::{Movie, MovieDetails};
use crate::domain::ids::MovieId;
use crate::error::Result;
use crate::http::acting_admin::ActingAdmin;
use crate::http::idempotency::{Idempotent, Keyed};
use crate::http::reply::Reply;
use crate::repositories::{audit_log, movies};

/// A movie to be added; only the title is required.
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

impl From<CreateMovie> for MovieDetails {
    fn from(movie: CreateMovie) -> Self {
        Self {
            title: movie.title,
            overview: movie.overview,
            runtime_minutes: movie.runtime_minutes,
            release_date: movie.release_date,
            genres: movie.genres,
            poster_url: movie.poster_url,
        }
    }
}

/// Adds a movie to the catalogue.
#[utoipa::path(
    post, path = "/api/admin/movies",
    params(Idempotent<CreateMovie>), request_body = CreateMovie,
    responses((status = 201, body = MovieView, headers(("Location" = String)))),
)]
pub async fn create_movie(
    State(app): State<AppState>,
    admin: ActingAdmin,
    Idempotent { body, key }: Idempotent<CreateMovie>,
) -> Result<Response> {
    // The rules are asked within the work: what was made under a key comes again, whatever they say
    // meanwhile.
    let work = async |keyed: Keyed| {
        let movie = Movie {
            id: MovieId::new(),
            details: MovieDetails::from(body).check()?,
        };
        let now = app.now();
        let mut tx = app.begin().await?;
        movies::insert(&mut tx, &movie, now).await?;
        let entry = admin.entry(AdminAction::CreateMovie, movie.id, None);
        audit_log::append(&mut tx, &entry, now).await?;
        let location = format!("/api/movies/{}", movie.id);
        let reply = Reply::created(location, MovieView::from(movie));
        let kept = keyed.keep(&mut tx, reply, now).await?;
        app.commit(tx).await?;
        Ok(kept)
    };
    key.respond(&app, work).await
}
