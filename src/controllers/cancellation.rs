//! Calling off a booking.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::BookingView;
use crate::app::{App, AppState};
use crate::domain::attempt::PaymentPart;
use crate::domain::audit::{AdminAction, NewAuditEntry};
use crate::domain::booking::{BookingDetails, BookingStatus};
use crate::domain::cancellation::PartRefund;
use crate::domain::cancelled_by::CancelledBy;
use crate::domain::ids::{BookingId, PaymentId};
use crate::domain::money::Money;
use crate::domain::refusal::Refusal;
use crate::error::{Error, Result};
use crate::http::booking_access::{AccessedBy, AnyBooking, OwnBooking};
use crate::http::extract::Json;
use crate::http::idempotency::{Idempotent, Kept, Keyed};
use crate::http::reply::Reply;
use crate::repositories::cancellations::Cancellation;
use crate::repositories::{audit_log, bookings};
use crate::workflows::{cancellation, sessions};

const REASON_CHARACTERS_MAX: usize = 500;

/// What the buyer gets back who cancels now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancellationView {
    booking_id: BookingId,
    /// Of what was paid, by the step of the policy that counts now.
    refund_percent: u8,
    /// The sum of what goes back; what goes back already is not in it.
    refund: Money,
    /// Newest first.
    payments: Vec<PartRefundView>,
    /// To be named when the booking is cancelled, so that it is at this price.
    version: i64,
}

/// What goes back of one payment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PartRefundView {
    payment_id: PaymentId,
    part: PaymentPart,
    paid: Money,
    refund: Money,
}

/// What goes back if the booking is cancelled now; for who names its version, also if they cancel
/// within five minutes.
#[utoipa::path(
    get, path = "/api/bookings/{id}/cancellation", params(("id" = BookingId, Path)),
    responses(
        (status = 200, body = CancellationView),
        (status = 409, description = "`already_paid`: a bank or a person has to decide first"),
        (status = 422, description = "`outside_policy`: it has begun"),
    ),
)]
pub async fn preview_cancellation(
    State(app): State<AppState>,
    OwnBooking(details): OwnBooking,
) -> Result<Json<CancellationView>> {
    let booking_id = details.booking.id;
    let mut db = app.acquire().await?;
    let (quote, version) = cancellation::preview(&mut db, booking_id, app.now()).await?;
    let payments = quote.payments.into_iter();
    Ok(Json(CancellationView {
        booking_id,
        refund_percent: quote.refund_percent,
        refund: quote.refund,
        payments: payments.map(PartRefundView::from).collect(),
        version,
    }))
}

/// Why, and as of which version, a booking is called off.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelBooking {
    version: Option<i64>,
    /// At most 500 characters.
    reason: Option<String>,
}

/// Calls off a booking. One that is paid is cancelled at once, and what its policy gives back goes
/// back in the background. The seats of one that is not are free as soon as Stripe has closed the
/// payment page; a buyer who has paid in the meantime keeps them.
#[utoipa::path(
    post, path = "/api/bookings/{id}/cancel",
    params(("id" = BookingId, Path), Idempotent<CancelBooking>), request_body = CancelBooking,
    responses(
        (status = 200, body = BookingView),
        (status = 409, description = "`already_paid`, `version_conflict {version}`"),
        (status = 422, description = "`outside_policy`: it has begun"),
        (status = 502, description = "`payment_provider_error`"),
        (status = 503, description = "`payment_provider_unavailable`"),
    ),
)]
pub async fn cancel_booking(
    State(app): State<AppState>,
    AnyBooking(before): AnyBooking,
    Idempotent { body, key }: Idempotent<CancelBooking>,
) -> Result<Response> {
    let booking = before.details.booking;
    let work = async |keyed: Keyed| {
        body.check()?;
        let (by, entry) = match &before.by {
            AccessedBy::Owner(_) => (CancelledBy::Buyer, None),
            AccessedBy::Admin(admin) => {
                let (action, reason) = (AdminAction::CancelBooking, body.reason.clone());
                let entry = admin.entry(action, booking.id, reason);
                (CancelledBy::Admin, Some(entry))
            }
        };
        let cancelling = Cancelling {
            cancellation: Cancellation {
                booking_id: booking.id,
                by,
                version: body.version,
                reason: body.reason.as_deref(),
            },
            entry,
            keyed,
        };
        match booking.status {
            BookingStatus::Pending => cancel_pending(&app, cancelling).await,
            BookingStatus::Confirmed
            | BookingStatus::Processing
            | BookingStatus::Review
            | BookingStatus::Expired
            | BookingStatus::Cancelled
            | BookingStatus::Failed => cancel_other(&app, cancelling).await,
        }
    };
    key.respond(&app, work).await
}

