//! What a word from Stripe means for a booking: the one place where it is decided what happens to
//! money.

use chrono::{DateTime, Utc};

use super::booking::{AttemptStatus, BookingStatus};
use super::ids::BookingId;
use super::money::Money;
use super::surplus::SurplusReason;

/// What became of a delivery of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Decided, and the effect is committed.
    Processed,
    /// It had been decided before.
    Duplicate,
    /// Stored, with the reason why there is nothing to do.
    Ignored,
    /// Ours, but what it is about is not here yet; stored, and to be decided later.
    Deferred,
}

/// What Stripe says of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The money has been captured.
    Captured(Capture),
    /// The buyer has finished, but his method settles in days: no money yet.
    Submitted,
    /// The delayed payment did not come.
    Failed,
    /// The session can no longer be paid.
    Expired,
}

/// A capture as Stripe reports it. What it leaves out or garbles is `None`, which never counts as
/// right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// How much, and in which currency.
    pub money: Option<Money>,
    /// The booking that the metadata names.
    pub booking_id: Option<BookingId>,
    /// When Stripe says that it happened, or when we learned of it by asking.
    pub captured_at: DateTime<Utc>,
}

/// Money that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid {
    /// How much.
    pub money: Money,
    /// When Stripe says that it came.
    pub captured_at: DateTime<Utc>,
}

/// How a booking and one of its attempts stand, read under the booking's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The booking of the attempt.
    pub booking_id: BookingId,
    /// Where it stands.
    pub status: BookingStatus,
    /// Whether it has been called off, and only waits for Stripe to confirm that it cannot be paid.
    pub cancel_requested: bool,
    /// What it costs.
    pub total: Money,
    /// What has been applied to it.
    pub paid: Money,
    /// Where the attempt stands.
    pub attempt_status: AttemptStatus,
    /// What the attempt asks for.
    pub asked: Money,
}

/// What has to be done, all of it in the transaction that holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: the sentence says why.
    Keep(&'static str),
    /// Apply the money and confirm the booking, which holds its seats.
    Apply(Paid),
    /// Apply and confirm if the seats can be claimed again and the show is on sale; else keep it as
    /// surplus.
    ClaimAgain(Paid),
    /// Keep the money as surplus, which is owed back.
    Surplus(Paid, SurplusReason),
    /// Keep the money, if it can be read, as surplus; open a discrepancy, and let a person decide.
    Review(Option<Paid>, Mismatch),
    /// The payment is recorded; open a discrepancy, because this word of it differs from what was
    /// asked for.
    Flag(Mismatch),
    /// Wait for a delayed method, and keep the seats as long as it may take.
    Process,
    /// End the booking and free its seats: Stripe has said that it can no longer be paid.
    Release(Ending),
    /// Close the attempt only: the booking has gone on without it.
    Close(Ending),
}

/// In what a capture differs from what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The metadata names another booking.
    Booking,
    /// Another currency, or none that is readable.
    Currency,
    /// Another amount.
    Amount,
}

impl Mismatch {
    /// The kind of the discrepancy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Booking => "booking_mismatch",
            Self::Currency => "currency_mismatch",
            Self::Amount => "amount_mismatch",
        }
    }
}

/// How an attempt, and with it perhaps its booking, ends without money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nobody paid in time.
    Expired,
    /// The buyer, or an admin, has called it off.
    Cancelled,
    /// The delayed payment did not come.
    Failed,
}

impl Ending {
    /// Where the attempt stands then.
    pub fn attempt_status(self) -> AttemptStatus {
        match self {
            Self::Expired | Self::Cancelled => AttemptStatus::Expired,
            Self::Failed => AttemptStatus::Failed,
        }
    }

    /// Where the booking stands then, if it ends too.
    pub fn booking_status(self) -> BookingStatus {
        match self {
            Self::Expired => BookingStatus::Expired,
            Self::Cancelled => BookingStatus::Cancelled,
            Self::Failed => BookingStatus::Failed,
        }
    }
}

/// Decides what `fact` means for a booking that stands so. The same fact told twice moves nothing
/// the second time.
pub fn decide(standing: &Standing, fact: &Fact) -> Decision {
    use AttemptStatus as Attempt;
    match (fact, standing.attempt_status) {
        (Fact::Captured(capture), Attempt::Paid) => mismatch(standing, capture).map_or(
            Decision::Keep("this payment is recorded already"),
            Decision::Flag,
        ),
        (_, Attempt::Paid) => Decision::Keep("the attempt was paid before"),
        (
            Fact::Captured(capture),
            Attempt::Creating
            | Attempt::Open
            | Attempt::Processing
            | Attempt::Expired
            | Attempt::Failed,
        ) => decide_on_money(standing, capture),
        (Fact::Submitted, Attempt::Creating | Attempt::Open) => match standing.status {
            BookingStatus::Pending => Decision::Process,
            BookingStatus::Processing
            | BookingStatus::Confirmed
            | BookingStatus::Expired
            | BookingStatus::Cancelled
            | BookingStatus::Failed
            | BookingStatus::Review => Decision::Keep("the booking does not wait for a payment"),
        },
        (Fact::Submitted, Attempt::Processing | Attempt::Expired | Attempt::Failed) => {
            Decision::Keep("the attempt does not wait for a buyer")
        }
        (Fact::Failed, Attempt::Creating | Attempt::Open | Attempt::Processing) => {
            end(standing, Ending::Failed)
        }
        (Fact::Expired, Attempt::Creating | Attempt::Open) if standing.cancel_requested => {
            end(standing, Ending::Cancelled)
        }
        (Fact::Expired, Attempt::Creating | Attempt::Open) => end(standing, Ending::Expired),
        (Fact::Expired, Attempt::Processing) => {
            Decision::Keep("the buyer has paid by a delayed method")
        }
        (Fact::Failed | Fact::Expired, Attempt::Expired | Attempt::Failed) => {
            Decision::Keep("the attempt had ended before")
        }
    }
}

