//! The endpoints: read the request, call, answer.

pub mod admin;
pub mod bookings;
pub mod cancellation;
pub mod checkout;
pub mod me;
pub mod movies;
pub mod operations;
pub mod payments;
pub mod seat_maps;
pub mod services;
pub mod shows;
pub mod stripe_webhook;
mod views;

// Endpoints do not know each other, but several show the same.
use views::{
    BookingView, FreeSlotView, MethodView, MovieView, PaymentView, PolicyStepView, ServiceView,
    ShowView,
};
