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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attempt::AttemptStatus;
    use crate::domain::capture::tests::capture;
    use crate::domain::checkout::{self, CheckoutReport};
    use crate::domain::checkout_state::tests::{BOOKING_STATUSES, eur, state};

    #[test]
    fn its_money_is_decided_on_as_that_of_its_session_is() {
        for status in BOOKING_STATUSES {
            for attempt_status in [AttemptStatus::Open, AttemptStatus::Paid] {
                for payment_intent_id in ["pi_1", "pi_2"] {
                    let state = state(status, attempt_status);
                    let capture = capture(Some(eur(2_400)), Some(payment_intent_id));
                    let intent = PaymentIntentReport::Succeeded(capture.clone());
                    let session = CheckoutReport::Paid(capture);

                    let decided = decide(&state, &intent);

                    let same = checkout::decide(&state, &session);
                    assert_eq!(decided, same, "{status:?} {attempt_status:?}");
                }
            }
        }
    }
}
