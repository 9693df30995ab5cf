//! Stored events, read again.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use tracing::Span;

use super::meanings::means;
use crate::domain::charge::{ChargeReference, ChargeReport, FailedPayment};
use crate::domain::difference::Difference;
use crate::domain::dispute::DisputeReport;
use crate::domain::ids::BookingId;
use crate::domain::payment::SettledBy;
use crate::domain::payment_event::{EventStatus, StoredEvent};
use crate::domain::stripe_report::StripeReport;
use crate::gateways::stripe::event::{self, Event};
use crate::settlement::events::{OTHER_MODE, relevant};
use crate::settlement::plan::{Item, ReportingEvent};
use crate::settlement::sentences;

/// Who says what does not fit.
const WITNESS: &str = "the replay says";
/// An event that was given up had waited for longer than any may.
const GIVEN_UP_AFTER: TimeDelta = TimeDelta::days(4);

/// A stored event that could be read again.
pub struct ReadEvent {
    pub(super) stored: StoredEvent,
    event: Event,
    /// The mode that Stripe was in.
    livemode: bool,
    /// As an event that comes now: how long it had waited matters, not when that was.
    received_at: DateTime<Utc>,
}

/// Reads stored events again, at `now`. Notes those that cannot be read, and those whose body says
/// otherwise than what is stored beside it.
pub fn read(
    stored: Vec<StoredEvent>,
    now: DateTime<Utc>,
    differences: &mut Vec<Difference>,
) -> Vec<ReadEvent> {
    let modes = modes(&stored);
    let mut events = Vec::new();
    for stored in stored {
        let event = match event::parse(&stored.payload) {
            Ok(event) => event,
            Err(refusal) => {
                let said = Some(format!("that it cannot be read: {refusal}"));
                differences.push(differs(&stored.id, None, said));
                continue;
            }
        };
        let beside = words(&[
            Some(&stored.id),
            Some(&stored.kind),
            stored.session_id.as_ref(),
            stored.payment_intent_id.as_ref(),
            stored.livemode.map(|is| is.to_string()).as_ref(),
            stored.created_at.map(precisely).as_ref(),
        ]);
        let body = words(&[
            Some(&event.id),
            Some(&event.kind),
            event.reference.session_id.as_ref(),
            event.reference.payment_intent_id.as_ref(),
            event.livemode.map(|is| is.to_string()).as_ref(),
            event.created_at.map(precisely).as_ref(),
        ]);
        if beside != body {
            differences.push(Difference {
                subject: format!("event {}", stored.id),
                stored: Some(beside),
                witness: "its body says".to_owned(),
                said: Some(body),
            });
        }
        let waited = match stored.processed_at {
            Some(at) => at.signed_duration_since(stored.received_at),
            None => GIVEN_UP_AFTER,
        };
        let booking = stored.attempt.map(|attempt| attempt.booking_id);
        let of_booking = booking.and_then(|id| modes.get(&id).copied());
        let livemode = of_booking.unwrap_or_else(|| mode_by(&stored));
        events.push(ReadEvent {
            received_at: now - waited,
            stored,
            event,
            livemode,
        });
    }
    events
}

/// In which mode Stripe was for bookings of which an event has had an effect: all that is of one
/// booking is of one account.
fn modes(stored: &[StoredEvent]) -> HashMap<BookingId, bool> {
    let effective = stored.iter();
    let effective = effective.filter(|event| event.status == EventStatus::Processed);
    let modes = effective.filter_map(|event| Some((event.attempt?.booking_id, event.livemode?)));
    modes.collect()
}

/// In which mode Stripe was, by the end of an event alone: its own, unless it was ignored for that.
fn mode_by(stored: &StoredEvent) -> bool {
    let own = stored.livemode.unwrap_or_default();
    let was_other = means(stored.outcome.as_deref(), OTHER_MODE);
    own != was_other
}

