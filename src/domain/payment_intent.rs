//! What becomes of a booking when Stripe reports on a PaymentIntent.

use super::capture::{self, Capture};
use super::checkout_state::{CheckoutDecision, CheckoutState};

/// What Stripe says of a PaymentIntent that one of our attempts has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentIntentReport {
    /// The money has been captured. It brings the same money as the session's report, should that
    /// be lost or late.
    Succeeded(Capture),
}

/// Decides what a report means for the booking of its attempt.
pub fn decide(state: &CheckoutState, report: &PaymentIntentReport) -> CheckoutDecision {
    match report {
        PaymentIntentReport::Succeeded(capture) => capture::decide(state, capture),
    }
}
