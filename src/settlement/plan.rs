//! What has to be done about a report: pure.

use chrono::{DateTime, TimeDelta, Utc};
use tracing::Span;

use crate::domain::attempt::AttemptOfBooking;
use crate::domain::checkout_state::{CheckoutDecision, CheckoutState};
use crate::domain::ids::{BookingId, RefundId};
use crate::domain::refund::{RefundDecision, RefundReport, RefundState};
use crate::domain::stripe_report::{AttemptReference, StripeReport};
use crate::domain::{checkout, payment_intent, refund};

/// A deferred event is looked at again after as long as it has waited, but at least and at most
/// after this.
const AGAIN_MIN: TimeDelta = TimeDelta::seconds(5);
const AGAIN_MAX: TimeDelta = TimeDelta::hours(1);
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
    /// The attempt that it is about, if there is one.
    pub(super) attempt: Option<AttemptOfBooking>,
    /// The refund that it is about, if it was asked for.
    pub(super) refund: Option<RefundId>,
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
}

/// How what a report is about stands, under its lock.
#[derive(Debug, Clone, Copy)]
pub(super) enum State<'a> {
    Checkout(&'a CheckoutState),
    Refund(&'a RefundState),
}

impl State<'_> {
    pub(super) fn booking_id(self) -> BookingId {
        match self {
            Self::Checkout(state) => state.attempt.booking_id,
            Self::Refund(state) => state.booking_id,
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
    /// Change a booking that stands so, or leave it as it is.
    Checkout(&'a CheckoutState, CheckoutDecision),
    /// Change a refund that stands so, or leave it as it is.
    Refund(&'a RefundState, &'a RefundReport, RefundDecision),
}

impl Plan<'_> {
    /// The booking that it changes: what else is reported of it has to be planned on what this
    /// makes of it.
    pub(super) fn changes(&self) -> Option<BookingId> {
        match self {
            Self::Ignore(_)
            | Self::Defer(_)
            | Self::GiveUp
            | Self::Checkout(_, CheckoutDecision::NoChange(_))
            | Self::Refund(_, _, RefundDecision::NoChange(_)) => None,
            Self::Checkout(state, _) => Some(State::Checkout(state).booking_id()),
            Self::Refund(state, _, _) => Some(State::Refund(state).booking_id()),
        }
    }
}

impl Item<'_> {
    /// The PaymentIntent of the capture that it reports, if it does.
    pub(super) fn payment_intent_id(&self) -> Option<&str> {
        let capture = self.report.ok()?.capture()?;
        capture.payment_intent_id.as_deref()
    }

    /// The attempt whose state has to be known to plan.
    pub(super) fn attempt_to_lock(&self) -> Option<AttemptOfBooking> {
        match self.report {
            Ok(StripeReport::Checkout(_) | StripeReport::PaymentIntent(_)) => self.attempt,
            Ok(StripeReport::Refund(_) | StripeReport::Dispute) | Err(_) => None,
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
            Some(State::Refund(_)) | None,
        ) => unmatched(item, now),
        (StripeReport::Refund(report), Some(State::Refund(state))) => {
            Plan::Refund(state, report, refund::decide(state.status, report))
        }
        (StripeReport::Refund(_), Some(State::Checkout(_)) | None) => {
            Plan::Ignore("ignored: refunds are settled by what Stripe answers when it is asked")
        }
        (StripeReport::Dispute, _) => {
            Plan::Ignore("ignored: disputes are handled in Stripe's dashboard")
        }
    }
}

/// A report whose attempt is not here: ours to come, or none of our business.
fn unmatched<'a>(item: &Item<'_>, now: DateTime<Utc>) -> Plan<'a> {
    let Some(event) = item.event.filter(|_| item.reference.is_ours()) else {
        return Plan::Ignore("ignored: it is about nothing of ours");
    };
    let waited = now.signed_duration_since(event.received_at);
    if waited > DEFERRED_MAX {
        return Plan::GiveUp;
    }
    Plan::Defer(now + waited.clamp(AGAIN_MIN, AGAIN_MAX))
}
