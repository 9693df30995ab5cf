//! Payments, for buyers who come back from Stripe.

use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::BookingView;
use crate::app::AppState;
use crate::domain::booking::BookingStatus;
use crate::domain::refusal::Refusal;
use crate::error::Result;
use crate::http::extract::{Json, Query};
use crate::http::identity::CurrentUser;
use crate::workflows::sessions;

/// The longest that a buyer waits in one request.
const WAIT_SECONDS_MAX: u64 = 25;

/// Which session the buyer comes back from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifyPayment {
    session_id: String,
}

/// How long the buyer waits.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VerifyWait {
    /// Seconds, at most 25.
    wait: Option<u64>,
}

/// Where the booking of a session stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedPayment {
    status: BookingStatus,
    booking: BookingView,
}

/// Waits until the booking of a session is settled, and asks Stripe where our record still waits
/// for the payment.
#[utoipa::path(
    post, path = "/api/payments/verify", params(VerifyWait), request_body = VerifyPayment,
    responses(
        (status = 200, body = VerifiedPayment),
        (status = 404, description = "`not_found`"),
    ),
)]
pub async fn verify_payment(
    State(app): State<AppState>,
    CurrentUser(user): CurrentUser,
    Query(query): Query<VerifyWait>,
    Json(body): Json<VerifyPayment>,
) -> Result<Json<VerifiedPayment>> {
    let seconds = query.wait.unwrap_or_default();
    if seconds > WAIT_SECONDS_MAX {
        let message = format!("must be between 0 and {WAIT_SECONDS_MAX}");
        return Err(Refusal::field("wait", message).into());
    }
    let wait = Duration::from_secs(seconds);
    // Not the path but the session names the booking; the query that looks it up names its owner.
    let details = sessions::verify(&app, &body.session_id, &user.id, wait).await?;
    Ok(Json(VerifiedPayment {
        status: details.booking.status,
        booking: BookingView::at(details, app.now()),
    }))
}
