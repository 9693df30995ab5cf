//! Money that Stripe says it has captured: the one place where it is decided what happens to it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::attempt::{AttemptStatus, PaymentPart};
use super::booking::BookingStatus;
use super::checkout_state::{CheckoutDecision, CheckoutState};
use super::funds::{CapturedFunds, Mismatch, SurplusReason};
use super::ids::BookingId;
use super::money::Money;

/// A capture as Stripe reports it. What it leaves out or garbles is `None`, which never counts as
/// right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// How much, and in which currency.
    pub money: Option<Money>,
    /// The PaymentIntent, `pi_…`.
    pub payment_intent_id: Option<String>,
    /// The booking that the metadata names.
    pub booking_id: Option<BookingId>,
    /// When Stripe says that it happened, or when we learned of it by asking.
    pub captured_at: DateTime<Utc>,
    /// What else Stripe says, for the person who has to judge.
    pub remarks: Remarks,
}

/// What Stripe says beside the amount of a capture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remarks {
    /// The API version of the event, if an event brought it.
    pub api_version: Option<String>,
    /// How the total was converted to the buyer's currency.
    pub currency_conversion: Value,
    /// What the buyer saw.
    pub presentment_details: Value,
}

impl Capture {
    /// The money, if Stripe has said how much it is and it is something.
    fn funds(&self) -> Option<CapturedFunds> {
        let money = self.money.filter(|money| money.amount_minor > 0)?;
        Some(CapturedFunds {
            money,
            payment_intent_id: self.payment_intent_id.clone(),
            captured_at: self.captured_at,
        })
    }

    /// What Stripe has said of the amount, for the person who has to judge.
    pub fn statement(&self) -> Value {
        json!({
            "captured": self.money,
            "paymentIntentId": self.payment_intent_id,
            "bookingId": self.booking_id,
            "remarks": {
                "apiVersion": self.remarks.api_version,
                "currencyConversion": self.remarks.currency_conversion,
                "presentmentDetails": self.remarks.presentment_details,
            },
        })
    }
}

/// Decides what happens to captured money. The same capture again changes nothing.
pub(super) fn decide(state: &CheckoutState, capture: &Capture) -> CheckoutDecision {
    let mismatch = mismatch(state, capture);
    match state.attempt_status {
        AttemptStatus::Paid => match &capture.payment_intent_id {
            Some(id) if state.is_paid_by_another(id) => decide_on_second(state, capture, mismatch),
            _ => mismatch.map_or(
                CheckoutDecision::NoChange("this payment is recorded already"),
                CheckoutDecision::Flag,
            ),
        },
        AttemptStatus::Creating
        | AttemptStatus::Open
        | AttemptStatus::Processing
        | AttemptStatus::Expired
        | AttemptStatus::Failed => decide_on_first(state, capture, mismatch),
    }
}

/// A second PaymentIntent of an attempt that is paid is a second payment, whatever its amount.
fn decide_on_second(
    state: &CheckoutState,
    capture: &Capture,
    mismatch: Option<Mismatch>,
) -> CheckoutDecision {
    match (capture.funds(), state.status) {
        (None, _) => CheckoutDecision::Flag(mismatch.unwrap_or(Mismatch::Currency)),
        (funds, _) if mismatch == Some(Mismatch::Booking) => {
            CheckoutDecision::Review(funds, Mismatch::Booking)
        }
        (Some(funds), BookingStatus::Review) => {
            CheckoutDecision::KeepSurplus(funds, SurplusReason::UnderReview)
        }
        (
            Some(funds),
            BookingStatus::Pending
            | BookingStatus::Processing
            | BookingStatus::Confirmed
            | BookingStatus::Expired
            | BookingStatus::Cancelled
            | BookingStatus::Failed,
        ) => CheckoutDecision::KeepSurplus(funds, SurplusReason::AlreadyPaid),
    }
}

fn decide_on_first(
    state: &CheckoutState,
    capture: &Capture,
    mismatch: Option<Mismatch>,
) -> CheckoutDecision {
    let funds = match (capture.funds(), mismatch) {
        (Some(funds), None) => funds,
        (funds, mismatch) => {
            return CheckoutDecision::Review(funds, mismatch.unwrap_or(Mismatch::Currency));
        }
    };
    match state.status {
        BookingStatus::Pending | BookingStatus::Processing => CheckoutDecision::Apply(funds),
        BookingStatus::Confirmed => {
            let sum = state.paid.checked_add(funds.money);
            let fits = sum.is_some_and(|sum| sum.amount_minor <= state.total.amount_minor);
            if fits && state.part == PaymentPart::Balance {
                CheckoutDecision::Apply(funds)
            } else {
                CheckoutDecision::KeepSurplus(funds, SurplusReason::AlreadyPaid)
            }
        }
        BookingStatus::Expired | BookingStatus::Failed => CheckoutDecision::ClaimAgain(funds),
        BookingStatus::Cancelled => CheckoutDecision::KeepSurplus(funds, SurplusReason::Cancelled),
        BookingStatus::Review => CheckoutDecision::KeepSurplus(funds, SurplusReason::UnderReview),
    }
}

