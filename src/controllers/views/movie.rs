//! A movie of the catalogue.

use chrono::NaiveDate;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::catalogue::Movie;
use crate::domain::ids::MovieId;

/// A movie.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MovieView {
    id: MovieId,
    title: String,
    overview: Option<String>,
    runtime_minutes: Option<i32>,
    release_date: Option<NaiveDate>,
    genres: Vec<String>,
    poster_url: Option<String>,
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
