//! How a booking and its attempts stood at each moment of their past, by what has happened to them.
//!
//! It is for those who decide again what was decided then. What had to be tried, and what nobody
//! has told us by an event, is taken from here as it was.

use super::attempt::{AttemptOfBooking, AttemptStatus, PaymentPart};
use super::booking::BookingStatus;
use super::checkout_state::CheckoutState;
use super::ids::{AttemptId, BookingId, PaymentId};
use super::money::Money;

/// What comes right before the end of a booking that is not the end of its attempt.
const CANCELLED_AT_ONCE: [&str; 3] = ["cancellationRequested", "reviewResolved", "refundRequested"];

/// A booking, with all that has happened to it.
#[derive(Debug, Clone)]
pub struct BookingPast {
    /// The booking.
    pub id: BookingId,
    /// Where it stands now.
    pub status: BookingStatus,
    /// What it costs.
    pub total: Money,
    /// What is due for confirmation, in minor units.
    pub due_minor: i64,
    /// What has been applied to it until now, with what a person has let off.
    pub met_minor: i64,
    /// Its attempts.
    pub attempts: Vec<PastAttempt>,
    /// What has happened, in order.
    pub happened: Vec<PastEvent>,
    /// The payments that are stored.
    pub payments: Vec<PastPayment>,
}

/// What an attempt has asked for.
#[derive(Debug, Clone, Copy)]
pub struct PastAttempt {
    /// The attempt.
    pub id: AttemptId,
    /// Which part of the booking it pays.
    pub part: PaymentPart,
    /// What it asks for, in minor units.
    pub asked_minor: i64,
}

/// Something that has happened to the booking, as far as it matters for what follows.
#[derive(Debug, Clone)]
pub struct PastEvent {
    /// What, as it is stored.
    pub kind: String,
    /// The attempt that it names.
    pub attempt_id: Option<AttemptId>,
    /// The payment that it names.
    pub payment_id: Option<PaymentId>,
}

/// A payment that is stored.
#[derive(Debug, Clone)]
pub struct PastPayment {
    /// The payment.
    pub id: PaymentId,
    /// The attempt that was paid.
    pub attempt_id: AttemptId,
    /// `pi_…`, where Stripe has named it.
    pub payment_intent_id: Option<String>,
    /// How much, in minor units.
    pub amount_minor: i64,
    /// The event that brought it; none where Stripe was asked.
    pub event_id: Option<String>,
}

/// How the booking alone stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastState {
    /// Where it stood.
    pub status: BookingStatus,
    /// What had been applied to it, with what a person had let off, in minor units.
    pub met_minor: i64,
    /// Whether somebody had wanted it cancelled.
    pub cancel_requested: bool,
}

impl BookingPast {
    /// After all that has happened.
    pub fn end(&self) -> usize {
        self.happened.len()
    }

    /// The moment before a payment came; `None` if nothing that has happened names it.
    pub fn before(&self, payment_id: PaymentId) -> Option<usize> {
        let names = |event: &PastEvent| event.payment_id == Some(payment_id);
        self.happened.iter().position(names)
    }

    /// The stored payment that an event has brought, if it did.
    pub fn payment_by(&self, event_id: &str) -> Option<&PastPayment> {
        let is_its = |payment: &&PastPayment| payment.event_id.as_deref() == Some(event_id);
        self.payments.iter().find(is_its)
    }

    /// Whether what was reserved had just been claimed again at this moment.
    pub fn had_claimed_again(&self, moment: usize) -> bool {
        let last = self.happened.get(..moment).and_then(<[_]>::last);
        last.is_some_and(|event| event.kind == "claimedAgain")
    }