fn decide_on_money(standing: &Standing, capture: &Capture) -> Decision {
    let paid = capture.money.map(|money| Paid {
        money,
        captured_at: capture.captured_at,
    });
    let paid = match (paid, mismatch(standing, capture)) {
        (Some(paid), None) => paid,
        (paid, mismatch) => return Decision::Review(paid, mismatch.unwrap_or(Mismatch::Currency)),
    };
    match standing.status {
        BookingStatus::Pending | BookingStatus::Processing => Decision::Apply(paid),
        BookingStatus::Confirmed => {
            let would_be_paid = standing.paid.checked_add(paid.money);
            if would_be_paid.is_some_and(|sum| sum.amount_minor <= standing.total.amount_minor) {
                Decision::Apply(paid)
            } else {
                Decision::Surplus(paid, SurplusReason::AlreadyPaid)
            }
        }
        BookingStatus::Expired | BookingStatus::Failed => Decision::ClaimAgain(paid),
        BookingStatus::Cancelled => Decision::Surplus(paid, SurplusReason::Cancelled),
        BookingStatus::Review => Decision::Surplus(paid, SurplusReason::UnderReview),
    }
}

fn mismatch(standing: &Standing, capture: &Capture) -> Option<Mismatch> {
    let other_booking = capture
        .booking_id
        .is_some_and(|id| id != standing.booking_id);
    match capture.money {
        _ if other_booking => Some(Mismatch::Booking),
        Some(money) if money == standing.asked => None,
        Some(money) if money.currency == standing.asked.currency => Some(Mismatch::Amount),
        Some(_) | None => Some(Mismatch::Currency),
    }
}

