//! What has to be done about a report: pure.

use chrono::{DateTime, TimeDelta, Utc};
use tracing::Span;

use super::sentences;
use crate::domain::attempt::AttemptOfBooking;
use crate::domain::charge::{ChargeReference, ChargeReport, FailedPayment};
use crate::domain::checkout_state::{CheckoutDecision, CheckoutState};
use crate::domain::dispute::{DisputeDecision, DisputeReport, DisputedPayment};
use crate::domain::fraud_warning::FraudWarningReport;
use crate::domain::ids::BookingId;
use crate::domain::job::DEFERRED_PAUSE_MAX;
use crate::domain::payment::SettledBy;
use crate::domain::refund::{RefundReference, StripeRefund};
use crate::domain::refund_refusal::{RefundRefusal, RefusalDecision};
use crate::domain::refund_state::{RefundChange, RefundDecision, RefundedPayment};
use crate::domain::stripe_report::{AttemptReference, StripeReport};
use crate::domain::{checkout, dispute, fraud_warning, payment_intent, refund, refund_refusal};

/// A deferred event is looked at again after as long as it has waited, but at least after this.
const AGAIN_MIN: TimeDelta = TimeDelta::seconds(5);
/// An event that matches nothing for as long as Stripe would have sent it again is left to a
/// person.
const DEFERRED_MAX: TimeDelta = TimeDelta::days(3);

/// A report, and what was found for it.
#[derive(Debug)]
pub(super) struct Item<'a> {
    /// What Stripe says, or why that does not matter here.
    pub(super) report: Result<&'a StripeReport, &'static str>,
    /// What Stripe's object names.
    pub(super) reference: &'a AttemptReference,
    /// Whether the object says that we have made it.
    pub(super) is_ours: bool,
    /// The attempt that it is about, if there is one.
    pub(super) attempt: Option<AttemptOfBooking>,
    /// How it was brought; none where it brings no payment.
    pub(super) settled_by: Option<SettledBy>,
    /// The event that brought it; none where Stripe was asked.
    pub(super) event: Option<ReportingEvent<'a>>,
    /// The span of the request that brought it: what is logged about it is logged there.
    pub(super) span: &'a Span,
}

/// The event that brings a report.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReportingEvent<'a> {
    /// `evt_…`
    pub(super) id: &'a str,
    /// When it first came.
    pub(super) received_at: DateTime<Utc>,
    /// Whether it had been given up, and comes again.
    pub(super) was_given_up: bool,
}

