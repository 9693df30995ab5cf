//! Bookings: making one, and looking at one's own.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use tracing::Instrument;
use utoipa::ToSchema;

use super::BookingView;
use crate::app::{App, AppState};
use crate::domain::attempt::Ui;
use crate::domain::booking::{
    BookingDetails, BookingStatus, PaymentOption, Reservation, ReservedSeats,
};
use crate::domain::booking_request::BookingRequest;
use crate::domain::ids::{BookingId, ShowId};
use crate::domain::refusal::Refusal;
use crate::domain::user::User;
use crate::error::{Error, Result};
use crate::http::booking_access::AnyBooking;
use crate::http::extract::{Json, Query};
use crate::http::idempotency::{Idempotent, Kept, Keyed};
use crate::http::identity::{CurrentUser, allowed_origin};
use crate::http::paging::{Limit, Page, read_cursor};
use crate::http::reply::Reply;
use crate::repositories::bookings::{self, Filter};
use crate::workflows::checkout;

/// What a buyer asks for. It names no price: prices come from the database.
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

/// Holds seats and opens the payment page for them.
#[utoipa::path(
    post, path = "/api/bookings",
    params(Idempotent<CreateBooking>), request_body = CreateBooking,
    responses(
        (status = 201, body = BookingView, headers(("Location" = String))),
        (status = 404, description = "`not_found`"),
        (status = 409, description = "`seat_unavailable {seats, ownBooking?}`, `show_closed`"),
        (
            status = 422,
            description = "`too_many_seats {maximum}`, `unknown_seat {seats}`, \
                           `amount_too_small {minimum}`, `voucher_invalid`"
        ),
        (status = 502, description = "`payment_provider_error`"),
        (status = 503, description = "`payment_provider_unavailable`"),
    ),
)]
pub async fn create_booking(
    State(app): State<AppState>,
    CurrentUser(user): CurrentUser,
    headers: HeaderMap,
    Idempotent { body, key }: Idempotent<CreateBooking>,
) -> Result<Response> {
    let origin = buyers_origin(&app, &headers).to_owned();
    let work = async |keyed: Keyed| {
        let request = BookingRequest {
            key: keyed.key,
            ..body.request(user, origin)?
        };
        let booked = book(AppState::clone(&app), request, keyed.begun);
        // In a task of its own: a caller who hangs up must not stop the work between two steps.
        let task = tokio::spawn(booked.in_current_span());
        let details = task
            .await
            .map_err(|error| Error::fault(format!("a booking broke off: {error}")))??;
        let location = format!("/api/bookings/{}", details.booking.id);
        let view = BookingView::at(details, app.now());
        Ok(Kept::claimed(Reply::created(location, view)))
    };
    key.respond(&app, work).await
}

/// The front end that the buyer comes from, or the first where the request does not say.
fn buyers_origin<'a>(app: &'a App, headers: &HeaderMap) -> &'a str {
    let first = || app.config.app_origins.first().map(String::as_str);
    allowed_origin(app, headers)
        .or_else(first)
        .unwrap_or_default()
}

async fn book(
    app: AppState,
    request: BookingRequest,
    begun: Option<BookingId>,
) -> Result<BookingDetails> {
    if let Some(id) = begun {
        // In a box: few take this way, and each waits with room for it.
        let resumed = Box::pin(checkout::resume(&app, id)).await?;
        // One that has ended in the meantime is of no use to a buyer who still wants the seats.
        if resumed.booking.status.is_live() {
            return Ok(resumed);
        }
    }
    checkout::book(&app, &request).await
}

impl CreateBooking {
    /// The request, checked as far as it can be without the show.
    fn request(self, user: User, origin: String) -> Result<BookingRequest, Refusal> {
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
            reservation: Reservation::Seats(ReservedSeats {
                show_id: self.show_id,
                labels: self.seats,
            }),
            ui: self.ui,
            origin,
            key: None,
        })
    }
}

/// Which of the caller's bookings are listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListBookings {
    status: Option<BookingStatus>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// The caller's own bookings, newest first.
#[utoipa::path(
    get, path = "/api/bookings", params(ListBookings),
    responses((status = 200, body = Page<BookingView>)),
)]
pub async fn list_bookings(
    State(app): State<AppState>,
    CurrentUser(user): CurrentUser,
    Query(query): Query<ListBookings>,
) -> Result<Json<Page<BookingView>>> {
    let limit = Limit::of(query.limit)?;
    let before = read_cursor(query.cursor.as_deref(), |text| text.parse().ok())?;
    let filter = Filter {
        user_id: Some(user.id),
        status: query.status,
        before,
        ..Filter::default()
    };
    let found = bookings::list(
        &mut app.pools.reporting.acquire().await?,
        &filter,
        limit.fetch(),
    )
    .await?;
    let now = app.now();
    let page = limit.page(found, |details| details.booking.id.to_string());
    Ok(Json(page.map(|details| BookingView::at(details, now))))
}

/// A booking of the caller's own, or any booking for an admin.
#[utoipa::path(
    get, path = "/api/bookings/{id}", params(("id" = BookingId, Path)),
    responses((status = 200, body = BookingView)),
)]
pub async fn find_booking(
    State(app): State<AppState>,
    AnyBooking(access): AnyBooking,
) -> Json<BookingView> {
    Json(BookingView::at(access.details, app.now()))
}
