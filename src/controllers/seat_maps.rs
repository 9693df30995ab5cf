//! The seat map of a show, which everybody looks at all the time.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{AppState, SeatMap};
use crate::domain::ids::ShowId;
use crate::domain::money::Money;
use crate::domain::refusal::Refusal;
use crate::domain::seats::SeatState;
use crate::error::{Error, Result};
use crate::http::extract::Path;

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
#[utoipa::path(
    get, path = "/api/shows/{id}/seats", params(("id" = ShowId, Path)),
    responses((status = 200, body = SeatMapView)),
)]
pub async fn list_seats(State(app): State<AppState>, Path(id): Path<ShowId>) -> Result<Response> {
    let map = app.batchers.seat_maps.submit(id).await?;
    let map = map.ok_or(Refusal::NotFound("show"))?;
    let json = if let Some(json) = map.json.get() {
        json
    } else {
        let drawn = draw(id, &map)?;
        map.json.get_or_init(|| drawn)
    };
    Ok((
        [(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        Bytes::from_owner(Arc::clone(json)),
    )
        .into_response())
}

fn draw(show_id: ShowId, map: &SeatMap) -> Result<Arc<[u8]>> {
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
