//! The seat map of a show, which everybody looks at all the time.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{App, AppState, Looking, SeatMap};
use crate::domain::ids::ShowId;
use crate::domain::money::Money;
use crate::domain::refusal::Refusal;
use crate::domain::seats::SeatState;
use crate::error::{Error, Result};
use crate::http::extract::Path;
use crate::repositories::shows;

/// The seats of a show, in natural order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeatMapView<'a> {
    show_id: ShowId,
    seats: Vec<SeatView<'a>>,
}

/// One seat.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SeatView<'a> {
    label: &'a str,
    tier: &'a str,
    price: Money,
    state: SeatState,
}

/// The seat map of a show, one for all who ask at this moment.
#[utoipa::path(get, path = "/api/shows/{id}/seats", params(("id" = ShowId, Path)), responses((status = 200, body = SeatMapView)))]
pub async fn list_seats(State(app): State<AppState>, Path(id): Path<ShowId>) -> Result<Response> {
    let looks = app.lines.looks.join(&app, Looking(id), |app, looks| {
        Box::pin(read_maps(app, looks))
    });
    let map = looks.await?.ok_or(Refusal::NotFound("show"))?;
    let json = if let Some(json) = map.json.get() {
        json
    } else {
        let drawn = draw(id, &map)?;
        map.json.get_or_init(|| drawn)
    };
    Ok((
        [(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        json.clone(),
    )
        .into_response())
}

/// Reads the maps of all shows that are looked at. One round trip, and one more for each whose
/// layout is new to this process.
async fn read_maps(app: &App, looks: &[Looking]) -> Result<Vec<Result<Option<Arc<SeatMap>>>>> {
    let mut ids: Vec<ShowId> = looks.iter().map(|look| look.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut db = app.acquire().await?;
    let mut maps = HashMap::new();
    for taken in shows::taken_seats(&mut db, &ids).await? {
        let id = taken.show_id;
        let layout = match app.layouts.get(id, taken.layout_version) {
            Some(layout) => layout,
            None => app.layouts.remember(id, shows::layout(&mut db, id).await?),
        };
        maps.insert(
            id,
            Arc::new(SeatMap {
                layout,
                taken,
                json: OnceLock::new(),
            }),
        );
    }
    Ok(looks
        .iter()
        .map(|look| Ok(maps.get(&look.0).cloned()))
        .collect())
}

fn draw(show_id: ShowId, map: &SeatMap) -> Result<Bytes> {
    let seats = map
        .layout
        .with_states(&map.taken)
        .map(|(seat, state)| SeatView {
            label: &seat.label,
            tier: &seat.tier,
            price: seat.price,
            state,
        });
    let drawn = serde_json::to_vec(&SeatMapView {
        show_id,
        seats: seats.collect(),
    });
    Ok(drawn
        .map_err(|error| Error::fault(format!("a seat map cannot be drawn: {error}")))?
        .into())
}
