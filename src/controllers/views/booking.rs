//! A booking, with what is shown beside it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::attempt::OpenCheckout;
use crate::domain::booking::{
    BookedMovie, BookedService, BookedShow, BookingDetails, BookingKind, BookingStatus,
    PaymentOption, PaymentStatus, ReservedSlot,
};
use crate::domain::ids::{BookingId, MovieId, ServiceId, ShowId};
use crate::domain::money::Money;

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
    service: Option<BookedServiceView>,
    slot: Option<BookedSlotView>,
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
    movie: Option<BookedMovieView>,
}

/// The film of a booking's show.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BookedMovieView {
    id: MovieId,
    title: String,
    poster_url: Option<String>,
    runtime_minutes: Option<i32>,
}

/// The service of a booking.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BookedServiceView {
    id: ServiceId,
    slug: String,
    title: String,
    timezone: String,
}

/// The slot of a booking.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BookedSlotView {
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    hours: i64,
    /// Whose time it is.
    resource: String,
}

/// How the booking can be paid right now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CheckoutView {
    session_id: String,
    url: Option<String>,
    client_secret: Option<String>,
    /// The key with which a front end shows the page of a `clientSecret`, where Holdfast has one;
    /// only there.
    #[serde(skip_serializing_if = "Option::is_none")]
    publishable_key: Option<String>,
    expires_at: DateTime<Utc>,
}

impl BookingView {
    /// The booking as it stands now.
    pub(crate) fn of(app: &App, details: BookingDetails) -> Self {
        let checkout = details.payable_checkout(app.now()).cloned();
        let key = app.config.stripe.publishable_key.as_ref();
        let booking = details.booking;
        let slot = booking.reservation.slot().zip(details.service.clone());
        Self {
            payment_status: booking.payment_status(),
            is_paid: booking.is_paid(),
            balance: booking.balance(),
            id: booking.id,
            reference: booking.reference,
            kind: booking.reservation.kind(),
            status: booking.status,
            show: details.show.map(BookedShowView::from),
            seats: booking
                .reservation
                .seats()
                .map(|seats| seats.labels.clone())
                .unwrap_or_default(),
            slot: slot.map(|(slot, service)| BookedSlotView::of(slot, &service)),
            service: details.service.map(BookedServiceView::from),
            payment_option: booking.payment_option,
            total: booking.total,
            due_now: booking.due,
            paid: booking.paid,
            refunded: booking.refunded,
            checkout: checkout.map(|checkout| CheckoutView::of(checkout, key.cloned())),
            hold_expires_at: booking.hold_expires_at,
            created_at: booking.created_at,
            confirmed_at: booking.confirmed_at,
            cancelled_at: booking.cancelled_at,
            version: booking.version,
        }
    }
}

impl BookedSlotView {
    fn of(slot: &ReservedSlot, service: &BookedService) -> Self {
        Self {
            starts_at: slot.starts_at,
            ends_at: slot.ends_at,
            hours: slot.hours(),
            resource: service.resource.clone(),
        }
    }
}

impl From<BookedService> for BookedServiceView {
    fn from(service: BookedService) -> Self {
        Self {
            id: service.id,
            slug: service.slug,
            title: service.title,
            timezone: service.timezone,
        }
    }
}

impl From<BookedShow> for BookedShowView {
    fn from(show: BookedShow) -> Self {
        Self {
            id: show.id,
            title: show.title,
            starts_at: show.starts_at,
            timezone: show.timezone,
            movie: show.movie.map(BookedMovieView::from),
        }
    }
}

impl From<BookedMovie> for BookedMovieView {
    fn from(movie: BookedMovie) -> Self {
        Self {
            id: movie.id,
            title: movie.title,
            poster_url: movie.poster_url,
            runtime_minutes: movie.runtime_minutes,
        }
    }
}

impl CheckoutView {
    fn of(checkout: OpenCheckout, publishable_key: Option<String>) -> Self {
        Self {
            session_id: checkout.session_id,
            url: checkout.url,
            publishable_key: publishable_key.filter(|_| checkout.client_secret.is_some()),
            client_secret: checkout.client_secret,
            expires_at: checkout.expires_at,
        }
    }
}
