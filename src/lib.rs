//! Holdfast, a booking backend with Stripe Checkout: a seat is never sold twice, a payment is never lost.

#[cfg(feature = "dev")]
pub mod dev;
