//! Carries plans out, all of them in the caller's transaction.

use chrono::{DateTime, TimeDelta, Utc};

use super::plan::{Item, Plan};
use crate::connection::Connection;
use crate::domain::booking::BookingStatus;
use crate::domain::booking_event::{BookingEvent, NewBookingEvent};
use crate::domain::checkout_state::{CheckoutDecision, CheckoutState, Ending};
use crate::domain::funds::{CapturedFunds, SurplusReason};
use crate::domain::ids::{BookingId, PaymentId};
use crate::domain::job::{Job, ScheduledJob};
use crate::domain::money::Money;
use crate::domain::payment_event::EventStatus;
use crate::error::{Error, Result};
use crate::repositories::payments::{self, MarkedEvent, NewPayment, Settlement};
use crate::repositories::{attempts, booking_events, bookings, jobs, refunds};

/// How long the slowest of Stripe's delayed methods takes.
/// <https://docs.stripe.com/payments/bank-debits>
const DELAYED_METHOD_MAX: TimeDelta = TimeDelta::days(14);

/// What was done about a report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    /// Where its event stands.
    pub(super) status: EventStatus,
    /// A sentence for people.
    pub(super) sentence: &'static str,
}

/// What the reports of one round come to: written in one statement at its end, but for what has to
/// be tried first.
pub(super) struct Round<'a> {
    pub(super) now: DateTime<Utc>,
    settlement: Settlement<'a>,
    jobs: Vec<ScheduledJob>,
    to_refund: Vec<Surplus>,
}

/// Surplus that goes back by itself.
struct Surplus {
    booking_id: BookingId,
    payment_id: PaymentId,
    amount: Money,
    reason: SurplusReason,
}

/// A report that is about an attempt of ours.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a, 's> {
    pub(super) item: &'a Item<'a>,
    pub(super) state: &'s CheckoutState,
}

impl<'a> Subject<'a, '_> {
    pub(super) fn booking_id(self) -> BookingId {
        self.state.attempt.booking_id
    }

    fn payment(
        self,
        funds: CapturedFunds,
        surplus_reason: Option<SurplusReason>,
    ) -> NewPayment<'a> {
        NewPayment {
            id: PaymentId::new(),
            attempt: self.state.attempt,
            session_id: self.item.reference.session_id.as_deref(),
            funds,
            surplus_reason,
            event_id: self.item.event.map(|event| event.id),
        }
    }
}