/// What is to be done, and kept of it.
struct Cancelling<'a> {
    cancellation: Cancellation<'a>,
    /// For the audit log, if an admin does it.
    entry: Option<NewAuditEntry>,
    keyed: Keyed,
}

async fn cancel_pending(app: &App, cancelling: Cancelling<'_>) -> Result<Kept<BookingView>> {
    let (cancellation, entry) = (cancelling.cancellation, cancelling.entry.as_ref());
    let cancelled = sessions::cancel(app, cancellation, entry).await?;
    let mut tx = app.begin().await?;
    // Where it was not pending any more, or at another version, it has gone on in the meantime.
    let after = bookings::find(&mut tx, cancellation.booking_id).await?;
    let after = after.ok_or(Refusal::NotFound("booking"))?;
    if after.booking.status == BookingStatus::Pending {
        let version = after.booking.version;
        return Err(match cancelled {
            None => Refusal::VersionConflict { version }.into(),
            Some(_) => Error::ProviderUnavailable("the payment page is still open".to_owned()),
        });
    }
    let reply = reply(app, after)?;
    let kept = cancelling.keyed.keep(&mut tx, reply, app.now()).await?;
    app.commit(tx).await?;
    Ok(kept)
}

async fn cancel_other(app: &App, cancelling: Cancelling<'_>) -> Result<Kept<BookingView>> {
    let cancelled = cancel_at_once(app, &cancelling).await;
    let id = cancelling.cancellation.booking_id;
    if !sessions::close_if_still_payable(app, id, &cancelled).await? {
        return cancelled;
    }
    cancel_at_once(app, &cancelling).await
}

/// `StillPayable` while a page of the booking is open.
async fn cancel_at_once(app: &App, cancelling: &Cancelling<'_>) -> Result<Kept<BookingView>> {
    let (cancellation, now) = (cancelling.cancellation, app.now());
    let mut tx = app.begin().await?;
    let is_cancelled = cancellation::cancel_confirmed(&mut tx, cancellation, now).await?;
    if let Some(entry) = cancelling.entry.as_ref().filter(|_| is_cancelled) {
        audit_log::append(&mut tx, entry, now).await?;
    }
    let after = bookings::find(&mut tx, cancellation.booking_id).await?;
    let reply = reply(app, after.ok_or(Refusal::NotFound("booking"))?)?;
    let kept = cancelling.keyed.keep(&mut tx, reply, now).await?;
    app.commit(tx).await?;
    Ok(kept)
}

/// A booking that has ended, whoever has ended it.
fn reply(app: &App, after: BookingDetails) -> Result<Reply<BookingView>, Refusal> {
    match after.booking.status {
        BookingStatus::Pending
        | BookingStatus::Confirmed
        | BookingStatus::Processing
        | BookingStatus::Review => Err(Refusal::AlreadyPaid),
        BookingStatus::Expired | BookingStatus::Cancelled | BookingStatus::Failed => {
            Ok(Reply::ok(BookingView::of(app, after)))
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

impl From<PartRefund> for PartRefundView {
    fn from(part: PartRefund) -> Self {
        Self {
            payment_id: part.payment_id,
            part: part.part,
            paid: part.paid,
            refund: part.refund,
        }
    }
}
