//! The endpoints: read the request, call, answer.

pub mod bookings;
pub mod catalogue;
pub mod operations;
pub mod seat_maps;
pub mod stripe_webhook;
