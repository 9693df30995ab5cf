//! Bookings of a user.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tracing::Instrument;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::domain::booking::{
    BookingDetails, BookingKind, BookingStatus, PaymentOption, PaymentStatus,
};
use crate::domain::booking_request::{BookingRequest, Ui};
use crate::domain::ids::{BookingId, ShowId};
use crate::domain::money::Money;
use crate::domain::refusal::Refusal;
use crate::domain::user::{Role, User};
use crate::error::{Error, Result};
use crate::http::extract::{Created, Json, Path, Query};
use crate::http::idempotency::{Idempotent, Keyed};
use crate::http::identity::{CurrentUser, allowed_origin};
use crate::http::paging::{Limit, Page, bad_cursor};
use crate::repositories::bookings::{self, Filter};
use crate::workflows::checkout;
use crate::workflows::settlement::{release, verify};

/// The longest that a buyer waits in one request.
const WAIT_SECONDS_MAX: u64 = 25;
/// The longest reason that is kept.
const REASON_CHARACTERS_MAX: usize = 500;

/// What a buyer asks for. He names no price: prices come from the database.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateBooking {
    #[expect(
        dead_code,
        reason = "there is one kind so far; another one is refused when the request is read"
    )]
    kind: BookableKind,
    show_id: ShowId,
    seats: Vec<String>,
    payment_option: Option<PaymentOption>,
    voucher: Option<String>,
    #[serde(default)]
    ui: Ui,
}

/// What can be booked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum BookableKind {
    /// Seats of a show.
    Show,
}

/// A booking, in the one shape that it has everywhere.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BookingView {
    id: BookingId,
    reference: String,
    kind: BookingKind,
    status: BookingStatus,
    payment_status: PaymentStatus,
    is_paid: bool,
    show: Option<BookedShowView>,
    seats: Vec<String>,
    service: Option<()>,
    slot: Option<()>,
    payment_option: PaymentOption,
    total: Money,
    due_now: Money,
    paid: Money,
    refunded: Money,
    balance: Money,
    checkout: Option<CheckoutView>,
    hold_expires_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    confirmed_at: Option<DateTime<Utc>>,
    cancelled_at: Option<DateTime<Utc>>,
    version: i64,
}

/// The show of a booking.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BookedShowView {
    id: ShowId,
    title: String,
    starts_at: DateTime<Utc>,
    timezone: String,
}

/// How the booking can be paid right now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CheckoutView {
    session_id: String,
    url: Option<String>,
    client_secret: Option<String>,
    expires_at: DateTime<Utc>,
}

impl BookingView {
    /// The booking as it stands at `now`.
    fn at(details: BookingDetails, now: DateTime<Utc>) -> Self {
        let checkout = details.payable(now).cloned();
        let booking = details.booking;
        let nothing = Money::new(0, booking.total.currency);
        Self {
            payment_status: booking.payment_status(),
            is_paid: booking.is_paid(),
            balance: booking.total.checked_sub(booking.paid).unwrap_or(nothing),
            id: booking.id,
            reference: booking.reference,
            kind: booking.kind,
            status: booking.status,
            show: details.show.map(|show| BookedShowView {
                id: show.id,
                title: show.title,
                starts_at: show.starts_at,
                timezone: show.timezone,
            }),
            seats: booking.seats,
            service: None,
            slot: None,
            payment_option: booking.payment_option,
            total: booking.total,
            due_now: booking.due,
            paid: booking.paid,
            refunded: nothing,
            checkout: checkout.map(|checkout| CheckoutView {
                session_id: checkout.session_id,
                url: checkout.url,
                client_secret: checkout.client_secret,
                expires_at: checkout.expires_at,
            }),
            hold_expires_at: booking.hold_expires_at,
            created_at: booking.created_at,
            confirmed_at: booking.confirmed_at,
            cancelled_at: booking.cancelled_at,
            version: booking.version,
        }
    }
}

