//! What becomes of a booking when Stripe reports on one of its Checkout Sessions.

use super::attempt::AttemptStatus;
use super::booking::BookingStatus;
use super::capture::{self, Capture};
use super::checkout_state::{CheckoutDecision, CheckoutState, Ending};

/// What Stripe says of a Checkout Session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckoutReport {
    /// It is complete, and the money has been captured.
    Paid(Capture),
    /// The buyer has finished, but their method settles in days: no money yet.
    AwaitingFunds,
    /// The delayed payment did not come.
    PaymentFailed,
    /// It can no longer be paid.
    Expired,
    /// Stripe refuses to make it, so there is none.
    Refused,
}

/// Decides what a report means for a booking that stands so. The same report again changes nothing.
pub fn decide(state: &CheckoutState, report: &CheckoutReport) -> CheckoutDecision {
    use AttemptStatus as Attempt;
    use CheckoutDecision::NoChange;
    match (report, state.attempt_status) {
        (CheckoutReport::Paid(capture), _) => capture::decide(state, capture),
        (_, Attempt::Paid) => NoChange("the attempt was paid before"),
        (CheckoutReport::AwaitingFunds, Attempt::Creating | Attempt::Open) => match state.status {
            BookingStatus::Pending => CheckoutDecision::AwaitFunds,
            BookingStatus::Processing
            | BookingStatus::Confirmed
            | BookingStatus::Expired
            | BookingStatus::Cancelled
            | BookingStatus::Failed
            | BookingStatus::Review => NoChange("the booking does not wait for a payment"),
        },
        (
            CheckoutReport::AwaitingFunds,
            Attempt::Processing | Attempt::Expired | Attempt::Failed,
        ) => NoChange("the attempt does not wait for a buyer"),
        (
            CheckoutReport::PaymentFailed,
            Attempt::Creating | Attempt::Open | Attempt::Processing,
        ) => end(state, Ending::Failed),
        (CheckoutReport::Expired | CheckoutReport::Refused, Attempt::Creating | Attempt::Open)
            if state.cancel_requested =>
        {
            end(state, Ending::Cancelled)
        }
        (CheckoutReport::Expired, Attempt::Creating | Attempt::Open) => end(state, Ending::Expired),
        (CheckoutReport::Refused, Attempt::Creating) => end(state, Ending::Failed),
        (CheckoutReport::Refused, Attempt::Open | Attempt::Processing) => {
            NoChange("the attempt has a session by now")
        }
        (CheckoutReport::Expired, Attempt::Processing) => {
            NoChange("the buyer has paid by a delayed method")
        }
        (
            CheckoutReport::PaymentFailed | CheckoutReport::Expired | CheckoutReport::Refused,
            Attempt::Expired | Attempt::Failed,
        ) => NoChange("the attempt had ended before"),
    }
}

fn end(state: &CheckoutState, ending: Ending) -> CheckoutDecision {
    match state.status {
        BookingStatus::Pending | BookingStatus::Processing => CheckoutDecision::EndBooking(ending),
        BookingStatus::Confirmed
        | BookingStatus::Expired
        | BookingStatus::Cancelled
        | BookingStatus::Failed
        | BookingStatus::Review => CheckoutDecision::CloseAttempt(ending),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::capture::tests::capture;
    use crate::domain::checkout_state::tests::{BOOKING_STATUSES, eur, funds, state};
    use AttemptStatus as Attempt;
    use BookingStatus as Booking;
    use CheckoutReport as Report;

    #[test]
    fn a_paid_attempt_is_not_moved_by_anything_but_money() {
        for status in BOOKING_STATUSES {
            for report in [
                Report::AwaitingFunds,
                Report::PaymentFailed,
                Report::Expired,
                Report::Refused,
            ] {
                let decision = decide(&state(status, Attempt::Paid), &report);

                assert!(
                    matches!(decision, CheckoutDecision::NoChange(_)),
                    "{status:?} {report:?}"
                );
            }
        }
    }

    #[test]
    fn a_session_without_money_ends_only_a_booking_that_waits_for_it() {
        use CheckoutDecision::{AwaitFunds, CloseAttempt, EndBooking};
        for (report, attempt, status, decision) in [
            (
                Report::Expired,
                Attempt::Open,
                Booking::Pending,
                EndBooking(Ending::Expired),
            ),
            (
                Report::Expired,
                Attempt::Creating,
                Booking::Pending,
                EndBooking(Ending::Expired),
            ),
            (
                Report::Expired,
                Attempt::Open,
                Booking::Confirmed,
                CloseAttempt(Ending::Expired),
            ),
            (
                Report::Expired,
                Attempt::Open,
                Booking::Cancelled,
                CloseAttempt(Ending::Expired),
            ),
            (
                Report::PaymentFailed,
                Attempt::Processing,
                Booking::Processing,
                EndBooking(Ending::Failed),
            ),
            (
                Report::PaymentFailed,
                Attempt::Open,
                Booking::Pending,
                EndBooking(Ending::Failed),
            ),
            (
                Report::PaymentFailed,
                Attempt::Processing,
                Booking::Review,
                CloseAttempt(Ending::Failed),
            ),
            (
                Report::AwaitingFunds,
                Attempt::Open,
                Booking::Pending,
                AwaitFunds,
            ),
            (
                Report::AwaitingFunds,
                Attempt::Creating,
                Booking::Pending,
                AwaitFunds,
            ),
            (
                Report::Refused,
                Attempt::Creating,
                Booking::Pending,
                EndBooking(Ending::Failed),
            ),
            (
                Report::Refused,
                Attempt::Creating,
                Booking::Confirmed,
                CloseAttempt(Ending::Failed),
            ),
        ] {
            assert_eq!(
                decide(&state(status, attempt), &report),
                decision,
                "{report:?} {attempt:?} {status:?}"
            );
        }
    }

    #[test]
    fn a_booking_that_is_to_be_cancelled_ends_as_cancelled_unless_it_was_paid() {
        let mut cancelling = state(Booking::Pending, Attempt::Creating);
        cancelling.cancel_requested = true;

        for report in [Report::Expired, Report::Refused] {
            assert_eq!(
                decide(&cancelling, &report),
                CheckoutDecision::EndBooking(Ending::Cancelled)
            );
        }
        let paid = Report::Paid(capture(Some(eur(2_400)), Some("pi_1")));
        let applied = CheckoutDecision::Apply(funds(eur(2_400)));
        assert_eq!(decide(&cancelling, &paid), applied);
    }

    #[test]
    fn an_old_report_changes_nothing() {
        for (report, attempt, status) in [
            (Report::Expired, Attempt::Expired, Booking::Pending),
            (Report::Expired, Attempt::Processing, Booking::Processing),
            (Report::PaymentFailed, Attempt::Failed, Booking::Failed),
            (
                Report::AwaitingFunds,
                Attempt::Processing,
                Booking::Processing,
            ),
            (Report::AwaitingFunds, Attempt::Open, Booking::Expired),
            (Report::Refused, Attempt::Open, Booking::Pending),
        ] {
            let decision = decide(&state(status, attempt), &report);

            assert!(
                matches!(decision, CheckoutDecision::NoChange(_)),
                "{report:?} {attempt:?} {status:?}"
            );
        }
    }
}
