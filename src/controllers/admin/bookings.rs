//! Bookings, as admins see to them.

use std::cmp::Reverse;
use std::collections::HashMap;

use axum::extract::State;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::views::{
    BookingOverview, CustomersBooking, DisputeView, FailedPaymentView, RefundView, Timeline,
    TimelineItemView,
};
use crate::app::{App, AppState};
use crate::connection::Connection;
use crate::controllers::{BookingView, PaymentView};
use crate::domain::audit::AdminAction;
use crate::domain::booking::{BookingDetails, BookingStatus};
use crate::domain::ids::{BookingId, ShowId};
use crate::domain::refusal::Refusal;
use crate::domain::timeline::TimelineItem;
use crate::domain::user::{Customer, UserId};
use crate::error::{Error, Result};
use crate::http::acting_admin::ActingAdmin;
use crate::http::extract::{Json, Path, Query};
use crate::http::identity::Admin;
use crate::http::paging::{Limit, Page, read_cursor};
use crate::repositories::bookings::{self, Filter};
use crate::repositories::{
    audit_log, booking_events, disputes, failed_payments, jobs, payment_events, payments, refunds,
    users,
};
use crate::workflows::sessions;

/// What is shown of a booking of each kind: payments, refunds, what has happened. There are seldom
/// more than ten.
const SHOWN_MAX: i64 = 200;

/// Which bookings are listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SearchBookings {
    status: Option<BookingStatus>,
    /// The beginning of a reference, or a part of the customer's mail address or name.
    q: Option<String>,
    show_id: Option<ShowId>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// Bookings of all customers, newest first.
#[utoipa::path(
    get, path = "/api/admin/bookings", params(SearchBookings),
    responses((status = 200, body = Page<CustomersBooking>)),
)]
pub async fn search_bookings(
    State(app): State<AppState>,
    _: Admin,
    Query(query): Query<SearchBookings>,
) -> Result<Json<Page<CustomersBooking>>> {
    let limit = Limit::of(query.limit)?;
    let filter = Filter {
        user_id: None,
        status: query.status,
        show_id: query.show_id,
        text: query.q,
        before: read_cursor(query.cursor.as_deref(), |text| text.parse().ok())?,
    };
    let mut db = app.pools.reporting.acquire().await?;
    let found = bookings::list(&mut db, &filter, limit.fetch()).await?;
    let page = limit.page(found, |details| details.booking.id.to_string());
    let of_customers = with_customers(&app, &mut db, page.items).await?;
    Ok(Json(Page {
        items: of_customers,
        next_cursor: page.next_cursor,
    }))
}

/// A booking with its customer, its payments and tries to pay, its refunds and its disputes.
#[utoipa::path(
    get, path = "/api/admin/bookings/{id}", params(("id" = BookingId, Path)),
    responses((status = 200, body = BookingOverview), (status = 404, description = "`not_found`")),
)]
pub async fn find_booking_overview(
    State(app): State<AppState>,
    _: Admin,
    Path(id): Path<BookingId>,
) -> Result<Json<BookingOverview>> {
    let mut db = app.pools.reporting.acquire().await?;
    let details = find(&mut db, id).await?;
    let of_booking = payments::Filter {
        booking_id: Some(id),
        ..payments::Filter::default()
    };
    let payments = payments::list(&mut db, &of_booking, SHOWN_MAX).await?;
    let refunds = refunds::list_of_booking(&mut db, id, SHOWN_MAX).await?;
    let disputes = disputes::list_of_booking(&mut db, id, SHOWN_MAX).await?;
    let failed = failed_payments::list_of_booking(&mut db, id, SHOWN_MAX).await?;
    let buyers_details = bookings::find_buyers_details(&mut db, id).await?;
    let booking = with_customers(&app, &mut db, vec![details]).await?;
    let booking = booking.into_iter().next();
    Ok(Json(BookingOverview {
        booking: booking.ok_or_else(|| Error::fault("a booking was lost on its way"))?,
        details: buyers_details,
        payments: payments.into_iter().map(PaymentView::from).collect(),
        refunds: refunds.into_iter().map(RefundView::from).collect(),
        disputes: disputes.into_iter().map(DisputeView::from).collect(),
        failed_payments: failed.into_iter().map(FailedPaymentView::from).collect(),
    }))
}

