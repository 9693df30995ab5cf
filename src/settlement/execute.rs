//! Carries plans out, all of them in the caller's transaction.

use chrono::{DateTime, Utc};

use super::mismatches::heal_unmatched;
use super::plan::{Item, Plan};
use super::round::{ReportedAttempt, Round};
use super::sentences;
use crate::connection::Connection;
use crate::domain::attempt::AttemptOfBooking;
use crate::domain::charge::FailedPayment;
use crate::domain::ids::BookingId;
use crate::domain::job::Job;
use crate::domain::payment_event::EventStatus;
use crate::domain::stripe_report::Change;
use crate::error::{Error, Result};
use crate::repositories::payments::{MarkedEvent, NewFailedPayment};

/// What was done about a report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    /// Where its event stands.
    pub(super) status: EventStatus,
    /// A sentence for people.
    pub(super) sentence: &'static str,
    /// The booking that was changed.
    pub(super) changed: Option<BookingId>,
}

impl Done {
    pub(super) fn change(self) -> Option<Change> {
        self.changed.map(|booking_id| Change {
            booking_id,
            what: self.sentence,
        })
    }
}

impl<'a> Round<'a> {
    /// Carries a plan out, or notes what the end of the round has to write for it.
    pub(super) async fn execute(
        &mut self,
        db: &mut Connection,
        item: &'a Item<'a>,
        plan: Plan<'_>,
    ) -> Result<Done> {
        let changed = plan.changes();
        let (status, sentence) = match plan {
            Plan::Ignore(reason) => (EventStatus::Ignored, reason),
            Plan::Defer(until) => self.defer(item, until)?,
            Plan::Fault(sentence) => return Err(Error::fault(sentence)),
            Plan::GiveUp => {
                tracing::error!("an event of ours has matched nothing for days");
                self.leave_unmatched(db, item).await?;
                (EventStatus::Failed, sentences::GIVEN_UP)
            }
            Plan::Checkout(state, decision) => {
                let reported = ReportedAttempt::new(item, state)?;
                let sentence = self.change_checkout(db, reported, decision).await?;
                (EventStatus::Processed, sentence)
            }
            Plan::KeepCharge(report) => {
                self.settlement.charges.push(report.clone());
                (EventStatus::Processed, sentences::CHARGE_KEPT)
            }
            Plan::KeepFailure(failure, attempt) => self.keep_failure(item, failure, attempt),
            Plan::Dispute(payment, report, decision) => {
                let sentence = self.change_dispute(db, payment, report, decision).await?;
                (EventStatus::Processed, sentence)
            }
            Plan::FlagFraud(payment, report) => {
                let sentence = self.flag_fraud(db, payment, report).await?;
                (EventStatus::Processed, sentence)
            }
            Plan::NoChange(reason) => (EventStatus::Processed, reason),
            Plan::Refund(payment, found, change) => {
                let sentence = self.change_refund(db, payment, found, change).await?;
                (EventStatus::Processed, sentence)
            }
            Plan::LeaveRefund(payment, found) => {
                let sentence = self.leave_refund(db, payment, found).await?;
                (EventStatus::Processed, sentence)
            }
            Plan::LookAtRefunds(payment, again_at) => self.look_at_refunds(payment, item, again_at),
            Plan::RefundRefused(payment, refusal, decision) => {
                let sentence = self.refuse_refund(db, payment, refusal, decision).await?;
                (EventStatus::Processed, sentence)
            }
        };
        let done = Done {
            status,
            sentence,
            changed,
        };
        self.mark(db, item, done).await?;
        Ok(done)
    }

    /// Notes where the event of a report stands now.
    async fn mark(&mut self, db: &mut Connection, item: &'a Item<'a>, done: Done) -> Result<()> {
        let Some(event) = item.event else {
            return Ok(());
        };
        if event.was_given_up && done.status.is_settled() {
            heal_unmatched(db, event).await?;
        }
        self.settlement.payment_events.push(MarkedEvent {
            id: event.id,
            status: done.status,
            outcome: done.sentence,
            attempt: item.attempt,
        });
        Ok(())
    }

    fn defer(
        &mut self,
        item: &Item<'_>,
        until: DateTime<Utc>,
    ) -> Result<(EventStatus, &'static str)> {
        let event = item.event;
        let event = event.ok_or_else(|| Error::fault("an answer was deferred"))?;
        let event_id = event.id.to_owned();
        self.jobs.push(Job::SettleEvent { event_id }.at(until));
        Ok((EventStatus::Deferred, sentences::DEFERRED))
    }

    fn keep_failure(
        &mut self,
        item: &'a Item<'a>,
        failure: &FailedPayment,
        attempt: AttemptOfBooking,
    ) -> (EventStatus, &'static str) {
        self.settlement.failed_payments.push(NewFailedPayment {
            failure: failure.clone(),
            attempt,
            event_id: item.event.map(|event| event.id).unwrap_or_default(),
        });
        (EventStatus::Processed, sentences::FAILURE_KEPT)
    }
}
