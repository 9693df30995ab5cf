//! A run: a whole show is cancelled, booking by booking, and all that was paid goes back.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::dispute::Dispute;
use super::ids::{BookingId, RunId};
use super::money::Money;
use super::refund_block::{self, RefundBlock};
use super::refund_request::GrantedRefund;
use super::refund_state::{RefundSource, RefundState, RefundStatus, RefundedPayment};

/// The shortest pause before a booking is looked at again that has not come to its end: most pages
/// are closed, and most refunds made, at once.
const LOOK_PAUSE_MIN: TimeDelta = TimeDelta::seconds(2);
/// The longest pause while a booking is being ended: it still has what it reserves.
const ENDING_PAUSE_MAX: TimeDelta = TimeDelta::minutes(1);
/// The longest pause while its money is waited for. A refund that Stripe puts off may take days;
/// what changes meanwhile is seen sooner, by the version of the booking.
const REFUNDING_PAUSE_MAX: TimeDelta = TimeDelta::hours(1);
/// The longest pause before a run that is not over goes on: it sees what has changed of its
/// bookings.
const RUN_PAUSE_MAX: TimeDelta = TimeDelta::minutes(1);
/// Failures that are named in one go.
pub const FAILURES_MAX: u8 = 100;

/// A run, as admins see it. The bookings that are neither done nor failed are still open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The run.
    pub id: RunId,
    /// Whether anything is left to happen by itself.
    pub state: RunState,
    /// The bookings that it is about.
    pub total: i64,
    /// Those that have ended, and whose money is back or on its way.
    pub done: i64,
    /// Those that a person has to look at.
    pub failed: i64,
    /// The first of these.
    pub failures: Vec<RunFailure>,
}

impl Run {
    /// The same, with bookings among its failures that were done.
    #[must_use]
    pub fn with_late_failures(mut self, late: Vec<RunFailure>) -> Self {
        let number = i64::try_from(late.len()).unwrap_or(i64::MAX);
        self.done = self.done.saturating_sub(number);
        self.failed = self.failed.saturating_add(number);
        self.failures.extend(late);
        self.failures.sort_by_key(|failure| failure.booking_id);
        self.failures.truncate(FAILURES_MAX.into());
        self
    }
}

/// Whether a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum RunState {
    /// Bookings are open: they are being ended, or a refund has still to be made.
    Running,
    /// Nothing more happens by itself.
    Done,
}

/// A booking that a person has to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFailure {
    /// The booking.
    pub booking_id: BookingId,
    /// Why, in a sentence.
    pub error: String,
}

/// How a booking of a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// It is being ended.
    Ending,
    /// It has ended, and its money is waited for.
    Refunding,
    /// It has ended, and its money is back or on its way.
    Done,
    /// A person has to look at it. The sentence says why.
    Failed(String),
}

/// What has come of a booking of a run that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStep {
    /// When something was first done about it; `None` if that was now.
    pub begun_at: Option<DateTime<Utc>>,
    /// How it stands.
    pub outcome: RunOutcome,
}

/// A payment of a booking, with all that goes back of it and all that is said against it, read
/// under its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPayment {
    /// The payment and its refunds.
    pub payment: RefundedPayment,
    /// What banks say against it.
    pub disputes: Vec<Dispute>,
}

/// A refund to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwedRefund {
    /// Of which payment, and how much.
    pub granted: GrantedRefund,
    /// Who asks for it.
    pub source: RefundSource,
}

impl RunStep {
    /// When something was first done about the booking, as of `now`; what was stored by a clock
    /// that was ahead does not count.
    pub fn begun_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.begun_at.map_or(now, |begun_at| begun_at.min(now))
    }

    /// When the booking is looked at again, if it stays open: after as long as it has taken so far.
    pub fn next_look_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let longest = match self.outcome {
            RunOutcome::Ending => ENDING_PAUSE_MAX,
            RunOutcome::Refunding | RunOutcome::Done | RunOutcome::Failed(_) => REFUNDING_PAUSE_MAX,
        };
        let waited = now.signed_duration_since(self.begun_at(now));
        now + waited.clamp(LOOK_PAUSE_MIN, longest)
    }
}

