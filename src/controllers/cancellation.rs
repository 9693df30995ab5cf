//! Calling off a booking.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::BookingView;
use crate::app::AppState;
use crate::domain::booking::BookingStatus;
use crate::domain::ids::BookingId;
use crate::domain::refusal::Refusal;
use crate::error::{Error, Result};
use crate::http::booking_access::AnyBooking;
use crate::http::extract::Json;
use crate::repositories::bookings;
use crate::repositories::cancellations::Cancellation;
use crate::workflows::sessions;

const REASON_CHARACTERS_MAX: usize = 500;

/// Why, and as of which version, a booking is called off.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelBooking {
    version: Option<i64>,
    reason: Option<String>,
}

/// Calls off a booking that has not been paid. Its seats are free as soon as Stripe has closed the
/// payment page; a buyer who has paid in the meantime keeps them.
#[utoipa::path(
    post, path = "/api/bookings/{id}/cancel",
    params(("id" = BookingId, Path)), request_body = CancelBooking,
    responses(
        (status = 200, body = BookingView),
        (status = 409, description = "`already_paid`, `version_conflict {version}`"),
        (status = 502, description = "`payment_provider_error`"),
        (status = 503, description = "`payment_provider_unavailable`"),
    ),
)]
pub async fn cancel_booking(
    State(app): State<AppState>,
    AnyBooking(before): AnyBooking,
    Json(body): Json<CancelBooking>,
) -> Result<Json<BookingView>> {
    body.check()?;
    let booking = before.details.booking;
    let cancelled = match booking.status {
        BookingStatus::Pending => {
            let cancellation = Cancellation {
                booking_id: booking.id,
                version: body.version,
                reason: body.reason.as_deref(),
            };
            sessions::cancel(&app, cancellation).await?
        }
        status => Some(status),
    };
    // Where it was not pending any more, or at another version, it has gone on in the meantime.
    let after = bookings::find(&mut app.acquire().await?, booking.id)
        .await?
        .ok_or(Refusal::NotFound("booking"))?;
    match after.booking.status {
        BookingStatus::Confirmed | BookingStatus::Processing | BookingStatus::Review => {
            Err(Refusal::AlreadyPaid.into())
        }
        BookingStatus::Pending if cancelled.is_none() => Err(Refusal::VersionConflict {
            version: after.booking.version,
        }
        .into()),
        BookingStatus::Pending => Err(Error::ProviderUnavailable(
            "the payment page is still open".to_owned(),
        )),
        BookingStatus::Expired | BookingStatus::Cancelled | BookingStatus::Failed => {
            Ok(Json(BookingView::of(&app, after)))
        }
    }
}

impl CancelBooking {
    fn check(&self) -> Result<(), Refusal> {
        let characters = self.reason.as_ref().map(|reason| reason.chars().count());
        if characters.is_some_and(|count| count > REASON_CHARACTERS_MAX) {
            let message = format!("must have at most {REASON_CHARACTERS_MAX} characters");
            return Err(Refusal::field("reason", message));
        }
        Ok(())
    }
}