    /// How the booking stood at this moment.
    pub fn booking_at(&self, moment: usize) -> PastState {
        let mut state = PastState {
            status: BookingStatus::Pending,
            met_minor: 0,
            cancel_requested: false,
        };
        for (place, event) in self.happened.iter().take(moment).enumerate() {
            let brought = event.payment_id.map_or(0, |id| self.amount_minor(id));
            let met_minor = state.met_minor.saturating_add(brought);
            match event.kind.as_str() {
                "awaitingFunds" if state.status == BookingStatus::Pending => {
                    state.status = BookingStatus::Processing;
                }
                kind @ ("confirmed" | "balancePaid") => {
                    state.status = BookingStatus::Confirmed;
                    // Who accepts what was kept apart lets the rest off.
                    let was_kept = event.payment_id.and_then(|id| self.before(id)) < Some(place);
                    let is_accepted = was_kept && event.payment_id.is_some();
                    state.met_minor = if !is_accepted {
                        met_minor
                    } else if kind == "balancePaid" {
                        self.total.amount_minor
                    } else {
                        self.accepted_minor(met_minor)
                    };
                }
                // One that is cancelled instead is so in the next event.
                "reviewResolved" => state.status = BookingStatus::Confirmed,
                "cancellationRequested" => state.cancel_requested = true,
                "expired" => state.status = BookingStatus::Expired,
                "cancelled" => state.status = BookingStatus::Cancelled,
                "failed" => state.status = BookingStatus::Failed,
                "review" => state.status = BookingStatus::Review,
                _ => {}
            }
        }
        state
    }

    /// What is met of the total once so much was accepted for what was due: `payments::accept` says
    /// the same in SQL.
    fn accepted_minor(&self, paid_minor: i64) -> i64 {
        let total_minor = self.total.amount_minor;
        let left_minor = total_minor.saturating_sub(paid_minor);
        if left_minor < self.total.currency.minimum_minor() {
            total_minor
        } else {
            paid_minor.max(self.due_minor)
        }
    }

    /// How the booking and one of its attempts stood at this moment; `None` if it has no such
    /// attempt.
    pub fn checkout_at(&self, moment: usize, attempt_id: AttemptId) -> Option<CheckoutState> {
        let attempt = self.attempts.iter().find(|one| one.id == attempt_id)?;
        let booking = self.booking_at(moment);
        let currency = self.total.currency;
        let came = |payment: &&PastPayment| {
            let came_at = self.before(payment.id);
            payment.attempt_id == attempt_id && came_at.is_some_and(|at| at < moment)
        };
        let paid_by = self.payments.iter().filter(came);
        let paid_by: Vec<_> = paid_by.map(|one| one.payment_intent_id.clone()).collect();
        Some(CheckoutState {
            attempt: AttemptOfBooking {
                attempt_id,
                booking_id: self.id,
            },
            status: booking.status,
            cancel_requested: booking.cancel_requested,
            part: attempt.part,
            total: self.total,
            paid: Money::new(booking.met_minor, currency),
            attempt_status: if paid_by.is_empty() {
                self.unpaid_at(moment, attempt_id)
            } else {
                AttemptStatus::Paid
            },
            asked: Money::new(attempt.asked_minor, currency),
            paid_by,
        })
    }

    /// Where an attempt stood that had brought no payment.
    fn unpaid_at(&self, moment: usize, attempt_id: AttemptId) -> AttemptStatus {
        let mut status = AttemptStatus::Creating;
        let mut before = "";
        for event in self.happened.iter().take(moment) {
            let is_named = event.attempt_id == Some(attempt_id);
            // Who cancels at once does not wait for the bank that has still to decide.
            let is_at_once = CANCELLED_AT_ONCE.contains(&before);
            status = match event.kind.as_str() {
                "attemptOpened" if is_named => AttemptStatus::Open,
                "awaitingFunds" if is_named => AttemptStatus::Processing,
                "attemptClosed" | "attemptReplaced" if is_named => AttemptStatus::Expired,
                "cancelled" if is_at_once && status == AttemptStatus::Processing => status,
                "expired" | "cancelled" | "failed" => AttemptStatus::Expired,
                _ => status,
            };
            before = &event.kind;
        }
        status
    }

