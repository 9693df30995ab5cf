//! What has to be done about a report: pure.

use chrono::{DateTime, TimeDelta, Utc};
use tracing::Span;

use crate::domain::attempt::AttemptOfBooking;
use crate::domain::checkout;
use crate::domain::checkout_state::{CheckoutDecision, CheckoutState};
use crate::domain::payment_intent;
use crate::domain::stripe_report::{AttemptReference, StripeReport};

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

/// What has to be done about a report.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing: the sentence says why.
    Ignore(&'static str),
    /// Look at it again at this time: it is ours, but what it is about is not here yet.
    Defer(DateTime<Utc>),
    /// Leave it to a person: what it is about has never come.
    GiveUp,
    /// Change a booking, or leave it as it is.
    Checkout(CheckoutDecision),
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

/// What has to be done about `item`, where the booking and the attempt that it is about stand so.
pub(super) fn plan(item: &Item<'_>, state: Option<&CheckoutState>, now: DateTime<Utc>) -> Plan {
    let report = match item.report {
        Ok(report) => report,
        Err(reason) => return Plan::Ignore(reason),
    };
    match (report, state) {
        (StripeReport::Checkout(report), Some(state)) => {
            Plan::Checkout(checkout::decide(state, report))
        }
        (StripeReport::PaymentIntent(report), Some(state)) => {
            Plan::Checkout(payment_intent::decide(state, report))
        }
        (StripeReport::Checkout(_) | StripeReport::PaymentIntent(_), None) => unmatched(item, now),
        (StripeReport::Refund(_), _) => {
            Plan::Ignore("ignored: refunds are settled by what Stripe answers when it is asked")
        }
        (StripeReport::Dispute, _) => {
            Plan::Ignore("ignored: disputes are handled in Stripe's dashboard")
        }
    }
}

/// A report whose attempt is not here: ours to come, or none of our business.
fn unmatched(item: &Item<'_>, now: DateTime<Utc>) -> Plan {
    let Some(event) = item.event.filter(|_| item.reference.is_ours()) else {
        return Plan::Ignore("ignored: it is about nothing of ours");
    };
    let waited = now.signed_duration_since(event.received_at);
    if waited > DEFERRED_MAX {
        return Plan::GiveUp;
    }
    Plan::Defer(now + waited.clamp(AGAIN_MIN, AGAIN_MAX))
}
