//! Shows.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::ShowView;
use crate::app::AppState;
use crate::domain::calendar::{YEARS_SENTENCE, has_instant, just_after};
use crate::domain::ids::{MovieId, ShowId};
use crate::domain::refusal::Refusal;
use crate::error::Result;
use crate::http::extract::{Json, Path, Query};
use crate::http::paging::{Limit, Page, read_cursor};
use crate::repositories::shows;

/// Which shows; without `from`, those that have not begun.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListShows {
    movie_id: Option<MovieId>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// Shows, soonest first.
#[utoipa::path(
    get, path = "/api/shows", params(ListShows),
    responses((status = 200, body = Page<ShowView>)),
)]
pub async fn list_shows(
    State(app): State<AppState>,
    Query(query): Query<ListShows>,
) -> Result<Json<Page<ShowView>>> {
    let limit = Limit::of(query.limit)?;
    let now = app.now();
    let filter = query.filter(now)?;
    let found = shows::list(
        &mut app.pools.public.acquire().await?,
        &filter,
        limit.fetch(),
    )
    .await?;
    let page = limit.page(found, |show| {
        format!("{}_{}", show.starts_at.timestamp_micros(), show.id)
    });
    Ok(Json(page.map(|show| ShowView::at(show, now))))
}

impl ListShows {
    fn filter(self, now: DateTime<Utc>) -> Result<shows::Filter, Refusal> {
        for (field, instant) in [("from", self.from), ("to", self.to)] {
            if instant.is_some_and(|instant| !has_instant(instant)) {
                return Err(Refusal::field(field, YEARS_SENTENCE));
            }
        }
        Ok(shows::Filter {
            movie_id: self.movie_id,
            from: Some(self.from.unwrap_or_else(|| just_after(now))),
            to: self.to,
            after: read_cursor(self.cursor.as_deref(), place)?,
        })
    }
}

/// The place in the list that a cursor names.
fn place(cursor: &str) -> Option<(DateTime<Utc>, ShowId)> {
    let (starts_at, id) = cursor.split_once('_')?;
    let starts_at =
        DateTime::from_timestamp_micros(starts_at.parse().ok()?).filter(|at| has_instant(*at))?;
    Some((starts_at, id.parse().ok()?))
}

/// A show.
#[utoipa::path(
    get, path = "/api/shows/{id}", params(("id" = ShowId, Path)),
    responses((status = 200, body = ShowView)),
)]
pub async fn find_show(
    State(app): State<AppState>,
    Path(id): Path<ShowId>,
) -> Result<Json<ShowView>> {
    let show = shows::find(&mut app.pools.public.acquire().await?, id)
        .await?
        .ok_or(Refusal::NotFound("show"))?;
    Ok(Json(ShowView::at(show, app.now())))
}