/// What has happened to a booking, what Stripe has said of it, and which work on it has failed, in
/// sentences, newest first.
#[utoipa::path(
    get, path = "/api/admin/bookings/{id}/timeline", params(("id" = BookingId, Path)),
    responses((status = 200, body = Timeline), (status = 404, description = "`not_found`")),
)]
pub async fn find_booking_timeline(
    State(app): State<AppState>,
    _: Admin,
    Path(id): Path<BookingId>,
) -> Result<Json<Timeline>> {
    let mut db = app.pools.reporting.acquire().await?;
    let details = find(&mut db, id).await?;
    let zone = details.timezone().and_then(|name| name.parse().ok());
    let zone = zone.unwrap_or(Tz::UTC);
    let happened = booking_events::list(&mut db, id, SHOWN_MAX).await?;
    let reported = payment_events::list_of_booking(&mut db, id, SHOWN_MAX).await?;
    let troubled = jobs::list_troubled(&mut db, id, SHOWN_MAX).await?;
    let happened = happened
        .iter()
        .map(|recorded| TimelineItem::of_booking(&recorded.event, recorded.at, zone));
    let reported = reported.iter().map(TimelineItem::of_stripe);
    let troubled = troubled.iter().map(TimelineItem::of_job);
    let mut items: Vec<_> = happened.chain(reported).chain(troubled).collect();
    // What became of a report comes after it: both bear the time of the transaction.
    items.sort_by_key(|item| Reverse(item.at));
    Ok(Json(Timeline {
        items: items.into_iter().map(TimelineItemView::from).collect(),
    }))
}

async fn find(db: &mut Connection, id: BookingId) -> Result<BookingDetails> {
    let found = bookings::find(db, id).await?;
    Ok(found.ok_or(Refusal::NotFound("booking"))?)
}

/// Bookings with their customers, in the same order.
async fn with_customers(
    app: &App,
    db: &mut Connection,
    bookings: Vec<BookingDetails>,
) -> Result<Vec<CustomersBooking>> {
    let ids: Vec<_> = bookings
        .iter()
        .map(|details| &details.booking.user_id)
        .collect();
    let customers = users::find_all(db, &ids).await?;
    let customers: HashMap<UserId, Customer> = customers
        .into_iter()
        .map(|customer| (customer.id.clone(), customer))
        .collect();
    let of_customers = bookings.into_iter().map(|details| {
        let customer = customers.get(&details.booking.user_id).cloned();
        let customer = customer.ok_or_else(|| Error::fault("a booking has no customer"))?;
        Ok(CustomersBooking {
            booking: BookingView::of(app, details),
            customer: customer.into(),
        })
    });
    of_customers.collect()
}

/// Nothing has to be said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyBooking {}

/// Where a booking stands after Stripe was asked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedBooking {
    status: BookingStatus,
    booking: BookingView,
    /// Whether what Stripe said has changed anything that is stored of it.
    changed: bool,
}

/// Asks Stripe about every attempt of a booking, now, and settles what it says.
#[utoipa::path(
    post, path = "/api/admin/bookings/{id}/verify", params(("id" = BookingId, Path)),
    request_body = VerifyBooking,
    responses(
        (status = 200, body = VerifiedBooking),
        (status = 404, description = "`not_found`"),
        (status = 502, description = "`payment_provider_error`"),
        (status = 503, description = "`payment_provider_unavailable`"),
    ),
)]
pub async fn verify_booking(
    State(app): State<AppState>,
    admin: ActingAdmin,
    Path(id): Path<BookingId>,
    Json(VerifyBooking {}): Json<VerifyBooking>,
) -> Result<Json<VerifiedBooking>> {
    let mut tx = app.begin().await?;
    let before = find(&mut tx, id).await?;
    let entry = admin.entry(AdminAction::VerifyBooking, id, None);
    audit_log::append(&mut tx, &entry, app.now()).await?;
    app.commit(tx).await?;
    let sessions::VerifiedBooking {
        details,
        is_changed,
    } = sessions::verify_booking(&app, id).await?;
    Ok(Json(VerifiedBooking {
        status: details.booking.status,
        // What an event has changed meanwhile counts, too.
        changed: is_changed || details.booking.version != before.booking.version,
        booking: BookingView::of(&app, details),
    }))
}
