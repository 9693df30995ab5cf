//! Services and their free slots.

use std::ops::Range;

use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FreeSlotView, ServiceView};
use crate::app::AppState;
use crate::domain::calendar::{YEARS_SENTENCE, has_instant};
use crate::domain::refusal::Refusal;
use crate::domain::timetable::Timetable;
use crate::error::Result;
use crate::http::extract::{Json, Path, Query};
use crate::http::paging::{Limit, Page, read_cursor};
use crate::repositories::services;

/// The slots of so many days are listed where the request does not say until when, and at most.
const DAYS_DEFAULT: i64 = 7;
const DAYS_MAX: i64 = 31;

/// Which services.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListServices {
    limit: Option<i64>,
    cursor: Option<String>,
}

/// Services, in the order of their slugs.
#[utoipa::path(
    get, path = "/api/services", params(ListServices),
    responses((status = 200, body = Page<ServiceView>)),
)]
pub async fn list_services(
    State(app): State<AppState>,
    Query(query): Query<ListServices>,
) -> Result<Json<Page<ServiceView>>> {
    let limit = Limit::of(query.limit)?;
    let after = read_cursor(query.cursor.as_deref(), |text| Some(text.to_owned()))?;
    let mut db = app.pools.public.acquire().await?;
    let found = services::list(&mut db, after.as_deref(), limit.fetch()).await?;
    let page = limit.page(found, |service| service.slug.clone());
    Ok(Json(page.map(ServiceView::from)))
}

/// A service.
#[utoipa::path(
    get, path = "/api/services/{slug}", params(("slug" = String, Path)),
    responses((status = 200, body = ServiceView)),
)]
pub async fn find_service(
    State(app): State<AppState>,
    Path(slug): Path<String>,
) -> Result<Json<ServiceView>> {
    let service = services::find_by_slug(&mut app.pools.public.acquire().await?, &slug).await?;
    let service = service.ok_or(Refusal::NotFound("service"))?;
    Ok(Json(ServiceView::from(service)))
}

/// Which slots: without `from`, from now; without `to`, for a week; without `hours`, the shortest.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListSlots {
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    hours: Option<u32>,
}

/// The slots that can be had.
#[derive(Debug, Serialize, ToSchema)]
pub struct FreeSlots {
    items: Vec<FreeSlotView>,
}

/// The slots of a service that can be had, soonest first: one begins at each hour from opening. At
/// most a month of them.
#[utoipa::path(
    get, path = "/api/services/{slug}/slots", params(("slug" = String, Path), ListSlots),
    responses((status = 200, body = FreeSlots)),
)]
pub async fn list_slots(
    State(app): State<AppState>,
    Path(slug): Path<String>,
    Query(query): Query<ListSlots>,
) -> Result<Json<FreeSlots>> {
    let now = app.now();
    let window = query.window(now)?;
    let mut db = app.pools.public.acquire().await?;
    let service = services::find_by_slug(&mut db, &slug).await?;
    let service = service.ok_or(Refusal::NotFound("service"))?;
    let hours = query.hours.unwrap_or(service.min_hours);
    service.check_hours(hours)?;
    let resources = services::resources(&mut db, service.id).await?;
    // The last slot begins before the end of the window, and ends at most a day, and what lies
    // after it, later.
    let until = service.taken_until(window.end + TimeDelta::days(1));
    let taken = services::taken(&mut db, &resources, window.start..until).await?;
    drop(db);
    let timetable = Timetable::new(&resources, &taken);
    let slots = service.free_slots(hours, window, &timetable, now);
    let items = slots.into_iter().map(FreeSlotView::from).collect();
    Ok(Json(FreeSlots { items }))
}

impl ListSlots {
    fn window(&self, now: DateTime<Utc>) -> Result<Range<DateTime<Utc>>, Refusal> {
        for (field, instant) in [("from", self.from), ("to", self.to)] {
            if instant.is_some_and(|instant| !has_instant(instant)) {
                return Err(Refusal::field(field, YEARS_SENTENCE));
            }
        }
        let from = self.from.unwrap_or(now);
        let to = self
            .to
            .unwrap_or_else(|| from + TimeDelta::days(DAYS_DEFAULT));
        if to.signed_duration_since(from) > TimeDelta::days(DAYS_MAX) {
            let message = format!("must be at most {DAYS_MAX} days after from");
            return Err(Refusal::field("to", message));
        }
        Ok(from..to.max(from))
    }
}
