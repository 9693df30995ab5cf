//! What becomes of a booking when Stripe reports on one of its Checkout Sessions.

use chrono::TimeDelta;

use super::attempt::AttemptStatus;
use super::capture::{self, Capture};
use super::checkout_state::{CheckoutDecision, CheckoutState, Ending};
use super::funds::Mismatch;

/// How long the slowest of Stripe's delayed methods takes.
/// <https://docs.stripe.com/payments/bank-debits>
pub const DELAYED_METHOD_MAX: TimeDelta = TimeDelta::days(14);

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
    /// Stripe does not know it, after its time: it is of another account, or of a sandbox that was
    /// wiped.
    Unknown,
    /// It is in a state, after its time, that nobody knows. The sentence says which.
    Unexplained(&'static str),
}

/// Decides what a report means for a booking that stands so. The same report again changes nothing.
pub fn decide(state: &CheckoutState, report: &CheckoutReport) -> CheckoutDecision {
    use AttemptStatus as Attempt;
    use CheckoutDecision::NoChange;
    match (report, state.attempt_status) {
        (CheckoutReport::Paid(capture), _) => capture::decide(state, capture),
        (_, Attempt::Paid) => NoChange("the attempt was paid before"),
        (CheckoutReport::AwaitingFunds, Attempt::Creating | Attempt::Open)
            if state.is_waited_for() =>
        {
            CheckoutDecision::AwaitFunds
        }
        (CheckoutReport::AwaitingFunds, Attempt::Creating | Attempt::Open) => {
            NoChange("the booking does not wait for a payment")
        }
        (
            CheckoutReport::AwaitingFunds,
            Attempt::Processing | Attempt::Expired | Attempt::Failed,
        ) => NoChange("the attempt does not wait for a buyer"),
        (
            CheckoutReport::Expired | CheckoutReport::Refused | CheckoutReport::Unknown,
            Attempt::Creating | Attempt::Open,
        ) if state.cancel_requested => end(state, Ending::Cancelled),
        (CheckoutReport::Expired | CheckoutReport::Unknown, Attempt::Creating | Attempt::Open) => {
            end(state, Ending::Expired)
        }
        (CheckoutReport::Unknown, Attempt::Processing) => {
            CheckoutDecision::GiveUp(Mismatch::SessionUnknown)
        }
        (
            CheckoutReport::Unexplained(_),
            Attempt::Creating | Attempt::Open | Attempt::Processing,
        ) => CheckoutDecision::GiveUp(Mismatch::SessionUnexplained),
        (
            CheckoutReport::PaymentFailed,
            Attempt::Creating | Attempt::Open | Attempt::Processing,
        )
        | (CheckoutReport::Refused, Attempt::Creating) => end(state, Ending::Failed),
        (CheckoutReport::Refused, Attempt::Open | Attempt::Processing) => {
            NoChange("the attempt has a session by now")
        }
        (CheckoutReport::Expired, Attempt::Processing) => {
            NoChange("the buyer has paid by a delayed method")
        }
        (
            CheckoutReport::PaymentFailed
            | CheckoutReport::Expired
            | CheckoutReport::Refused
            | CheckoutReport::Unknown
            | CheckoutReport::Unexplained(_),
            Attempt::Expired | Attempt::Failed,
        ) => NoChange("the attempt had ended before"),
    }
}

fn end(state: &CheckoutState, ending: Ending) -> CheckoutDecision {
    if state.waits_for_money() {
        CheckoutDecision::EndBooking(ending)
    } else {
        CheckoutDecision::CloseAttempt(ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attempt::PaymentPart;
    use crate::domain::booking::BookingStatus as Booking;
    use crate::domain::capture::tests::capture;
    use crate::domain::checkout_state::tests::{BOOKING_STATUSES, eur, funds, state};
    use AttemptStatus as Attempt;
    use CheckoutReport as Report;

    #[test]
    fn a_paid_attempt_is_not_moved_by_anything_but_money() {
        for status in BOOKING_STATUSES {
            for report in [
                Report::AwaitingFunds,
                Report::PaymentFailed,
                Report::Expired,
                Report::Refused,
                Report::Unknown,
                Report::Unexplained("odd"),
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
    fn a_session_without_money_ends_a_booking_that_waits_for_it() {
        let (expired, failed) = (Ending::Expired, Ending::Failed);
        for (report, attempt, status, ending) in [
            (Report::Expired, Attempt::Open, Booking::Pending, expired),
            (
                Report::Expired,
                Attempt::Creating,
                Booking::Pending,
                expired,
            ),
            (
                Report::PaymentFailed,
                Attempt::Processing,
                Booking::Processing,
                failed,
            ),
            (
                Report::PaymentFailed,
                Attempt::Open,
                Booking::Pending,
                failed,
            ),
            (Report::Refused, Attempt::Creating, Booking::Pending, failed),
        ] {
            let decided = decide(&state(status, attempt), &report);

            let ends = CheckoutDecision::EndBooking(ending);
            assert_eq!(decided, ends, "{report:?} {attempt:?} {status:?}");
        }
    }

    #[test]
    fn a_session_without_money_leaves_a_booking_alone_that_has_gone_on() {
        let (expired, failed) = (Ending::Expired, Ending::Failed);
        for (report, attempt, status, ending) in [
            (Report::Expired, Attempt::Open, Booking::Confirmed, expired),
            (Report::Expired, Attempt::Open, Booking::Cancelled, expired),
            (
                Report::PaymentFailed,
                Attempt::Processing,
                Booking::Review,
                failed,
            ),
            (
                Report::Refused,
                Attempt::Creating,
                Booking::Confirmed,
                failed,
            ),
        ] {
            let decided = decide(&state(status, attempt), &report);

            let closes = CheckoutDecision::CloseAttempt(ending);
            assert_eq!(decided, closes, "{report:?} {attempt:?} {status:?}");
        }
    }

    #[test]
    fn a_session_that_stripe_does_not_know_was_not_paid_unless_a_bank_was_at_it() {
        let decided = decide(&state(Booking::Pending, Attempt::Open), &Report::Unknown);
        assert_eq!(decided, CheckoutDecision::EndBooking(Ending::Expired));

        let processing = state(Booking::Processing, Attempt::Processing);
        let decided = decide(&processing, &Report::Unknown);
        assert_eq!(decided, CheckoutDecision::GiveUp(Mismatch::SessionUnknown));
    }

    #[test]
    fn a_session_in_a_state_that_nobody_knows_is_left_to_a_person() {
        for attempt in [Attempt::Creating, Attempt::Open, Attempt::Processing] {
            let decided = decide(
                &state(Booking::Pending, attempt),
                &Report::Unexplained("odd"),
            );

            let gives_up = CheckoutDecision::GiveUp(Mismatch::SessionUnexplained);
            assert_eq!(decided, gives_up, "{attempt:?}");
        }
    }

    #[test]
    fn a_delayed_payment_is_waited_for() {
        for attempt in [Attempt::Open, Attempt::Creating] {
            let decided = decide(&state(Booking::Pending, attempt), &Report::AwaitingFunds);

            assert_eq!(decided, CheckoutDecision::AwaitFunds, "{attempt:?}");
        }
        let mut half_paid = state(Booking::Confirmed, Attempt::Open);
        half_paid.part = PaymentPart::Balance;
        let decided = decide(&half_paid, &Report::AwaitingFunds);
        assert_eq!(decided, CheckoutDecision::AwaitFunds);
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