/// As precisely as Postgres keeps it.
fn precisely(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn words(words: &[Option<&String>]) -> String {
    let words = words.iter().map(|word| word.map_or("-", String::as_str));
    words.collect::<Vec<_>>().join(" ")
}

impl ReadEvent {
    /// `evt_…`
    pub fn id(&self) -> &str {
        &self.stored.id
    }

    /// The charge, and the refund at Stripe, of whose payment it has said something although no
    /// booking was found by what it names first.
    pub fn speaks_of_payment(&self) -> Option<(ChargeReference, Option<String>)> {
        let report = self.event.report.as_ref().ok()?;
        if self.stored.attempt.is_some() || self.stored.status != EventStatus::Processed {
            return None;
        }
        if let StripeReport::Charge(charge) = report {
            let reference = ChargeReference {
                charge_id: Some(charge.charge_id.clone()),
                payment_intent_id: Some(charge.payment_intent_id.clone()),
            };
            return Some((reference, None));
        }
        let refund = report.refund_reference();
        let charge = report.disputed_charge().cloned();
        let charge = charge.or_else(|| Some(refund.as_ref()?.charge.clone()))?;
        Some((charge, refund.and_then(|refund| refund.stripe_refund_id)))
    }

    /// Whether it is about a payment that must be there: about a refund, a dispute or fraud.
    pub fn is_about_payment(&self) -> bool {
        let about = |report: &StripeReport| {
            report.refund_reference().is_some() || report.disputed_charge().is_some()
        };
        self.event.report.as_ref().is_ok_and(about)
    }

    /// What it says of how a payment was paid, if it was kept.
    pub fn charge(&self) -> Option<&ChargeReport> {
        match self.event.report.as_ref().ok()? {
            StripeReport::Charge(charge) if self.stored.status == EventStatus::Processed => {
                Some(charge)
            }
            _ => None,
        }
    }

    /// What it says of a dispute, if that was kept.
    pub fn dispute(&self) -> Option<&DisputeReport> {
        match self.event.report.as_ref().ok()? {
            StripeReport::Dispute(dispute) if self.stored.status == EventStatus::Processed => {
                Some(dispute)
            }
            _ => None,
        }
    }

    /// What it says of a try to pay that has failed, if it was kept, and under which name.
    pub fn failure(&self) -> Option<(&str, &FailedPayment)> {
        match self.event.report.as_ref().ok()? {
            StripeReport::FailedPayment(failure)
                if self.stored.status == EventStatus::Processed =>
            {
                let charge_id = failure.charge_id.as_deref();
                Some((charge_id.unwrap_or(&self.stored.id), failure))
            }
            _ => None,
        }
    }

    pub(super) fn item<'a>(&'a self, span: &'a Span) -> Item<'a> {
        Item {
            report: relevant(self.livemode, &self.event),
            reference: &self.event.reference,
            // Under which name we were known then is not kept; what names us by it was not ignored.
            is_ours: self.event.reference.app.is_some()
                && self.stored.status != EventStatus::Ignored,
            attempt: self.stored.attempt,
            settled_by: Some(SettledBy::Webhook),
            event: Some(ReportingEvent {
                id: &self.stored.id,
                received_at: self.received_at,
                was_given_up: false,
            }),
            span,
        }
    }

    /// Whether the end that is stored is one to which a report like this can come, depending on
    /// what came before it.
    pub(super) fn could_have_ended_so(&self) -> bool {
        let Ok(report) = &self.event.report else {
            return false;
        };
        match self.stored.status {
            EventStatus::Processed | EventStatus::Ignored => {
                let is_ignored = self.stored.status == EventStatus::Ignored;
                let mut possible = sentences::could_be_of(report).iter();
                let is_possible = possible.any(|sentence| self.has_come_to(sentence));
                is_possible && is_ignored == self.has_come_to(sentences::FRAUD_KNOWN)
            }
            EventStatus::Failed => self.has_come_to(sentences::GIVEN_UP),
            EventStatus::Received | EventStatus::Deferred => false,
        }
    }

    /// Whether the end that is stored is this one, in whatever words.
    pub(super) fn has_come_to(&self, sentence: &str) -> bool {
        means(self.stored.outcome.as_deref(), sentence)
    }

    /// Notes where the event is stored with another end than this. Why it was ignored decides
    /// nothing.
    pub(super) fn compare(
        &self,
        status: EventStatus,
        sentence: &str,
        differences: &mut Vec<Difference>,
    ) {
        let is_same = status == EventStatus::Ignored || self.has_come_to(sentence);
        if self.stored.status != status || !is_same {
            let stored = self.stored.outcome.as_deref();
            let stored = stored.map(|outcome| format!("{:?}, {outcome}", self.stored.status));
            let said = Some(format!("{status:?}, {sentence}"));
            differences.push(differs(&self.stored.id, stored, said));
        }
    }
}

pub(super) fn differs(event_id: &str, stored: Option<String>, said: Option<String>) -> Difference {
    Difference {
        subject: format!("event {event_id}"),
        stored,
        witness: WITNESS.to_owned(),
        said,
    }
}
