//! The payment page of a booking, again.

use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use utoipa::ToSchema;

use super::BookingView;
use crate::app::AppState;
use crate::domain::attempt::{PaymentPart, Ui};
use crate::domain::ids::BookingId;
use crate::error::Result;
use crate::http::booking_access::OwnBooking;
use crate::http::extract::Json;
use crate::http::identity::{CurrentUser, origin_of};
use crate::workflows::checkout::{self, Payer};
use crate::workflows::sessions;

/// How the buyer wants to go on paying.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReopenCheckout {
    part: Option<CheckoutPart>,
    /// Of a page for the balance; an open page is given as it is, wherever it is shown.
    ui: Option<Ui>,
}

/// Which part of a booking is paid.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum CheckoutPart {
    /// All of it.
    Full,
    /// What confirms it.
    Deposit,
    /// What is due after the deposit.
    Balance,
}

impl From<CheckoutPart> for PaymentPart {
    fn from(part: CheckoutPart) -> Self {
        match part {
            CheckoutPart::Full => Self::Full,
            CheckoutPart::Deposit => Self::Deposit,
            CheckoutPart::Balance => Self::Balance,
        }
    }
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
    CurrentUser(user): CurrentUser,
    headers: HeaderMap,
    Json(body): Json<ReopenCheckout>,
) -> Result<Json<BookingView>> {
    let payer = Payer {
        user,
        origin: origin_of(&app, &headers).to_owned(),
        ui: body.ui.unwrap_or_default(),
    };
    if before.booking.part_due() == Some(PaymentPart::Balance) {
        sessions::close_lapsed(&app, before.booking.id).await?;
    }
    let part = body.part.map(PaymentPart::from);
    let details = checkout::reopen(&app, &before.booking, part, &payer).await?;
    Ok(Json(BookingView::of(&app, details)))
}
