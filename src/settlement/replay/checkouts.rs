//! What money has meant for bookings, decided again on each as it stood when the money came.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use tracing::Span;

use super::events::{ReadEvent, differs};
use crate::connection::Connection;
use crate::domain::attempt::AttemptStatus;
use crate::domain::booking_past::BookingPast;
use crate::domain::checkout_state::{CheckoutDecision, CheckoutState};
use crate::domain::difference::Difference;
use crate::domain::funds::{CapturedFunds, SurplusReason};
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::payment_event::EventStatus;
use crate::error::Result;
use crate::repositories::payments::{self, NewPayment, Settlement};
use crate::settlement::checkouts::{CLAIMED_AGAIN, sentence};
use crate::settlement::plan::{Item, Plan, State, plan};
use crate::settlement::round::ReportedAttempt;

/// Decides again what money has meant for bookings, and writes the payments that come of it.
pub async fn replay_checkouts(
    db: &mut Connection,
    pasts: &BTreeMap<BookingId, BookingPast>,
    events: &[ReadEvent],
    now: DateTime<Utc>,
    differences: &mut Vec<Difference>,
) -> Result<()> {
    let span = Span::none();
    let items: Vec<_> = events.iter().map(|event| event.item(&span)).collect();
    let mut new = Vec::new();
    let mut unstored = Unstored::new();
    // What has brought a payment that is stored comes first.
    let mut ordered: Vec<_> = events.iter().zip(&items).collect();
    ordered.sort_by_key(|(event, item)| {
        let past = item
            .attempt
            .and_then(|attempt| pasts.get(&attempt.booking_id));
        past.and_then(|past| past.payment_by(event.id())).is_none()
    });
    for (event, item) in ordered {
        if let Err(reason) = item.report {
            event.compare(EventStatus::Ignored, reason, differences);
            continue;
        }
        let Some(attempt) = item.attempt_to_lock() else {
            continue;
        };
        let past = pasts.get(&attempt.booking_id);
        let moment = past.map(|past| Moment {
            past,
            event,
            item,
            now,
        });
        let decided = moment.and_then(|moment| moment.decide(&mut unstored));
        let Some(decided) = decided else {
            let said = Some("that it is about no attempt".to_owned());
            differences.push(differs(event.id(), event.stored.outcome.clone(), said));
            continue;
        };
        event.compare(EventStatus::Processed, decided.sentence, differences);
        let reported = ReportedAttempt::new(item, &decided.state)?;
        new.extend(
            decided
                .money
                .map(|(funds, reason)| reported.payment(funds, reason)),
        );
    }
    write(db, new, now).await
}

/// What an event has meant for a booking.
struct Decided {
    state: CheckoutState,
    sentence: &'static str,
    /// The money that it has brought, and why that was kept apart, if it was.
    money: Option<(CapturedFunds, Option<SurplusReason>)>,
}

impl Decided {
    fn payment_intent_id(&self) -> Option<String> {
        let (funds, _) = self.money.as_ref()?;
        funds.payment_intent_id.clone()
    }
}

/// PaymentIntents of attempts that have brought a payment which is not stored. Who speaks of it
/// again brings no other.
type Unstored = HashMap<AttemptId, Vec<Option<String>>>;

/// An event, and the past in which it came.
struct Moment<'a> {
    past: &'a BookingPast,
    event: &'a ReadEvent,
    item: &'a Item<'a>,
    now: DateTime<Utc>,
}

impl Moment<'_> {
    /// Decides on the booking as it stood when the event came: before the payment that it has
    /// brought, or, where it has brought none, at a moment at which it comes to what it is stored
    /// to have come to; else as it stands now.
    fn decide(&self, unstored: &mut Unstored) -> Option<Decided> {
        let attempt_id = self.item.attempt?.attempt_id;
        let known = unstored.entry(attempt_id).or_default();
        let brought = self.past.payment_by(self.event.id());
        let before = brought.and_then(|payment| self.past.before(payment.id));
        if let Some((payment, moment)) = brought.zip(before) {
            let decided = self.decide_at(moment, &[])?;
            let intent = decided.payment_intent_id();
            if intent.is_some() && intent != payment.payment_intent_id {
                known.push(intent);
            }
            return Some(decided);
        }
        let moments = (0..=self.past.end()).rev();
        let mut decided = moments.filter_map(|moment| self.decide_at(moment, known));
        let mut chosen = decided.next()?;
        if !self.event.has_come_to(chosen.sentence) {
            let then = decided.find(|decided| self.event.has_come_to(decided.sentence));
            chosen = then.unwrap_or(chosen);
        }
        if chosen.money.is_some() {
            known.push(chosen.payment_intent_id());
        }
        Some(chosen)
    }

    fn decide_at(&self, moment: usize, unstored: &[Option<String>]) -> Option<Decided> {
        let attempt_id = self.item.attempt?.attempt_id;
        let mut state = self.past.checkout_at(moment, attempt_id)?;
        if !unstored.is_empty() {
            state.attempt_status = AttemptStatus::Paid;
            state.paid_by.extend_from_slice(unstored);
        }
        let planned = plan(self.item, Some(State::Checkout(&state)), self.now);
        let Plan::Checkout(_, decision) = planned else {
            return None;
        };
        let said = sentence(&state, &decision);
        let (sentence, money) = match decision {
            CheckoutDecision::Apply(funds) => (said, Some((funds, None))),
            CheckoutDecision::ClaimAgain(funds) if self.has_claimed_again(moment) => {
                (CLAIMED_AGAIN, Some((funds, None)))
            }
            CheckoutDecision::ClaimAgain(funds) => {
                (said, Some((funds, Some(SurplusReason::LatePayment))))
            }
            CheckoutDecision::KeepSurplus(funds, reason) => (said, Some((funds, Some(reason)))),
            CheckoutDecision::Review(Some(funds), _) => {
                (said, Some((funds, Some(SurplusReason::Mismatch))))
            }
            CheckoutDecision::Review(None, _)
            | CheckoutDecision::NoChange(_)
            | CheckoutDecision::Flag(_)
            | CheckoutDecision::GiveUp(_)
            | CheckoutDecision::AwaitFunds
            | CheckoutDecision::EndBooking(_)
            | CheckoutDecision::CloseAttempt(_) => (said, None),
        };
        Some(Decided {
            state,
            sentence,
            money,
        })
    }

    /// Whether what was reserved could be claimed again, which had to be tried then.
    fn has_claimed_again(&self, moment: usize) -> bool {
        self.past.had_claimed_again(moment) || self.event.has_come_to(CLAIMED_AGAIN)
    }
}

/// Writes payments, in a statement at most one of each booking.
async fn write(
    db: &mut Connection,
    mut new: Vec<NewPayment<'_>>,
    now: DateTime<Utc>,
) -> Result<()> {
    while !new.is_empty() {
        let mut written = HashSet::new();
        let (payments, later) = new
            .into_iter()
            .partition(|payment: &NewPayment<'_>| written.insert(payment.attempt.booking_id));
        let settlement = Settlement {
            payments,
            ..Settlement::default()
        };
        payments::write(db, &settlement, now).await?;
        new = later;
    }
    Ok(())
}