impl CreateBooking {
    /// What the buyer wants, checked as far as it can be without the show.
    fn wish(self, user: User, origin: String) -> Result<BookingRequest, Refusal> {
        if self.voucher.is_some() {
            // There are no vouchers yet, so none can be used.
            return Err(Refusal::VoucherInvalid);
        }
        if self.payment_option == Some(PaymentOption::Half) {
            return Err(Refusal::field(
                "paymentOption",
                "must be full: seats are paid in full",
            ));
        }
        let labels: BTreeSet<&String> = self.seats.iter().collect();
        if labels.is_empty() || labels.len() < self.seats.len() {
            return Err(Refusal::field(
                "seats",
                "must name at least one seat, and each seat once",
            ));
        }
        Ok(BookingRequest {
            user,
            show_id: self.show_id,
            seats: self.seats,
            ui: self.ui,
            origin,
            key: None,
        })
    }
}

/// Holds seats and opens the payment page for them.
#[utoipa::path(
    post, path = "/api/bookings", request_body = CreateBooking,
    responses((status = 201, body = BookingView, headers(("Location" = String)))),
)]
pub async fn create_booking(
    State(app): State<AppState>,
    CurrentUser(user): CurrentUser,
    headers: HeaderMap,
    Idempotent { body, key }: Idempotent<CreateBooking>,
) -> Result<Response> {
    let first = app
        .config
        .app_origins
        .first()
        .map(String::as_str)
        .unwrap_or_default();
    let origin = allowed_origin(&app, &headers).unwrap_or(first).to_owned();
    let work = async |keyed: Keyed| {
        let wish = BookingRequest {
            key: keyed.using,
            ..body.wish(user, origin)?
        };
        // In a task of its own: a caller who hangs up must not stop the work between two steps.
        let task_app = AppState::clone(&app);
        let booked = async move {
            if let Some(id) = keyed.begun {
                // In a box: few take this way, and each waits with room for it.
                let resumed = Box::pin(checkout::resume(&task_app, id)).await?;
                // What has ended in the meantime is no answer to who still wants his seats.
                if resumed.booking.status.is_live() {
                    return Ok(resumed);
                }
            }
            checkout::book_seats(&task_app, &wish).await
        };
        let task = tokio::spawn(booked.in_current_span());
        let details = task
            .await
            .map_err(|error| Error::fault(format!("a booking broke off: {error}")))??;
        let location = format!("/api/bookings/{}", details.booking.id);
        Ok(Created {
            location,
            resource: BookingView::at(details, app.now()),
        })
    };
    key.answer(&app, work).await
}

/// Which of his bookings a user wants to see.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListBookings {
    status: Option<BookingStatus>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// The caller's own bookings, newest first.
#[utoipa::path(get, path = "/api/bookings", params(ListBookings), responses((status = 200, body = Page<BookingView>)))]
pub async fn list_bookings(
    State(app): State<AppState>,
    CurrentUser(user): CurrentUser,
    Query(query): Query<ListBookings>,
) -> Result<Json<Page<BookingView>>> {
    let limit = Limit::of(query.limit)?;
    let before = query
        .cursor
        .map(|cursor| cursor.parse().map_err(|_| bad_cursor()))
        .transpose()?;
    let filter = Filter {
        user_id: user.id,
        status: query.status,
        before,
    };
    let found = bookings::list(
        &mut *app.pools.reporting.acquire().await?,
        &filter,
        limit.fetch(),
    )
    .await?;
    let now = app.now();
    let page = limit.page(found, |details| details.booking.id.to_string());
    Ok(Json(page.map(|details| BookingView::at(details, now))))
}

/// A booking of the caller's own, or any booking for an admin. Somebody else's reads as 404.
#[utoipa::path(get, path = "/api/bookings/{id}", params(("id" = BookingId, Path)), responses((status = 200, body = BookingView)))]
pub async fn find_booking(
    State(app): State<AppState>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<BookingId>,
) -> Result<Json<BookingView>> {
    let details = owned(&app, &user, id).await?;
    Ok(Json(BookingView::at(details, app.now())))
}

