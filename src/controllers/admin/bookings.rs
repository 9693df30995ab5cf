//! Bookings, as admins see to them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::AppState;
use crate::controllers::BookingView;
use crate::domain::booking::BookingStatus;
use crate::domain::ids::BookingId;
use crate::domain::refusal::Refusal;
use crate::error::Result;
use crate::http::extract::{Json, Path};
use crate::http::identity::Admin;
use crate::repositories::bookings;
use crate::workflows::sessions;

/// Nothing has to be said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyBooking {}

/// Where a booking stands after Stripe was asked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedBooking {
    status: BookingStatus,
    booking: BookingView,
    /// Whether what Stripe said has changed it.
    changed: bool,
}

/// Asks Stripe about every attempt of a booking, now, and settles what it says.
#[utoipa::path(
    post, path = "/api/admin/bookings/{id}/verify", params(("id" = BookingId, Path)),
    request_body = VerifyBooking,
    responses(
        (status = 200, body = VerifiedBooking),
        (status = 404, description = "`not_found`"),
        (status = 502, description = "`payment_provider_error`"),
        (status = 503, description = "`payment_provider_unavailable`"),
    ),
)]
pub async fn verify_booking(
    State(app): State<AppState>,
    Admin(admin): Admin,
    Path(id): Path<BookingId>,
    Json(VerifyBooking {}): Json<VerifyBooking>,
) -> Result<Json<VerifiedBooking>> {
    let before = bookings::find(&mut app.acquire().await?, id).await?;
    let before = before.ok_or(Refusal::NotFound("booking"))?;
    let details = sessions::verify_booking(&app, id).await?;
    tracing::info!(booking.id = %id, admin.id = admin.id.0, "a booking was verified");
    Ok(Json(VerifiedBooking {
        status: details.booking.status,
        changed: details.booking.version != before.booking.version,
        booking: BookingView::at(details, app.now()),
    }))
}
