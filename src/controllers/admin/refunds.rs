//! Money that admins give back.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::views::RefundView;
use crate::app::{App, AppState};
use crate::domain::audit::AdminAction;
use crate::domain::ids::{BookingId, PaymentId};
use crate::domain::money::Money;
use crate::domain::refund_request::WantedRefund;
use crate::domain::refusal::Refusal;
use crate::error::{Error, Result};
use crate::http::acting_admin::ActingAdmin;
use crate::http::extract::Path;
use crate::http::idempotency::{Idempotent, Kept, Keyed};
use crate::http::reply::Reply;
use crate::repositories::{audit_log, refunds};
use crate::workflows::refund_requests::{self, RefundRequest};
use crate::workflows::sessions;

/// What is to be given back, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefundPayment {
    /// The newest payment that has so much left if it is absent.
    payment_id: Option<PaymentId>,
    /// All that is left of the payment if it is absent.
    amount: Option<Money>,
    /// 1 to 500 characters.
    reason: String,
    /// Whether the booking is cancelled, and its seats are free again.
    #[serde(default)]
    release_seats: bool,
}

/// Gives a payment of a booking back, or a part of it, in the background. The booking shows how far
/// that has come.
#[utoipa::path(
    post, path = "/api/admin/bookings/{id}/refunds",
    params(("id" = BookingId, Path), Idempotent<RefundPayment>), request_body = RefundPayment,
    responses(
        (status = 202, body = RefundView, headers(("Location" = String))),
        (status = 409, description = "`refund_in_progress`"),
        (status = 422, description = "`refund_exceeds_payment {refundable}`"),
        (status = 502, description = "`payment_provider_error`"),
        (status = 503, description = "`payment_provider_unavailable`"),
    ),
)]
pub async fn refund_payment(
    State(app): State<AppState>,
    admin: ActingAdmin,
    Path(id): Path<BookingId>,
    Idempotent { body, key }: Idempotent<RefundPayment>,
) -> Result<Response> {
    let work = async |keyed: Keyed| {
        body.check()?;
        let request = RefundRequest {
            booking_id: id,
            wanted: WantedRefund {
                payment_id: body.payment_id,
                amount: body.amount,
            },
            reason: &body.reason,
            releases: body.release_seats,
        };
        let refunded = refund(&app, &admin, request, &keyed).await;
        if !sessions::close_if_still_payable(&app, id, &refunded).await? {
            return refunded;
        }
        refund(&app, &admin, request, &keyed).await
    };
    key.respond(&app, work).await
}

/// `StillPayable` while a page of a booking that is to be cancelled is open.
async fn refund(
    app: &App,
    admin: &ActingAdmin,
    request: RefundRequest<'_>,
    keyed: &Keyed,
) -> Result<Kept<RefundView>> {
    let (id, now) = (request.booking_id, app.now());
    let mut tx = app.begin().await?;
    let refund_id = refund_requests::request_refund(&mut tx, request, now).await?;
    let reason = Some(request.reason.to_owned());
    let entry = admin.entry(AdminAction::Refund, id, reason);
    audit_log::append(&mut tx, &entry, now).await?;
    let refund = refunds::find(&mut tx, refund_id).await?;
    let refund = refund.ok_or_else(|| Error::fault("a refund was lost on its way"))?;
    let location = format!("/api/admin/bookings/{id}");
    let reply = Reply::accepted(location, RefundView::from(refund));
    let kept = keyed.keep(&mut tx, reply, now).await?;
    app.commit(tx).await?;
    Ok(kept)
}

impl RefundPayment {
    fn check(&self) -> Result<(), Refusal> {
        super::check_reason(&self.reason)?;
        let Some(amount) = self.amount else {
            return Ok(());
        };
        let error = match amount.price_error() {
            None if amount.amount_minor == 0 => Some("must be more than 0".to_owned()),
            error => error,
        };
        match error {
            Some(message) => Err(Refusal::field("amount.amountMinor", message)),
            None => Ok(()),
        }
    }
}