fn mismatch(state: &CheckoutState, capture: &Capture) -> Option<Mismatch> {
    let other_booking = capture
        .booking_id
        .is_some_and(|id| id != state.attempt.booking_id);
    match capture.money {
        _ if other_booking => Some(Mismatch::Booking),
        Some(money) if money == state.asked => None,
        Some(money) if money.currency == state.asked.currency => Some(Mismatch::Amount),
        Some(_) | None => Some(Mismatch::Currency),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::checkout_state::tests::{BOOKING_STATUSES, eur, funds, state};
    use AttemptStatus as Attempt;
    use BookingStatus as Booking;
    use CheckoutDecision as Decision;

    const UNPAID: [Attempt; 5] = [
        Attempt::Creating,
        Attempt::Open,
        Attempt::Processing,
        Attempt::Expired,
        Attempt::Failed,
    ];

    pub(in crate::domain) fn capture(
        money: Option<Money>,
        payment_intent_id: Option<&str>,
    ) -> Capture {
        Capture {
            money,
            payment_intent_id: payment_intent_id.map(str::to_owned),
            booking_id: None,
            captured_at: DateTime::UNIX_EPOCH,
            remarks: Remarks::default(),
        }
    }

    #[test]
    fn the_right_money_has_a_decision_in_every_state() {
        let right = funds(eur(2_400));
        let cases = [
            (Booking::Pending, Decision::Apply(right.clone())),
            (Booking::Processing, Decision::Apply(right.clone())),
            (
                Booking::Confirmed,
                Decision::KeepSurplus(right.clone(), SurplusReason::AlreadyPaid),
            ),
            (Booking::Expired, Decision::ClaimAgain(right.clone())),
            (Booking::Failed, Decision::ClaimAgain(right.clone())),
            (
                Booking::Cancelled,
                Decision::KeepSurplus(right.clone(), SurplusReason::Cancelled),
            ),
            (
                Booking::Review,
                Decision::KeepSurplus(right.clone(), SurplusReason::UnderReview),
            ),
        ];
        for (status, decision) in cases {
            for attempt in UNPAID {
                let decided = decide(
                    &state(status, attempt),
                    &capture(Some(eur(2_400)), Some("pi_1")),
                );

                assert_eq!(decided, decision, "{status:?} {attempt:?}");
            }
        }
    }

    #[test]
    fn a_recorded_payment_is_never_recorded_again() {
        for status in BOOKING_STATUSES {
            for payment_intent_id in [Some("pi_1"), None] {
                let paid_before = state(status, Attempt::Paid);
                let again = capture(Some(eur(2_400)), payment_intent_id);
                let other = capture(Some(eur(2_399)), payment_intent_id);

                let decided = decide(&paid_before, &again);
                assert!(matches!(decided, Decision::NoChange(_)), "{status:?}");
                let decided = decide(&paid_before, &other);
                assert_eq!(decided, Decision::Flag(Mismatch::Amount), "{status:?}");
            }
        }
    }

    #[test]
    fn a_payment_whose_intent_is_not_known_counts_as_the_recorded_one() {
        let mut unnamed = state(Booking::Confirmed, Attempt::Paid);
        unnamed.paid_by = vec![None];

        let decided = decide(&unnamed, &capture(Some(eur(2_400)), Some("pi_1")));

        assert!(matches!(decided, Decision::NoChange(_)));
    }

    #[test]
    fn a_second_intent_of_a_paid_attempt_is_surplus() {
        for status in BOOKING_STATUSES {
            for amount_minor in [2_400, 100] {
                let second = capture(Some(eur(amount_minor)), Some("pi_2"));

                let decided = decide(&state(status, Attempt::Paid), &second);

                let reason = match status {
                    Booking::Review => SurplusReason::UnderReview,
                    _ => SurplusReason::AlreadyPaid,
                };
                let Decision::KeepSurplus(funds, decided) = decided else {
                    panic!("{status:?}: {decided:?}");
                };
                assert_eq!((funds.money, decided), (eur(amount_minor), reason));
            }
        }
        let unreadable = capture(None, Some("pi_2"));
        let decided = decide(&state(Booking::Confirmed, Attempt::Paid), &unreadable);
        assert_eq!(decided, Decision::Flag(Mismatch::Currency));
    }

    #[test]
    fn money_that_differs_goes_to_a_person_in_every_state() {
        let usd = Money::new(2_400, "usd".parse().unwrap());
        for status in BOOKING_STATUSES {
            for (money, mismatch) in [
                (Some(eur(2_399)), Mismatch::Amount),
                (Some(eur(2_401)), Mismatch::Amount),
                (Some(usd), Mismatch::Currency),
                (None, Mismatch::Currency),
            ] {
                let decided = decide(&state(status, Attempt::Open), &capture(money, Some("pi_1")));

                let review = Decision::Review(money.map(funds), mismatch);
                assert_eq!(decided, review, "{status:?} {money:?}");
            }
        }
    }

    #[test]
    fn money_for_another_booking_goes_to_a_person() {
        let open = state(Booking::Pending, Attempt::Open);
        let right = funds(eur(2_400));
        for (booking_id, decision) in [
            (
                Some(open.attempt.booking_id),
                Decision::Apply(right.clone()),
            ),
            (None, Decision::Apply(right.clone())),
            (
                Some(BookingId::new()),
                Decision::Review(Some(right.clone()), Mismatch::Booking),
            ),
        ] {
            let capture = Capture {
                booking_id,
                ..capture(Some(eur(2_400)), Some("pi_1"))
            };

            assert_eq!(decide(&open, &capture), decision);
        }
    }

    #[test]
    fn of_a_confirmed_booking_the_balance_is_applied_and_nothing_else() {
        let mut half_paid = state(Booking::Confirmed, Attempt::Open);
        half_paid.paid = eur(1_200);
        half_paid.asked = eur(1_200);
        let half = funds(eur(1_200));
        for (part, decision) in [
            (PaymentPart::Balance, Decision::Apply(half.clone())),
            (
                PaymentPart::Deposit,
                Decision::KeepSurplus(half, SurplusReason::AlreadyPaid),
            ),
        ] {
            half_paid.part = part;

            let decided = decide(&half_paid, &capture(Some(eur(1_200)), Some("pi_1")));

            assert_eq!(decided, decision, "{part:?}");
        }
    }
}
