//! Payments: a buyer's own, and what has become of one that they come back from.

use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{BookingView, PaymentView};
use crate::app::AppState;
use crate::domain::booking::BookingStatus;
use crate::domain::refusal::Refusal;
use crate::error::Result;
use crate::http::extract::{Json, Query};
use crate::http::identity::CurrentUser;
use crate::http::paging::{Limit, Page, read_cursor};
use crate::repositories::payments::{self, Filter};
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
/// for the payment: about one session at most once in five seconds, however many ask. In between,
/// our record is the answer, and who waits asks again when they may.
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
        booking: BookingView::of(&app, details),
    }))
}

/// Which of the caller's payments are listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListPayments {
    limit: Option<i64>,
    cursor: Option<String>,
}

/// The caller's own payments, newest first.
#[utoipa::path(
    get, path = "/api/payments", params(ListPayments),
    responses((status = 200, body = Page<PaymentView>)),
)]
pub async fn list_payments(
    State(app): State<AppState>,
    CurrentUser(user): CurrentUser,
    Query(query): Query<ListPayments>,
) -> Result<Json<Page<PaymentView>>> {
    let limit = Limit::of(query.limit)?;
    let before = read_cursor(query.cursor.as_deref(), |text| text.parse().ok())?;
    let filter = Filter {
        user_id: Some(user.id),
        before,
        ..Filter::default()
    };
    let mut db = app.pools.reporting.acquire().await?;
    let found = payments::list(&mut db, &filter, limit.fetch()).await?;
    let page = limit.page(found, |payment| payment.id.to_string());
    Ok(Json(page.map(PaymentView::from)))
}
