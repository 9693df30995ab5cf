//! How a booking and its attempts stood at each moment of their past, by what has happened to them.
//!
//! It is for those who decide again what was decided then. What had to be tried, and what nobody
//! has told us by an event, is taken from here as it was.

use super::attempt::{AttemptOfBooking, AttemptStatus, PaymentPart};
use super::booking::BookingStatus;
use super::checkout_state::CheckoutState;
use super::ids::{AttemptId, BookingId, PaymentId};
use super::money::Money;
use super::past_event::PastEvent;
use super::resolution::Resolution;
use super::review::Price;

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
        let names = |event: &PastEvent| event.payment_id() == Some(payment_id);
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
        last == Some(&PastEvent::ClaimedAgain)
    }

    /// How the booking stood at this moment.
    pub fn booking_at(&self, moment: usize) -> PastState {
        let mut state = PastState {
            status: BookingStatus::Pending,
            met_minor: 0,
            cancel_requested: false,
        };
        for (place, event) in self.happened.iter().take(moment).enumerate() {
            self.go_on(&mut state, place, *event);
        }
        state
    }

    /// How the booking stood after what has happened at this place.
    fn go_on(&self, state: &mut PastState, place: usize, event: PastEvent) {
        match event {
            PastEvent::AwaitingFunds(_) if state.status == BookingStatus::Pending => {
                state.status = BookingStatus::Processing;
            }
            PastEvent::Applied(payment_id) => {
                state.status = BookingStatus::Confirmed;
                if let Some(id) = payment_id {
                    state.met_minor = self.met_minor(state.met_minor, place, id);
                }
            }
            PastEvent::Resolved(Resolution::Confirm) => state.status = BookingStatus::Confirmed,
            PastEvent::CancellationRequested => state.cancel_requested = true,
            PastEvent::Expired => state.status = BookingStatus::Expired,
            PastEvent::Cancelled => state.status = BookingStatus::Cancelled,
            PastEvent::Failed => state.status = BookingStatus::Failed,
            PastEvent::Review => state.status = BookingStatus::Review,
            // That it is cancelled is said by the next.
            PastEvent::Resolved(Resolution::Cancel)
            | PastEvent::AwaitingFunds(_)
            | PastEvent::AttemptOpened(_)
            | PastEvent::AttemptEnded(_)
            | PastEvent::ClaimedAgain
            | PastEvent::Kept(_)
            | PastEvent::Other => {}
        }
    }

    /// What is met with a payment that is applied at this place. Who accepts what was kept apart
    /// lets the rest off.
    fn met_minor(&self, before_minor: i64, place: usize, id: PaymentId) -> i64 {
        let payment = self.payments.iter().find(|payment| payment.id == id);
        let amount_minor = payment.map_or(0, |payment| payment.amount_minor);
        let met_minor = before_minor.saturating_add(amount_minor);
        let was_kept = self.before(id).is_some_and(|first| first < place);
        let attempt = payment.and_then(|payment| self.attempt(payment.attempt_id));
        match attempt.filter(|_| was_kept) {
            Some(attempt) => self.price().met_minor(attempt.part, met_minor),
            None => met_minor,
        }
    }

    fn price(&self) -> Price {
        Price {
            total: self.total,
            due_minor: self.due_minor,
        }
    }

    fn attempt(&self, id: AttemptId) -> Option<&PastAttempt> {
        self.attempts.iter().find(|attempt| attempt.id == id)
    }

    /// How the booking and one of its attempts stood at this moment; `None` if it has no such
    /// attempt.
    pub fn checkout_at(&self, moment: usize, attempt_id: AttemptId) -> Option<CheckoutState> {
        let attempt = self.attempt(attempt_id)?;
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
        let happened = self.happened.iter().take(moment);
        happened.fold(AttemptStatus::Creating, |status, event| {
            attempt_after(*event, attempt_id, status)
        })
    }
}