impl<'a> Round<'a> {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self {
            now,
            settlement: Settlement::default(),
            jobs: Vec::new(),
            to_refund: Vec::new(),
        }
    }

    /// Carries a plan out, or notes what the end of the round has to write for it.
    pub(super) async fn execute(
        &mut self,
        db: &mut Connection,
        item: &'a Item<'a>,
        state: Option<&CheckoutState>,
        plan: Plan,
    ) -> Result<Done> {
        let (status, sentence) = match plan {
            Plan::Ignore(reason) => (EventStatus::Ignored, reason),
            Plan::Defer(until) => {
                let event = item.event;
                let event = event.ok_or_else(|| Error::fault("an answer was deferred"))?;
                let event_id = event.id.to_owned();
                self.jobs.push(Job::SettleEvent { event_id }.at(until));
                (
                    EventStatus::Deferred,
                    "deferred: the attempt it names is not known yet",
                )
            }
            Plan::GiveUp => {
                tracing::error!("an event of ours has matched nothing for days");
                (
                    EventStatus::Failed,
                    "failed: the attempt it names has never come",
                )
            }
            Plan::Checkout(decision) => {
                let state = state.ok_or_else(|| Error::fault("a decision about no attempt"))?;
                let sentence = self.change(db, Subject { item, state }, decision).await?;
                (EventStatus::Processed, sentence)
            }
        };
        if let Some(event) = item.event {
            self.settlement.payment_events.push(MarkedEvent {
                id: event.id,
                status,
                outcome: sentence,
                attempt: item.attempt,
            });
        }
        Ok(Done { status, sentence })
    }

    async fn change(
        &mut self,
        db: &mut Connection,
        subject: Subject<'a, '_>,
        decision: CheckoutDecision,
    ) -> Result<&'static str> {
        match decision {
            CheckoutDecision::NoChange(reason) => Ok(reason),
            CheckoutDecision::Apply(funds) => {
                let payment = subject.payment(funds, None);
                let payment_id = payment.id;
                self.settlement.payments.push(payment);
                let is_balance = subject.state.status == BookingStatus::Confirmed;
                self.happened(
                    subject,
                    if is_balance {
                        BookingEvent::BalancePaid { payment_id }
                    } else {
                        BookingEvent::Confirmed {
                            payment_id: Some(payment_id),
                        }
                    },
                );
                Ok(if is_balance {
                    "the payment is applied; the booking had been confirmed"
                } else {
                    "the payment is applied and the booking confirmed"
                })
            }
            CheckoutDecision::ClaimAgain(funds) => self.claim_again(db, subject, funds).await,
            CheckoutDecision::KeepSurplus(funds, reason) => {
                Ok(self.keep_surplus(subject, funds, reason))
            }
            CheckoutDecision::Review(funds, mismatch) => {
                self.review(db, subject, funds, mismatch).await
            }
            CheckoutDecision::Flag(mismatch) => {
                self.flag(db, subject, mismatch, false).await?;
                Ok("the payment is recorded, but this report differs from what was asked for")
            }
            CheckoutDecision::GiveUp(mismatch) => {
                self.close(db, subject, Ending::Failed).await?;
                self.give_up(db, subject, mismatch).await
            }
            CheckoutDecision::AwaitFunds => self.await_funds(db, subject).await,
            CheckoutDecision::EndBooking(ending) => {
                self.close(db, subject, ending).await?;
                bookings::end(db, subject.booking_id(), ending, self.now).await?;
                self.happened(subject, ended(ending));
                Ok("the booking has ended unpaid and its seats are free")
            }
            CheckoutDecision::CloseAttempt(ending) => {
                self.close(db, subject, ending).await?;
                let attempt_id = subject.state.attempt.attempt_id;
                self.happened(subject, BookingEvent::AttemptClosed { attempt_id });
                Ok("the attempt is closed; the booking had gone on without it")
            }
        }
    }

    /// Confirms a booking whose hold had ended, if all that it reserved can still be had; else
    /// keeps the money as surplus.
    async fn claim_again(
        &mut self,
        db: &mut Connection,
        subject: Subject<'a, '_>,
        funds: CapturedFunds,
    ) -> Result<&'static str> {
        let payment = subject.payment(funds.clone(), None);
        let payment_id = payment.id;
        let paid = Settlement {
            payments: vec![payment],
            ..Settlement::default()
        };
        db.set_savepoint().await?;
        payments::write(db, &paid, self.now).await?;
        if !bookings::claim_again(db, subject.booking_id(), self.now).await? {
            db.rollback_to_savepoint().await?;
            return Ok(self.keep_surplus(subject, funds, SurplusReason::LatePayment));
        }
        db.release_savepoint().await?;
        let attempt_id = subject.state.attempt.attempt_id;
        self.happened(subject, BookingEvent::ClaimedAgain { attempt_id });
        self.happened(
            subject,
            BookingEvent::Confirmed {
                payment_id: Some(payment_id),
            },
        );
        Ok(
            "the payment came late; the seats were still free, are claimed again, \
             and the booking is confirmed",
        )
    }

    /// Keeps money that is not owed, and sends it back unless a person has to look first.
    pub(super) fn keep_surplus(
        &mut self,
        subject: Subject<'a, '_>,
        funds: CapturedFunds,
        reason: SurplusReason,
    ) -> &'static str {
        let amount = funds.money;
        let payment = subject.payment(funds, Some(reason));
        let surplus = Surplus {
            booking_id: subject.booking_id(),
            payment_id: payment.id,
            amount,
            reason,
        };
        self.settlement.payments.push(payment);
        self.happened(
            subject,
            BookingEvent::SurplusKept {
                payment_id: surplus.payment_id,
                amount,
                reason: reason.as_str().to_owned(),
            },
        );
        if reason.refunds_itself() {
            self.to_refund.push(surplus);
            return "the money is kept as surplus, and its refund is on the way";
        }
        if reason == SurplusReason::UnderReview {
            let id = surplus.booking_id;
            tracing::error!(booking.id = %id, "more money came for a booking under review");
        }
        "the money is kept as surplus; a person decides"
    }

    /// Keeps what a booking reserves as long as a delayed method may take, and looks again then.
    async fn await_funds(
        &mut self,
        db: &mut Connection,
        subject: Subject<'a, '_>,
    ) -> Result<&'static str> {
        let booking_id = subject.booking_id();
        let attempt_id = subject.state.attempt.attempt_id;
        let until = self.now + DELAYED_METHOD_MAX;
        attempts::await_funds(db, attempt_id, subject.item.reference, self.now).await?;
        bookings::await_funds(db, booking_id, until, self.now).await?;
        self.jobs.push(Job::EndHold { booking_id }.at(until));
        self.happened(subject, BookingEvent::AwaitingFunds { attempt_id, until });
        Ok("the buyer has paid by a delayed method; the seats are kept")
    }

    async fn close(
        &mut self,
        db: &mut Connection,
        subject: Subject<'a, '_>,
        ending: Ending,
    ) -> Result<()> {
        let session_id = subject.item.reference.session_id.as_deref();
        let status = ending.attempt_status();
        attempts::close(
            db,
            subject.state.attempt.attempt_id,
            session_id,
            status,
            self.now,
        )
        .await
    }

    pub(super) fn happened(&mut self, subject: Subject<'a, '_>, event: BookingEvent) {
        let booking_id = subject.booking_id();
        let new = NewBookingEvent { booking_id, event };
        self.settlement.booking_events.push(new);
    }

    /// Writes what the round has come to, and what follows from it.
    pub(super) async fn finish(mut self, db: &mut Connection) -> Result<()> {
        if !self.settlement.is_empty() {
            payments::write(db, &self.settlement, self.now).await?;
        }
        for surplus in self.to_refund {
            let refund_id =
                refunds::request_surplus(db, surplus.payment_id, surplus.reason, self.now).await?;
            let event = BookingEvent::RefundRequested {
                refund_id,
                amount: surplus.amount,
            };
            let requested = NewBookingEvent {
                booking_id: surplus.booking_id,
                event,
            };
            booking_events::append(db, &[requested], self.now).await?;
            self.jobs.push(Job::Refund { refund_id }.at(self.now));
        }
        if !self.jobs.is_empty() {
            jobs::enqueue(db, &self.jobs).await?;
        }
        Ok(())
    }
}

fn ended(ending: Ending) -> BookingEvent {
    match ending {
        Ending::Expired => BookingEvent::Expired,
        Ending::Cancelled => BookingEvent::Cancelled,
        Ending::Failed => BookingEvent::Failed,
    }
}