    fn amount_minor(&self, id: PaymentId) -> i64 {
        let payment = self.payments.iter().find(|payment| payment.id == id);
        payment.map_or(0, |payment| payment.amount_minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use BookingStatus as Booking;

    /// A booking of 24 euros with a deposit of 12, of which this has happened; what names a payment
    /// names the only one, of 12 euros.
    fn past(kinds: &[&str]) -> BookingPast {
        let (attempt_id, payment_id) = (AttemptId::new(), PaymentId::new());
        let happened = kinds.iter().map(|kind| PastEvent {
            kind: (*kind).to_owned(),
            attempt_id: kind.starts_with('a').then_some(attempt_id),
            payment_id: ["confirmed", "balancePaid", "surplusKept"]
                .contains(kind)
                .then_some(payment_id),
        });
        BookingPast {
            id: BookingId::new(),
            status: Booking::Pending,
            total: Money::new(2_400, "eur".parse().unwrap()),
            due_minor: 1_250,
            met_minor: 0,
            attempts: vec![PastAttempt {
                id: attempt_id,
                part: PaymentPart::Deposit,
                asked_minor: 1_250,
            }],
            happened: happened.collect(),
            payments: vec![PastPayment {
                id: payment_id,
                attempt_id,
                payment_intent_id: Some("pi_1".to_owned()),
                amount_minor: 1_200,
                event_id: Some("evt_1".to_owned()),
            }],
        }
    }

    #[test]
    fn a_booking_stood_where_what_had_happened_leads() {
        for (kinds, status, met_minor) in [
            (&["held", "attemptOpened"][..], Booking::Pending, 0),
            (&["held", "awaitingFunds"], Booking::Processing, 0),
            (&["held", "confirmed"], Booking::Confirmed, 1_200),
            (
                &["held", "confirmed", "awaitingFunds"],
                Booking::Confirmed,
                1_200,
            ),
            (&["held", "expired"], Booking::Expired, 0),
            (
                &["held", "expired", "claimedAgain", "confirmed"],
                Booking::Confirmed,
                1_200,
            ),
            (&["held", "surplusKept", "review"], Booking::Review, 0),
            (
                &[
                    "held",
                    "surplusKept",
                    "review",
                    "reviewResolved",
                    "confirmed",
                ],
                Booking::Confirmed,
                1_250,
            ),
            (
                &["held", "confirmed", "cancelled"],
                Booking::Cancelled,
                1_200,
            ),
            (&["held", "failed"], Booking::Failed, 0),
        ] {
            let past = past(kinds);

            let end = past.booking_at(past.end());

            assert_eq!(
                (end.status, end.met_minor),
                (status, met_minor),
                "{kinds:?}"
            );
            assert_eq!(past.booking_at(0).status, Booking::Pending);
        }
    }

    #[test]
    fn an_attempt_was_paid_from_its_payment_on() {
        let past = past(&[
            "held",
            "attemptOpened",
            "expired",
            "claimedAgain",
            "confirmed",
        ]);
        let attempt_id = past.attempts[0].id;
        let before = past.before(past.payments[0].id).unwrap();

        let statuses = (0..=past.end()).map(|moment| {
            let state = past.checkout_at(moment, attempt_id).unwrap();
            state.attempt_status
        });

        assert_eq!(before, 4);
        assert!(past.had_claimed_again(before));
        let expected = [
            AttemptStatus::Creating,
            AttemptStatus::Creating,
            AttemptStatus::Open,
            AttemptStatus::Expired,
            AttemptStatus::Expired,
            AttemptStatus::Paid,
        ];
        assert_eq!(statuses.collect::<Vec<_>>(), expected);
        assert_eq!(past.payment_by("evt_1").unwrap().id, past.payments[0].id);
        assert!(past.checkout_at(0, AttemptId::new()).is_none());
    }
}