/// Where an attempt stood after this, unless it was paid.
fn attempt_after(event: PastEvent, id: AttemptId, before: AttemptStatus) -> AttemptStatus {
    match event {
        PastEvent::AttemptOpened(opened) if opened == id => AttemptStatus::Open,
        PastEvent::AwaitingFunds(awaited) if awaited == id => AttemptStatus::Processing,
        PastEvent::AttemptEnded(ended) if ended == id => AttemptStatus::Expired,
        // What a bank has still to decide is ended by its answer alone: who cancels does not wait.
        PastEvent::Expired | PastEvent::Cancelled if before == AttemptStatus::Processing => before,
        PastEvent::Expired | PastEvent::Cancelled => AttemptStatus::Expired,
        PastEvent::Failed => AttemptStatus::Failed,
        PastEvent::AttemptOpened(_)
        | PastEvent::AwaitingFunds(_)
        | PastEvent::AttemptEnded(_)
        | PastEvent::ClaimedAgain
        | PastEvent::Applied(_)
        | PastEvent::Kept(_)
        | PastEvent::Review
        | PastEvent::Resolved(_)
        | PastEvent::CancellationRequested
        | PastEvent::Other => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use BookingStatus as Booking;
    use PastEvent::{
        Applied, AttemptEnded, AttemptOpened, AwaitingFunds, CancellationRequested, Cancelled,
        ClaimedAgain, Expired, Failed, Kept, Other, Resolved, Review,
    };

    /// A booking of 24 euros with a deposit of 12.50, of which this has happened, with its only
    /// attempt and its only payment, of 12 euros.
    fn past(happened: impl Fn(AttemptId, PaymentId) -> Vec<PastEvent>) -> BookingPast {
        let (attempt_id, payment_id) = (AttemptId::new(), PaymentId::new());
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
            happened: happened(attempt_id, payment_id),
            payments: vec![PastPayment {
                id: payment_id,
                attempt_id,
                payment_intent_id: Some("pi_1".to_owned()),
                amount_minor: 1_200,
                event_id: Some("evt_1".to_owned()),
            }],
        }
    }

    /// What happens to a booking with this attempt and this payment.
    type Story = fn(AttemptId, PaymentId) -> Vec<PastEvent>;

    #[test]
    fn a_booking_stood_where_what_had_happened_leads() {
        let cases: [(Story, Booking, i64); 12] = [
            (
                |attempt, _| vec![AttemptOpened(attempt)],
                Booking::Pending,
                0,
            ),
            (
                |attempt, _| vec![AwaitingFunds(attempt)],
                Booking::Processing,
                0,
            ),
            (
                |_, payment| vec![Applied(Some(payment))],
                Booking::Confirmed,
                1_200,
            ),
            (|_, _| vec![Applied(None)], Booking::Confirmed, 0),
            (
                |attempt, payment| vec![Applied(Some(payment)), AwaitingFunds(attempt)],
                Booking::Confirmed,
                1_200,
            ),
            (|_, _| vec![Expired], Booking::Expired, 0),
            (
                |_, payment| vec![Expired, ClaimedAgain, Applied(Some(payment))],
                Booking::Confirmed,
                1_200,
            ),
            (|_, payment| vec![Kept(payment), Review], Booking::Review, 0),
            (
                |_, payment| {
                    let confirmed = Resolved(Resolution::Confirm);
                    vec![Kept(payment), Review, confirmed, Applied(Some(payment))]
                },
                Booking::Confirmed,
                1_250,
            ),
            (
                |_, payment| {
                    let cancelled = Resolved(Resolution::Cancel);
                    vec![Kept(payment), Review, cancelled, Cancelled]
                },
                Booking::Cancelled,
                0,
            ),
            (
                |_, payment| vec![Applied(Some(payment)), CancellationRequested, Cancelled],
                Booking::Cancelled,
                1_200,
            ),
            (|_, _| vec![Other, Failed], Booking::Failed, 0),
        ];
        for (story, status, met_minor) in cases {
            let past = past(story);

            let end = past.booking_at(past.end());

            let stood = (end.status, end.met_minor);
            assert_eq!(stood, (status, met_minor), "{:?}", past.happened);
            assert_eq!(past.booking_at(0).status, Booking::Pending);
        }
    }

    #[test]
    fn an_attempt_ended_with_its_booking_unless_a_bank_had_still_to_decide() {
        let cases: [(Story, AttemptStatus); 7] = [
            (|_, _| vec![], AttemptStatus::Creating),
            (
                |attempt, _| vec![AttemptOpened(attempt), Expired],
                AttemptStatus::Expired,
            ),
            (
                |_, _| vec![AttemptOpened(AttemptId::new())],
                AttemptStatus::Creating,
            ),
            (
                |attempt, _| vec![AttemptOpened(attempt), Cancelled],
                AttemptStatus::Expired,
            ),
            (
                |attempt, _| vec![AwaitingFunds(attempt), Other, Cancelled],
                AttemptStatus::Processing,
            ),
            (
                |attempt, _| vec![AwaitingFunds(attempt), Failed],
                AttemptStatus::Failed,
            ),
            (
                |attempt, _| vec![AwaitingFunds(attempt), Cancelled, AttemptEnded(attempt)],
                AttemptStatus::Expired,
            ),
        ];
        for (story, status) in cases {
            let past = past(story);

            let state = past.checkout_at(past.end(), past.attempts[0].id).unwrap();

            assert_eq!(state.attempt_status, status, "{:?}", past.happened);
        }
    }

    #[test]
    fn an_attempt_was_paid_from_its_payment_on() {
        let past = past(|attempt, payment| {
            let opened = AttemptOpened(attempt);
            vec![Other, opened, Expired, ClaimedAgain, Applied(Some(payment))]
        });
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
