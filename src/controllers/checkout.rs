//! The payment page of a booking, again.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::BookingView;
use crate::app::AppState;
use crate::domain::attempt::Ui;
use crate::domain::ids::BookingId;
use crate::error::Result;
use crate::http::booking_access::OwnBooking;
use crate::http::extract::Json;
use crate::workflows::checkout;

/// How the buyer wants to go on paying.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReopenCheckout {
    #[expect(
        dead_code,
        reason = "there is one part so far; another one is refused when the request is read"
    )]
    part: Option<CheckoutPart>,
    #[expect(
        dead_code,
        reason = "the open page is given as it is, wherever it is shown"
    )]
    ui: Option<Ui>,
}

/// Which part of a booking of seats is paid.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum CheckoutPart {
    /// All of it.
    Full,
}

/// The payment page of a booking with something due again. Two who ask at once get the same.
#[utoipa::path(
    post, path = "/api/bookings/{id}/checkout",
    params(("id" = BookingId, Path)), request_body = ReopenCheckout,
    responses(
        (status = 200, body = BookingView),
        (
            status = 409,
            description = "`already_paid`, `booking_expired`, `booking_not_payable {bookingStatus}`"
        ),
        (status = 502, description = "`payment_provider_error`"),
        (status = 503, description = "`payment_provider_unavailable`"),
    ),
)]
pub async fn reopen_checkout(
    State(app): State<AppState>,
    OwnBooking(before): OwnBooking,
    Json(_): Json<ReopenCheckout>,
) -> Result<Json<BookingView>> {
    let details = checkout::reopen(&app, &before.booking).await?;
    Ok(Json(BookingView::at(details, app.now())))
}