/// No booking of a run waits for longer than this until it is looked at, where no clock is wrong.
pub fn latest_look_at(now: DateTime<Utc>) -> DateTime<Utc> {
    now + REFUNDING_PAUSE_MAX
}

/// When a run goes on that would next look at a booking then.
pub fn next_go_at(look_at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    look_at.clamp(now + LOOK_PAUSE_MIN, now + RUN_PAUSE_MAX)
}

/// What has to be asked back of a booking that does not take place, whatever its policy says: all
/// that was applied to it. What came beside that waits for a person, unless it was to go back and
/// has not gone. What has failed is asked for again only if somebody `insists`. What a bank may
/// take is owed until it has decided, and its refund waits for that; what it has given back is not
/// ours to give.
pub fn owed(payments: &[RunPayment], insists: bool) -> Vec<OwedRefund> {
    let owed = payments.iter().filter_map(|one| {
        let payment = &one.payment;
        let left_minor = payment.unreserved_minor();
        let waits_for_person = if one.last_failed().is_some() {
            !insists
        } else {
            payment.is_surplus
        };
        if left_minor <= 0 || waits_for_person || one.is_gone() {
            return None;
        }
        let source = if payment.is_surplus {
            RefundSource::Admin
        } else {
            RefundSource::Policy
        };
        let granted = GrantedRefund {
            payment_id: payment.id,
            amount: Money::new(left_minor, payment.money.currency),
        };
        Some(OwedRefund { granted, source })
    });
    owed.collect()
}

/// How a booking stands that has ended with these payments.
pub fn judge(payments: &[RunPayment]) -> RunOutcome {
    if payments.iter().any(RunPayment::is_open) {
        return RunOutcome::Refunding;
    }
    let failures: Vec<_> = payments.iter().filter_map(RunPayment::failure).collect();
    if failures.is_empty() {
        RunOutcome::Done
    } else {
        RunOutcome::Failed(failures.join(" "))
    }
}

impl RunPayment {
    fn block(&self) -> Option<RefundBlock> {
        refund_block::of_disputes(&self.disputes)
    }

    /// Whether a bank has given its money back for good.
    fn is_gone(&self) -> bool {
        self.block().is_some_and(RefundBlock::is_for_good)
    }

    fn has_requested(&self) -> bool {
        let mut refunds = self.payment.refunds.iter();
        refunds.any(|refund| refund.status == RefundStatus::Requested)
    }

    /// Whether a refund is still to be made, and no bank is waited for.
    fn is_open(&self) -> bool {
        self.has_requested() && !matches!(self.block(), Some(RefundBlock::Disputed(_)))
    }

    /// Why not all of it goes back.
    fn failure(&self) -> Option<String> {
        let kept_minor = self.payment.unreserved_minor();
        let amount = Money::new(kept_minor, self.payment.money.currency);
        match self.block() {
            Some(block @ RefundBlock::Disputed(_)) => {
                (kept_minor > 0 || self.has_requested()).then(|| block.to_string())
            }
            Some(block @ RefundBlock::GivenBack(_)) => {
                let given_back_minor = refund_block::given_back_minor(&self.disputes);
                (kept_minor > given_back_minor).then(|| block.to_string())
            }
            None if kept_minor <= 0 => None,
            None => Some(match self.last_failed() {
                Some(RefundState {
                    failure_reason: Some(reason),
                    ..
                }) => format!("A refund of {amount} has failed: {reason}."),
                Some(_) => format!("A refund of {amount} has failed; Stripe does not say why."),
                None => {
                    format!("{amount} came beside the price, and waits for somebody to decide.")
                }
            }),
        }
    }

    fn last_failed(&self) -> Option<&RefundState> {
        let mut newest_first = self.payment.refunds.iter().rev();
        newest_first.find(|refund| match refund.status {
            RefundStatus::Failed | RefundStatus::Canceled => true,
            RefundStatus::Requested | RefundStatus::Pending | RefundStatus::Succeeded => false,
        })
    }
}

#[cfg(test)]
mod tests;