/// How the buyer wants to go on paying.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReopenCheckout {
    #[expect(
        dead_code,
        reason = "there is one part so far; another one is refused when the request is read"
    )]
    part: Option<PayablePart>,
    #[expect(
        dead_code,
        reason = "the open page is given as it is, wherever it is shown"
    )]
    ui: Option<Ui>,
}

/// What can be paid of a booking of seats.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum PayablePart {
    /// All of it.
    Full,
}

/// The payment page of a pending booking again. Two who ask at once get the same.
#[utoipa::path(
    post, path = "/api/bookings/{id}/checkout", params(("id" = BookingId, Path)), request_body = ReopenCheckout,
    responses((status = 200, body = BookingView)),
)]
pub async fn reopen_checkout(
    State(app): State<AppState>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<BookingId>,
    Json(_): Json<ReopenCheckout>,
) -> Result<Json<BookingView>> {
    let details = checkout::reopen(&app, id, &user.id).await?;
    Ok(Json(BookingView::at(details, app.now())))
}

/// Why, and as of which version, a booking is called off.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelBooking {
    version: Option<i64>,
    reason: Option<String>,
}

/// Calls off a booking that has not been paid. Its seats are free as soon as Stripe has closed the
/// payment page; if the buyer has paid in the meantime, he keeps them.
#[utoipa::path(
    post, path = "/api/bookings/{id}/cancel", params(("id" = BookingId, Path)), request_body = CancelBooking,
    responses((status = 200, body = BookingView)),
)]
pub async fn cancel_booking(
    State(app): State<AppState>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<BookingId>,
    Json(body): Json<CancelBooking>,
) -> Result<Json<BookingView>> {
    if body
        .reason
        .as_ref()
        .is_some_and(|reason| reason.chars().count() > REASON_CHARACTERS_MAX)
    {
        let message = format!("must have at most {REASON_CHARACTERS_MAX} characters");
        return Err(Refusal::field("reason", message).into());
    }
    let before = owned(&app, &user, id).await?.booking.status;
    let cancelled = match before {
        BookingStatus::Pending => {
            release::cancel(&app, (id, body.version), body.reason.as_deref()).await?
        }
        status => Some(status),
    };
    // Where it was not pending any more, or at another version, it has gone on in the meantime.
    let after = owned(&app, &user, id).await?;
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
            Ok(Json(BookingView::at(after, app.now())))
        }
    }
}

/// Which session the buyer comes back from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifyPayment {
    session_id: String,
}

/// How long the buyer waits.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifyWait {
    wait: Option<u64>,
}

/// Where the booking of a session stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedPayment {
    status: BookingStatus,
    booking: BookingView,
}

/// Waits until the booking of a session is settled, and asks Stripe itself when we have not heard
/// of it.
#[utoipa::path(
    post, path = "/api/payments/verify", params(VerifyWait), request_body = VerifyPayment,
    responses((status = 200, body = VerifiedPayment)),
)]
pub async fn verify_payment(
    State(app): State<AppState>,
    CurrentUser(user): CurrentUser,
    Query(query): Query<VerifyWait>,
    Json(body): Json<VerifyPayment>,
) -> Result<Json<VerifiedPayment>> {
    let seconds = query.wait.unwrap_or_default();
    if seconds > WAIT_SECONDS_MAX {
        return Err(
            Refusal::field("wait", format!("must be between 0 and {WAIT_SECONDS_MAX}")).into(),
        );
    }
    let details = verify::verify(
        &app,
        &body.session_id,
        &user.id,
        Duration::from_secs(seconds),
    )
    .await?;
    let booking = BookingView::at(details, app.now());
    Ok(Json(VerifiedPayment {
        status: booking.status,
        booking,
    }))
}

/// A booking of the caller's own, or any booking for an admin.
async fn owned(app: &AppState, user: &User, id: BookingId) -> Result<BookingDetails> {
    let found = bookings::find(&mut *app.acquire().await?, id).await?;
    let may_see =
        |details: &BookingDetails| user.role == Role::Admin || details.booking.user_id == user.id;
    Ok(found.filter(may_see).ok_or(Refusal::NotFound("booking"))?)
}
