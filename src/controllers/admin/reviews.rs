//! Bookings that wait for an admin to decide.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::{App, AppState};
use crate::controllers::BookingView;
use crate::domain::audit::AdminAction;
use crate::domain::ids::BookingId;
use crate::domain::refusal::Refusal;
use crate::domain::resolution::Resolution;
use crate::error::Result;
use crate::http::acting_admin::ActingAdmin;
use crate::http::extract::Path;
use crate::http::idempotency::{Idempotent, Kept, Keyed};
use crate::http::reply::Reply;
use crate::repositories::{audit_log, bookings};
use crate::settlement::{self, ReviewDecision};
use crate::workflows::sessions;

/// What becomes of a booking under review, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResolveBooking {
    action: Resolution,
    /// 1 to 500 characters.
    reason: String,
}

/// Decides about a booking under review: it is confirmed for the money that came, or cancelled.
/// What is not accepted goes back in the background.
#[utoipa::path(
    post, path = "/api/admin/bookings/{id}/resolve",
    params(("id" = BookingId, Path), Idempotent<ResolveBooking>), request_body = ResolveBooking,
    responses(
        (status = 200, body = BookingView),
        (status = 409, description = "`booking_not_payable {bookingStatus}`"),
        (status = 502, description = "`payment_provider_error`"),
        (status = 503, description = "`payment_provider_unavailable`"),
    ),
)]
pub async fn resolve_booking(
    State(app): State<AppState>,
    admin: ActingAdmin,
    Path(id): Path<BookingId>,
    Idempotent { body, key }: Idempotent<ResolveBooking>,
) -> Result<Response> {
    let work = async |keyed: Keyed| {
        super::check_reason(&body.reason)?;
        let decision = ReviewDecision {
            booking_id: id,
            resolution: body.action,
            reason: &body.reason,
        };
        let resolved = resolve(&app, &admin, decision, &keyed).await;
        if !sessions::close_if_still_payable(&app, id, &resolved).await? {
            return resolved;
        }
        resolve(&app, &admin, decision, &keyed).await
    };
    key.respond(&app, work).await
}

/// `StillPayable` while a page of a booking that is to be cancelled is open.
async fn resolve(
    app: &App,
    admin: &ActingAdmin,
    decision: ReviewDecision<'_>,
    keyed: &Keyed,
) -> Result<Kept<BookingView>> {
    let (id, now) = (decision.booking_id, app.now());
    let mut tx = app.begin().await?;
    settlement::resolve_review(&mut tx, decision, now).await?;
    let reason = Some(decision.reason.to_owned());
    let entry = admin.entry(AdminAction::ResolveReview, id, reason);
    audit_log::append(&mut tx, &entry, now).await?;
    let resolved = bookings::find(&mut tx, id).await?;
    let resolved = resolved.ok_or(Refusal::NotFound("booking"))?;
    let reply = Reply::ok(BookingView::of(app, resolved));
    let kept = keyed.keep(&mut tx, reply, now).await?;
    app.commit(tx).await?;
    Ok(kept)
}
