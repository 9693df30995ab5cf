//! How a booking and one of its Checkout Sessions stand, and what can be decided about them.

use super::attempt::{AttemptOfBooking, AttemptStatus, PaymentPart};
use super::booking::BookingStatus;
use super::funds::{CapturedFunds, Mismatch, SurplusReason};
use super::money::Money;

/// How a booking and one of its attempts stand, read under the booking's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutState {
    /// The attempt and its booking.
    pub attempt: AttemptOfBooking,
    /// Where the booking stands.
    pub status: BookingStatus,
    /// Whether the booking is to be cancelled as soon as Stripe confirms that it cannot be paid.
    pub cancel_requested: bool,
    /// Which part of the booking the attempt pays.
    pub part: PaymentPart,
    /// What the booking costs.
    pub total: Money,
    /// What has been applied to it, with what a person has let off.
    pub paid: Money,
    /// Where the attempt stands.
    pub attempt_status: AttemptStatus,
    /// What the attempt asks for.
    pub asked: Money,
    /// The PaymentIntents of the payments that the attempt is known to have brought; `None` for one
    /// whose PaymentIntent Stripe did not name.
    pub paid_by: Vec<Option<String>>,
}

impl CheckoutState {
    /// Whether the booking waits for the part that the attempt pays. `attempts::open` asks the same
    /// in SQL.
    pub fn is_waited_for(&self) -> bool {
        match self.part {
            PaymentPart::Full | PaymentPart::Deposit => self.status == BookingStatus::Pending,
            PaymentPart::Balance => self.status == BookingStatus::Confirmed,
        }
    }

    /// Whether the attempt pays a balance that the booking still waits for.
    pub fn is_balance_due(&self) -> bool {
        self.part == PaymentPart::Balance
            && self.is_waited_for()
            && self.paid.amount_minor < self.total.amount_minor
    }

    /// Whether the booking is not confirmed yet and may still be.
    pub fn waits_for_money(&self) -> bool {
        match self.status {
            BookingStatus::Pending | BookingStatus::Processing => true,
            BookingStatus::Confirmed
            | BookingStatus::Expired
            | BookingStatus::Cancelled
            | BookingStatus::Failed
            | BookingStatus::Review => false,
        }
    }

    /// Whether the attempt is paid, and that by other PaymentIntents than this one, as far as is
    /// known. Where the PaymentIntent of a payment is not known, the two count as one.
    pub fn is_paid_by_another(&self, payment_intent_id: &str) -> bool {
        let is_other = |known: &Option<String>| {
            known
                .as_deref()
                .is_some_and(|known| known != payment_intent_id)
        };
        self.attempt_status == AttemptStatus::Paid && self.paid_by.iter().all(is_other)
    }
}

/// What has to be done, all of it in the transaction that holds the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckoutDecision {
    /// Nothing: the sentence says why.
    NoChange(&'static str),
    /// Apply the money and confirm the booking, which has what it reserves.
    Apply(CapturedFunds),
    /// Apply and confirm if what was reserved can be claimed again; else keep it as surplus.
    ClaimAgain(CapturedFunds),
    /// Keep the money as surplus, which is owed back.
    KeepSurplus(CapturedFunds, SurplusReason),
    /// Keep the money, if it can be read, as surplus; open a discrepancy, and let a person decide.
    Review(Option<CapturedFunds>, Mismatch),
    /// The payment is recorded, but this report differs from what was asked for: open a
    /// discrepancy.
    Flag(Mismatch),
    /// Close the attempt, open a discrepancy, and leave a booking that waits for it to a person:
    /// whether it was paid cannot be learnt.
    GiveUp(Mismatch),
    /// Keep what is reserved as long as a delayed method may take.
    AwaitFunds,
    /// End the booking and free what it reserves: Stripe has said that it can no longer be paid.
    EndBooking(Ending),
    /// Close the attempt only: the booking has gone on without it.
    CloseAttempt(Ending),
}

/// How an attempt, and with it perhaps its booking, ends without money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nobody paid in time.
    Expired,
    /// The buyer, or an admin, has cancelled it.
    Cancelled,
    /// The delayed payment did not come, or Stripe refused the session.
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

#[cfg(test)]
pub(super) mod tests {
    use chrono::DateTime;

    use super::*;
    use AttemptStatus as Attempt;
    use BookingStatus as Booking;

    pub(in crate::domain) const BOOKING_STATUSES: [Booking; 7] = [
        Booking::Pending,
        Booking::Processing,
        Booking::Confirmed,
        Booking::Expired,
        Booking::Cancelled,
        Booking::Failed,
        Booking::Review,
    ];

    /// A booking of 24 euros; a paid attempt has brought `pi_1`.
    pub(in crate::domain) fn state(status: Booking, attempt_status: Attempt) -> CheckoutState {
        let paid_minor = if status == Booking::Confirmed {
            2_400
        } else {
            0
        };
        let is_paid = attempt_status == Attempt::Paid;
        CheckoutState {
            attempt: AttemptOfBooking {
                attempt_id: "01930000-0000-7000-8000-000000000002".parse().unwrap(),
                booking_id: "01930000-0000-7000-8000-000000000001".parse().unwrap(),
            },
            status,
            cancel_requested: false,
            part: PaymentPart::Full,
            total: eur(2_400),
            paid: eur(paid_minor),
            attempt_status,
            asked: eur(2_400),
            paid_by: is_paid
                .then(|| Some("pi_1".to_owned()))
                .into_iter()
                .collect(),
        }
    }

    pub(in crate::domain) fn eur(amount_minor: i64) -> Money {
        Money::new(amount_minor, "eur".parse().unwrap())
    }

    pub(in crate::domain) fn funds(money: Money) -> CapturedFunds {
        CapturedFunds {
            money,
            payment_intent_id: Some("pi_1".to_owned()),
            captured_at: DateTime::UNIX_EPOCH,
        }
    }
}