fn end(standing: &Standing, ending: Ending) -> Decision {
    match standing.status {
        BookingStatus::Pending | BookingStatus::Processing => Decision::Release(ending),
        BookingStatus::Confirmed
        | BookingStatus::Expired
        | BookingStatus::Cancelled
        | BookingStatus::Failed
        | BookingStatus::Review => Decision::Close(ending),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AttemptStatus as Attempt;
    use BookingStatus as Booking;

    const EXISTING: [Booking; 7] = [
        Booking::Pending,
        Booking::Processing,
        Booking::Confirmed,
        Booking::Expired,
        Booking::Cancelled,
        Booking::Failed,
        Booking::Review,
    ];

    fn eur(amount_minor: i64) -> Money {
        Money::new(amount_minor, "eur".parse().unwrap())
    }

    fn standing(status: Booking, attempt_status: Attempt) -> Standing {
        let paid_minor = if status == Booking::Confirmed {
            2_400
        } else {
            0
        };
        Standing {
            booking_id: "01930000-0000-7000-8000-000000000001".parse().unwrap(),
            status,
            cancel_requested: false,
            total: eur(2_400),
            paid: eur(paid_minor),
            attempt_status,
            asked: eur(2_400),
        }
    }

    fn paid(money: Money) -> Paid {
        Paid {
            money,
            captured_at: DateTime::UNIX_EPOCH,
        }
    }

    fn captured(money: Option<Money>) -> Fact {
        Fact::Captured(Capture {
            money,
            booking_id: None,
            captured_at: DateTime::UNIX_EPOCH,
        })
    }

    #[test]
    fn the_right_money_has_a_decision_in_every_state() {
        let right = paid(eur(2_400));
        let cases = [
            (Booking::Pending, Decision::Apply(right)),
            (Booking::Processing, Decision::Apply(right)),
            (
                Booking::Confirmed,
                Decision::Surplus(right, SurplusReason::AlreadyPaid),
            ),
            (Booking::Expired, Decision::ClaimAgain(right)),
            (Booking::Failed, Decision::ClaimAgain(right)),
            (
                Booking::Cancelled,
                Decision::Surplus(right, SurplusReason::Cancelled),
            ),
            (
                Booking::Review,
                Decision::Surplus(right, SurplusReason::UnderReview),
            ),
        ];
        for (status, decision) in cases {
            for attempt in [
                Attempt::Creating,
                Attempt::Open,
                Attempt::Processing,
                Attempt::Expired,
                Attempt::Failed,
            ] {
                let decided = decide(&standing(status, attempt), &captured(Some(eur(2_400))));

                assert_eq!(decided, decision, "{status:?} {attempt:?}");
            }
        }
    }

    #[test]
    fn a_recorded_payment_is_never_recorded_again() {
        for status in EXISTING {
            for fact in [
                captured(Some(eur(2_400))),
                Fact::Submitted,
                Fact::Failed,
                Fact::Expired,
            ] {
                let decided = decide(&standing(status, Attempt::Paid), &fact);

                assert!(matches!(decided, Decision::Keep(_)), "{status:?} {fact:?}");
            }
            let other = decide(
                &standing(status, Attempt::Paid),
                &captured(Some(eur(2_399))),
            );
            assert_eq!(other, Decision::Flag(Mismatch::Amount), "{status:?}");
        }
    }

    #[test]
    fn money_that_differs_goes_to_a_person_in_every_state() {
        let usd = Money::new(2_400, "usd".parse().unwrap());
        for status in EXISTING {
            for (money, mismatch) in [
                (Some(eur(2_399)), Mismatch::Amount),
                (Some(eur(2_401)), Mismatch::Amount),
                (Some(usd), Mismatch::Currency),
                (None, Mismatch::Currency),
            ] {
                let decided = decide(&standing(status, Attempt::Open), &captured(money));

                assert_eq!(
                    decided,
                    Decision::Review(money.map(paid), mismatch),
                    "{status:?} {money:?}"
                );
            }
        }
    }

    #[test]
    fn money_for_another_booking_goes_to_a_person() {
        let open = standing(Booking::Pending, Attempt::Open);
        let right = paid(eur(2_400));
        for (booking_id, decision) in [
            (Some(open.booking_id), Decision::Apply(right)),
            (None, Decision::Apply(right)),
            (
                Some(BookingId::new()),
                Decision::Review(Some(right), Mismatch::Booking),
            ),
        ] {
            let fact = Fact::Captured(Capture {
                money: Some(eur(2_400)),
                booking_id,
                captured_at: DateTime::UNIX_EPOCH,
            });

            assert_eq!(decide(&open, &fact), decision);
        }
    }

    #[test]
    fn the_balance_of_a_confirmed_booking_is_applied() {
        let mut half_paid = standing(Booking::Confirmed, Attempt::Open);
        half_paid.paid = eur(1_200);
        half_paid.asked = eur(1_200);

        assert_eq!(
            decide(&half_paid, &captured(Some(eur(1_200)))),
            Decision::Apply(paid(eur(1_200)))
        );
    }

    #[test]
    fn a_session_without_money_ends_only_a_booking_that_waits_for_it() {
        for (fact, attempt, status, decision) in [
            (
                Fact::Expired,
                Attempt::Open,
                Booking::Pending,
                Decision::Release(Ending::Expired),
            ),
            (
                Fact::Expired,
                Attempt::Creating,
                Booking::Pending,
                Decision::Release(Ending::Expired),
            ),
            (
                Fact::Expired,
                Attempt::Open,
                Booking::Confirmed,
                Decision::Close(Ending::Expired),
            ),
            (
                Fact::Expired,
                Attempt::Open,
                Booking::Cancelled,
                Decision::Close(Ending::Expired),
            ),
            (
                Fact::Failed,
                Attempt::Processing,
                Booking::Processing,
                Decision::Release(Ending::Failed),
            ),
            (
                Fact::Failed,
                Attempt::Open,
                Booking::Pending,
                Decision::Release(Ending::Failed),
            ),
            (
                Fact::Failed,
                Attempt::Processing,
                Booking::Review,
                Decision::Close(Ending::Failed),
            ),
            (
                Fact::Submitted,
                Attempt::Open,
                Booking::Pending,
                Decision::Process,
            ),
            (
                Fact::Submitted,
                Attempt::Creating,
                Booking::Pending,
                Decision::Process,
            ),
        ] {
            assert_eq!(
                decide(&standing(status, attempt), &fact),
                decision,
                "{fact:?} {attempt:?} {status:?}"
            );
        }
    }

    #[test]
    fn a_booking_that_was_called_off_ends_as_cancelled_unless_it_was_paid() {
        let mut called_off = standing(Booking::Pending, Attempt::Open);
        called_off.cancel_requested = true;

        assert_eq!(
            decide(&called_off, &Fact::Expired),
            Decision::Release(Ending::Cancelled)
        );
        assert_eq!(
            decide(&called_off, &captured(Some(eur(2_400)))),
            Decision::Apply(paid(eur(2_400)))
        );
    }

    #[test]
    fn an_old_word_changes_nothing() {
        for (fact, attempt, status) in [
            (Fact::Expired, Attempt::Expired, Booking::Pending),
            (Fact::Expired, Attempt::Processing, Booking::Processing),
            (Fact::Failed, Attempt::Failed, Booking::Failed),
            (Fact::Submitted, Attempt::Processing, Booking::Processing),
            (Fact::Submitted, Attempt::Open, Booking::Expired),
        ] {
            let decided = decide(&standing(status, attempt), &fact);

            assert!(
                matches!(decided, Decision::Keep(_)),
                "{fact:?} {attempt:?} {status:?}"
            );
        }
    }
}
