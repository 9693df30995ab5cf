//! Bookings: making one, and looking at one's own.

mod body;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use tracing::Instrument;

use super::BookingView;
use crate::app::AppState;
use crate::domain::booking::{BookingDetails, BookingStatus};
use crate::domain::booking_request::BookingRequest;
use crate::domain::ids::BookingId;
use crate::error::{Error, Result};
use crate::http::booking_access::AnyBooking;
use crate::http::extract::{Json, Query};
use crate::http::idempotency::{Idempotent, Kept, Keyed};
use crate::http::identity::{CurrentUser, origin_of};
use crate::http::paging::{Limit, Page, read_cursor};
use crate::http::reply::Reply;
use crate::repositories::bookings::{self, Filter};
use crate::workflows::checkout;
use body::CreateBooking;

/// Holds seats or a slot, and opens the payment page.
#[utoipa::path(
    post, path = "/api/bookings",
    params(Idempotent<CreateBooking>), request_body = CreateBooking,
    responses(
        (status = 201, body = BookingView, headers(("Location" = String))),
        (status = 404, description = "`not_found`"),
        (
            status = 409,
            description = "`seat_unavailable {seats, ownBooking?}`, `slot_unavailable`, \
                           `show_closed`, `too_many_holds {maximum, holds}`"
        ),
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
    let origin = origin_of(&app, &headers).to_owned();
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
        let view = BookingView::of(&app, details);
        Ok(Kept::claimed(Reply::created(location, view)))
    };
    key.respond(&app, work).await
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
    let page = limit.page(found, |details| details.booking.id.to_string());
    Ok(Json(page.map(|details| BookingView::of(&app, details))))
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
    Json(BookingView::of(&app, access.details))
}
