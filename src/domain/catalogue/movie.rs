//! Movies.

use chrono::NaiveDate;

use super::title;
use crate::domain::calendar::{YEARS_SENTENCE, has_date};
use crate::domain::field_errors::FieldErrors;
use crate::domain::ids::MovieId;
use crate::domain::refusal::Refusal;

const RUNTIME_MINUTES_MAX: i32 = 10_000;
const OVERVIEW_CHARACTERS_MAX: usize = 5_000;
const GENRES_MAX: usize = 20;
const URL_BYTES_MAX: usize = 2_000;

/// A movie of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movie {
    pub(crate) id: MovieId,
    pub(crate) details: MovieDetails,
}

/// What is known of a movie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovieDetails {
    pub(crate) title: String,
    pub(crate) overview: Option<String>,
    pub(crate) runtime_minutes: Option<i32>,
    /// When it was first shown.
    pub(crate) release_date: Option<NaiveDate>,
    pub(crate) genres: Vec<String>,
    /// Absolute.
    pub(crate) poster_url: Option<String>,
}

impl MovieDetails {
    /// Refuses with `validation_failed`, naming all that is wrong.
    pub fn check(self) -> Result<Self, Refusal> {
        let mut errors = FieldErrors::default();
        title::check(&mut errors, "title", &self.title);
        errors.add_if(
            self.runtime_minutes
                .is_some_and(|minutes| !(1..=RUNTIME_MINUTES_MAX).contains(&minutes)),
            "runtimeMinutes",
            format!("must be between 1 and {RUNTIME_MINUTES_MAX}"),
        );
        errors.add_if(
            self.overview
                .as_ref()
                .is_some_and(|text| text.chars().count() > OVERVIEW_CHARACTERS_MAX),
            "overview",
            format!("must have at most {OVERVIEW_CHARACTERS_MAX} characters"),
        );
        errors.add_if(
            self.release_date.is_some_and(|date| !has_date(date)),
            "releaseDate",
            YEARS_SENTENCE,
        );
        self.check_genres(&mut errors);
        errors.add_if(
            self.poster_url.as_ref().is_some_and(|url| !is_web_url(url)),
            "posterUrl",
            format!("must be an absolute http or https URL of at most {URL_BYTES_MAX} characters"),
        );
        Ok(errors.finish(self)?)
    }

    fn check_genres(&self, errors: &mut FieldErrors) {
        errors.add_if(
            self.genres.len() > GENRES_MAX,
            "genres",
            format!("must be at most {GENRES_MAX}"),
        );
        for (index, genre) in self.genres.iter().enumerate() {
            title::check(errors, &format!("genres[{index}]"), genre);
        }
    }
}

fn is_web_url(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let has_host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    has_host && url.len() <= URL_BYTES_MAX && !url.contains(char::is_whitespace)
}