/// How what a report is about stands, under its lock.
#[derive(Debug, Clone, Copy)]
pub(super) enum State<'a> {
    Checkout(&'a CheckoutState),
    Refunds(&'a RefundedPayment),
    Payment(&'a DisputedPayment),
}

impl State<'_> {
    pub(super) fn booking_id(self) -> BookingId {
        match self {
            Self::Checkout(state) => state.attempt.booking_id,
            Self::Refunds(payment) => payment.booking_id,
            Self::Payment(payment) => payment.booking_id,
        }
    }
}

/// What has to be done about a report.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan<'a> {
    /// Nothing: the sentence says why.
    Ignore(&'static str),
    /// Look at it again at this time: it is ours, but what it is about is not here yet.
    Defer(DateTime<Utc>),
    /// Leave it to a person: what it is about has never come.
    GiveUp,
    /// Nothing can be done, by a fault of ours: the sentence says what is wrong.
    Fault(&'static str),
    /// Change a booking that stands so, or leave it as it is.
    Checkout(&'a CheckoutState, CheckoutDecision),
    /// Keep how a payment of ours was paid.
    KeepCharge(&'a ChargeReport),
    /// Keep that a try to pay this attempt has failed.
    KeepFailure(&'a FailedPayment, AttemptOfBooking),
    /// Nothing new: the sentence says why.
    NoChange(&'static str),
    /// Change the refunds of this payment.
    Refund(&'a RefundedPayment, &'a StripeRefund, RefundChange),
    /// Leave a refund of this payment to a person.
    LeaveRefund(&'a RefundedPayment, &'a StripeRefund),
    /// Have the refunds of this payment looked at, and then the event again at this time, if so.
    LookAtRefunds(&'a RefundedPayment, Option<DateTime<Utc>>),
    /// Ask again later for a refund of this payment, or give it up.
    RefundRefused(&'a RefundedPayment, &'a RefundRefusal, RefusalDecision),
    /// Change a dispute of this payment, or leave it as it is.
    Dispute(&'a DisputedPayment, &'a DisputeReport, DisputeDecision),
    /// Flag this payment as probable fraud.
    FlagFraud(&'a DisputedPayment, &'a FraudWarningReport),
}

impl Plan<'_> {
    /// The booking that it changes: what else is reported of it has to be planned on what this
    /// makes of it.
    pub(super) fn changes(&self) -> Option<BookingId> {
        match self {
            Self::Ignore(_)
            | Self::Defer(_)
            | Self::GiveUp
            | Self::Fault(_)
            | Self::KeepCharge(_)
            | Self::KeepFailure(..)
            | Self::Checkout(_, CheckoutDecision::NoChange(_))
            | Self::NoChange(_)
            | Self::LeaveRefund(..)
            | Self::LookAtRefunds(..)
            | Self::RefundRefused(_, _, RefusalDecision::NoChange(_))
            | Self::Dispute(_, _, DisputeDecision::NoChange(_)) => None,
            Self::Checkout(state, _) => Some(State::Checkout(state).booking_id()),
            Self::Refund(payment, _, _) | Self::RefundRefused(payment, _, _) => {
                Some(State::Refunds(payment).booking_id())
            }
            Self::Dispute(payment, _, _) | Self::FlagFraud(payment, _) => {
                Some(State::Payment(payment).booking_id())
            }
        }
    }
}

impl Item<'_> {
    /// The PaymentIntent of the capture that it reports, if it does.
    pub(super) fn payment_intent_id(&self) -> Option<&str> {
        let capture = self.report.ok()?.capture()?;
        capture.payment_intent_id.as_deref()
    }

    /// The charge of the payment whose disputes have to be known to plan.
    pub(super) fn disputed_charge(&self) -> Option<&ChargeReference> {
        self.report.ok()?.disputed_charge()
    }

    /// By what the payment is found whose refunds have to be known to plan.
    pub(super) fn refund_reference(&self) -> Option<RefundReference> {
        self.report.ok()?.refund_reference()
    }

    /// The attempt whose state has to be known to plan.
    pub(super) fn attempt_to_lock(&self) -> Option<AttemptOfBooking> {
        match self.report {
            Ok(StripeReport::Checkout(_) | StripeReport::PaymentIntent(_)) => self.attempt,
            Ok(
                StripeReport::Charge(_)
                | StripeReport::FailedPayment(_)
                | StripeReport::Refund(_)
                | StripeReport::RefundRefused(_)
                | StripeReport::Refunded(_)
                | StripeReport::Dispute(_)
                | StripeReport::FraudWarning(_),
            )
            | Err(_) => None,
        }
    }
}

/// What has to be done about `item`, where what it is about stands so.
pub(super) fn plan<'a>(
    item: &'a Item<'a>,
    state: Option<State<'a>>,
    now: DateTime<Utc>,
) -> Plan<'a> {
    let report = match item.report {
        Ok(report) => report,
        Err(reason) => return Plan::Ignore(reason),
    };
    match (report, state) {
        (StripeReport::Checkout(report), Some(State::Checkout(state))) => {
            Plan::Checkout(state, checkout::decide(state, report))
        }
        (StripeReport::PaymentIntent(report), Some(State::Checkout(state))) => {
            Plan::Checkout(state, payment_intent::decide(state, report))
        }
        (
            StripeReport::Checkout(_) | StripeReport::PaymentIntent(_),
            Some(State::Refunds(_) | State::Payment(_)) | None,
        ) => unmatched(item, now),
        (StripeReport::Charge(report), _) => {
            if item.attempt.is_some() || item.is_ours {
                Plan::KeepCharge(report)
            } else {
                Plan::Ignore("ignored: it is about no payment of ours")
            }
        }
        (StripeReport::FailedPayment(report), _) => match item.attempt {
            Some(attempt) => Plan::KeepFailure(report, attempt),
            None => unmatched(item, now),
        },
        (StripeReport::Refund(found), Some(State::Refunds(payment))) => {
            match refund::decide(payment, found) {
                RefundDecision::NoChange(reason) => Plan::NoChange(reason),
                RefundDecision::Change(change) => Plan::Refund(payment, found, change),
                RefundDecision::Leave => Plan::LeaveRefund(payment, found),
                RefundDecision::LookFirst => look_first(item, payment, found, now),
            }
        }
        (StripeReport::RefundRefused(refusal), Some(State::Refunds(payment))) => {
            let decision = refund_refusal::decide(payment, refusal, now);
            Plan::RefundRefused(payment, refusal, decision)
        }
        (StripeReport::Refunded(charge), Some(State::Refunds(payment))) => {
            if charge.refunded_minor == payment.refunded_minor() {
                Plan::NoChange(sentences::REFUNDS_KNOWN)
            } else {
                Plan::LookAtRefunds(payment, None)
            }
        }
        (StripeReport::Dispute(report), Some(State::Payment(payment))) => {
            Plan::Dispute(payment, report, dispute::decide(payment, report))
        }
        (StripeReport::FraudWarning(report), Some(State::Payment(payment))) => {
            if fraud_warning::is_new(payment, report) {
                Plan::FlagFraud(payment, report)
            } else {
                Plan::Ignore(sentences::FRAUD_KNOWN)
            }
        }
        (
            StripeReport::Refund(_)
            | StripeReport::RefundRefused(_)
            | StripeReport::Refunded(_)
            | StripeReport::Dispute(_)
            | StripeReport::FraudWarning(_),
            Some(State::Checkout(_) | State::Refunds(_) | State::Payment(_)) | None,
        ) => unmatched_charge(item, now),
    }
}

/// Once the other refunds of the payment have been looked at, this one is taken up again. Where it
/// still does not fit after days, more has gone back than came in, and a person has to look.
fn look_first<'a>(
    item: &Item<'_>,
    payment: &'a RefundedPayment,
    found: &'a StripeRefund,
    now: DateTime<Utc>,
) -> Plan<'a> {
    match (item.event, again_at(item, now)) {
        (None, _) => Plan::LookAtRefunds(payment, None),
        (Some(_), Some(at)) => Plan::LookAtRefunds(payment, Some(at)),
        (Some(_), None) => Plan::LeaveRefund(payment, found),
    }
}

/// A dispute or a refund whose payment is not here. Neither says who has made the charge, so that
/// it may be ours to come; only what nobody has paid us for days is none of our business.
fn unmatched_charge<'a>(item: &Item<'_>, now: DateTime<Utc>) -> Plan<'a> {
    const NOT_OURS: Plan<'_> = Plan::Ignore("ignored: it is about no payment of ours");
    if item.event.is_none() {
        return Plan::Fault("Stripe was asked about a payment that is not here");
    }
    if item.attempt.is_some() || item.is_ours {
        return wait(item, now).unwrap_or(Plan::GiveUp);
    }
    let refunded = item.refund_reference().map(|reference| reference.charge);
    let charge = item.disputed_charge().or(refunded.as_ref());
    let names_one = charge.is_some_and(ChargeReference::names_one);
    if item.reference.app.is_some() || !names_one {
        return NOT_OURS;
    }
    wait(item, now).unwrap_or(NOT_OURS)
}

/// A report whose attempt is not here: ours to come, or none of our business.
fn unmatched<'a>(item: &Item<'_>, now: DateTime<Utc>) -> Plan<'a> {
    if item.event.is_none() || !item.is_ours {
        return Plan::Ignore("ignored: it is about nothing of ours");
    }
    wait(item, now).unwrap_or(Plan::GiveUp)
}

/// Defers an event, unless it has waited for too long.
fn wait<'a>(item: &Item<'_>, now: DateTime<Utc>) -> Option<Plan<'a>> {
    again_at(item, now).map(Plan::Defer)
}

/// When it is looked at again, if it is.
fn again_at(item: &Item<'_>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let waited = now.signed_duration_since(item.event?.received_at);
    let pause = waited.clamp(AGAIN_MIN, DEFERRED_PAUSE_MAX);
    (waited <= DEFERRED_MAX).then(|| now + pause)
}

#[cfg(test)]
mod tests;
