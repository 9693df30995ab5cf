//! The events that Stripe has sent, what became of them, and settling one again.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Reasoned;
use crate::app::AppState;
use crate::domain::audit::AdminAction;
use crate::domain::ids::BookingId;
use crate::domain::payment_event::{EventStatus, PaymentEvent};
use crate::domain::refusal::Refusal;
use crate::error::Result;
use crate::http::acting_admin::ActingAdmin;
use crate::http::extract::{Json, Path, Query};
use crate::http::identity::Admin;
use crate::http::paging::{Limit, Page, read_cursor};
use crate::repositories::audit_log;
use crate::repositories::payment_events::{self, Filter, Place};
use crate::settlement;

/// An event of Stripe's, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentEventView {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    status: EventStatus,
    outcome: Option<String>,
    booking_id: Option<BookingId>,
    deliveries: i32,
    received_at: DateTime<Utc>,
    processed_at: Option<DateTime<Utc>>,
    /// As it came; a text where it is no JSON that everybody reads alike.
    payload: Value,
}

impl From<PaymentEvent> for PaymentEventView {
    fn from(event: PaymentEvent) -> Self {
        Self {
            id: event.id,
            kind: event.kind,
            status: event.status,
            outcome: event.outcome,
            booking_id: event.booking_id,
            deliveries: event.deliveries,
            received_at: event.received_at,
            processed_at: event.processed_at,
            payload: serde_json::from_str(&event.payload).unwrap_or(Value::String(event.payload)),
        }
    }
}

/// Which events are listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListPaymentEvents {
    status: Option<EventStatus>,
    /// Such as `checkout.session.completed`.
    #[serde(rename = "type")]
    kind: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// Events of Stripe's, those that came last first.
#[utoipa::path(
    get, path = "/api/admin/payment-events", params(ListPaymentEvents),
    responses((status = 200, body = Page<PaymentEventView>)),
)]
pub async fn list_payment_events(
    State(app): State<AppState>,
    _: Admin,
    Query(query): Query<ListPaymentEvents>,
) -> Result<Json<Page<PaymentEventView>>> {
    let limit = Limit::of(query.limit)?;
    let filter = Filter {
        status: query.status,
        kind: query.kind,
        before: read_cursor(query.cursor.as_deref(), read_place)?,
    };
    let mut db = app.pools.reporting.acquire().await?;
    let found = payment_events::list(&mut db, &filter, limit.fetch()).await?;
    let page = limit.page(found, |event| {
        format!("{}_{}", event.received_at.timestamp_micros(), event.id)
    });
    Ok(Json(page.map(PaymentEventView::from)))
}

fn read_place(cursor: &str) -> Option<Place> {
    let (received_at, id) = cursor.split_once('_')?;
    Some(Place {
        received_at: DateTime::from_timestamp_micros(received_at.parse().ok()?)?,
        id: id.to_owned(),
    })
}

/// An event of Stripe's.
#[utoipa::path(
    get, path = "/api/admin/payment-events/{id}", params(("id" = String, Path)),
    responses((status = 200, body = PaymentEventView), (status = 404, description = "`not_found`")),
)]
pub async fn find_payment_event(
    State(app): State<AppState>,
    _: Admin,
    Path(id): Path<String>,
) -> Result<Json<PaymentEventView>> {
    find(&app, &id).await
}

/// Settles an event again, from what was stored of it. One whose effect is committed stays as it
/// is.
#[utoipa::path(
    post, path = "/api/admin/payment-events/{id}/replay", params(("id" = String, Path)),
    request_body = Reasoned,
    responses((status = 200, body = PaymentEventView), (status = 404, description = "`not_found`")),
)]
pub async fn replay_payment_event(
    State(app): State<AppState>,
    admin: ActingAdmin,
    Path(id): Path<String>,
    Json(body): Json<Reasoned>,
) -> Result<Json<PaymentEventView>> {
    find(&app, &id).await?;
    let entry = admin.entry(AdminAction::ReplayPaymentEvent, &id, body.into_reason()?);
    let mut tx = app.begin().await?;
    audit_log::append(&mut tx, &entry, app.now()).await?;
    app.commit(tx).await?;
    settlement::replay(&app, &id).await?;
    find(&app, &id).await
}

async fn find(app: &AppState, id: &str) -> Result<Json<PaymentEventView>> {
    let found = payment_events::find(&mut app.acquire().await?, id).await?;
    let event = found.ok_or(Refusal::NotFound("payment event"))?;
    Ok(Json(PaymentEventView::from(event)))
}
