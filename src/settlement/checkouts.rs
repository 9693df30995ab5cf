//! What reports about attempts make of them and of their bookings.

use super::round::{ReportedAttempt, Round, Surplus};
use crate::connection::Connection;
use crate::domain::booking::BookingStatus;
use crate::domain::booking_event::BookingEvent;
use crate::domain::checkout::DELAYED_METHOD_MAX;
use crate::domain::checkout_state::{CheckoutDecision, CheckoutState, Ending};
use crate::domain::funds::{CapturedFunds, SurplusReason};
use crate::domain::job::Job;
use crate::domain::refund_request::GrantedRefund;
use crate::error::Result;
use crate::repositories::payments::{self, Settlement};
use crate::repositories::{attempts, bookings, claims};

/// What is said of a late payment with which all that was reserved could be claimed again.
pub(super) const CLAIMED_AGAIN: &str = "the payment came late; the seats were still free, \
                                        are claimed again, and the booking is confirmed";

/// What is said of a decision about a booking that stands so. Of what has to be tried first it is
/// said that it could not be had.
pub(super) fn sentence(state: &CheckoutState, decision: &CheckoutDecision) -> &'static str {
    match decision {
        CheckoutDecision::NoChange(reason) => reason,
        CheckoutDecision::Apply(_) if state.status == BookingStatus::Confirmed => {
            "the payment is applied; the booking had been confirmed"
        }
        CheckoutDecision::Apply(_) => "the payment is applied and the booking confirmed",
        CheckoutDecision::ClaimAgain(_) => kept(SurplusReason::LatePayment),
        CheckoutDecision::KeepSurplus(_, reason) => kept(*reason),
        CheckoutDecision::Review(..) => DIFFERS,
        CheckoutDecision::Flag(_) => {
            "the payment is recorded, but this report differs from what was asked for"
        }
        CheckoutDecision::GiveUp(_) if state.waits_for_money() => DIFFERS,
        CheckoutDecision::GiveUp(_) => {
            "the attempt is given up; the booking had gone on without it"
        }
        CheckoutDecision::AwaitFunds => {
            "the buyer has paid by a delayed method; the seats are kept"
        }
        CheckoutDecision::EndBooking(_) => "the booking has ended unpaid and its seats are free",
        CheckoutDecision::CloseAttempt(_) => {
            "the attempt is closed; the booking had gone on without it"
        }
    }
}

const DIFFERS: &str = "what Stripe says does not match what was asked for; a person decides";

fn kept(reason: SurplusReason) -> &'static str {
    if reason.refunds_itself() {
        "the money is kept as surplus, and its refund is on the way"
    } else {
        "the money is kept as surplus; a person decides"
    }
}

impl<'a> Round<'a> {
    /// Changes an attempt and its booking as was decided, and says what was done.
    pub(super) async fn change_checkout(
        &mut self,
        db: &mut Connection,
        reported: ReportedAttempt<'a, '_>,
        decision: CheckoutDecision,
    ) -> Result<&'static str> {
        let sentence = sentence(reported.state, &decision);
        match decision {
            CheckoutDecision::NoChange(_) => {}
            CheckoutDecision::Apply(funds) => self.apply(reported, funds),
            CheckoutDecision::ClaimAgain(funds) => {
                return self.claim_again(db, reported, funds).await;
            }
            CheckoutDecision::KeepSurplus(funds, reason) => {
                self.keep_surplus(reported, funds, reason);
            }
            CheckoutDecision::Review(funds, mismatch) => {
                self.review(db, reported, funds, mismatch).await?;
            }
            CheckoutDecision::Flag(mismatch) => {
                self.flag(db, reported, mismatch, false).await?;
            }
            CheckoutDecision::GiveUp(mismatch) => {
                self.close(db, reported, Ending::Failed).await?;
                self.give_up(db, reported, mismatch).await?;
            }
            CheckoutDecision::AwaitFunds => self.await_funds(db, reported).await?,
            CheckoutDecision::EndBooking(ending) => {
                self.close(db, reported, ending).await?;
                self.end_booking(db, reported.booking_id(), ending).await?;
            }
            CheckoutDecision::CloseAttempt(ending) => {
                self.close(db, reported, ending).await?;
                let attempt_id = reported.state.attempt.attempt_id;
                self.happened(
                    reported.booking_id(),
                    BookingEvent::AttemptClosed { attempt_id },
                );
            }
        }
        Ok(sentence)
    }

    /// Applies money to a booking that has what it reserves.
    fn apply(&mut self, reported: ReportedAttempt<'a, '_>, funds: CapturedFunds) {
        let payment = reported.payment(funds, None);
        let payment_id = payment.id;
        self.settlement.payments.push(payment);
        self.happened(
            reported.booking_id(),
            if reported.state.status == BookingStatus::Confirmed {
                BookingEvent::BalancePaid { payment_id }
            } else {
                BookingEvent::Confirmed {
                    payment_id: Some(payment_id),
                }
            },
        );
    }

    /// Confirms a booking whose hold had ended, if all that it reserved can still be had; else
    /// keeps the money as surplus.
    async fn claim_again(
        &mut self,
        db: &mut Connection,
        reported: ReportedAttempt<'a, '_>,
        funds: CapturedFunds,
    ) -> Result<&'static str> {
        let payment = reported.payment(funds.clone(), None);
        let payment_id = payment.id;
        let paid = Settlement {
            payments: vec![payment],
            ..Settlement::default()
        };
        db.set_savepoint().await?;
        let awaited_by = payments::write(db, &paid, self.now).await?;
        self.awake.extend(awaited_by);
        let claimed = claims::claim_again(db, reported.booking_id(), self.now).await?;
        let Some(claimed) = claimed else {
            db.rollback_to_savepoint().await?;
            self.keep_surplus(reported, funds, SurplusReason::LatePayment);
            return Ok(kept(SurplusReason::LatePayment));
        };
        db.release_savepoint().await?;
        let attempt_id = reported.state.attempt.attempt_id;
        self.happened(
            reported.booking_id(),
            BookingEvent::ClaimedAgain {
                attempt_id,
                moved_to: claimed.moved_to,
            },
        );
        self.happened(
            reported.booking_id(),
            BookingEvent::Confirmed {
                payment_id: Some(payment_id),
            },
        );
        Ok(CLAIMED_AGAIN)
    }

    /// Keeps money that is not owed, and sends it back unless a person has to look first.
    pub(super) fn keep_surplus(
        &mut self,
        reported: ReportedAttempt<'a, '_>,
        funds: CapturedFunds,
        reason: SurplusReason,
    ) {
        let amount = funds.money;
        let payment = reported.payment(funds, Some(reason));
        let payment_id = payment.id;
        self.settlement.payments.push(payment);
        self.happened(
            reported.booking_id(),
            BookingEvent::SurplusKept {
                payment_id,
                amount,
                reason,
            },
        );
        if reason.refunds_itself() {
            let granted = GrantedRefund { payment_id, amount };
            self.to_refund.push(Surplus { granted, reason });
        } else if reason == SurplusReason::UnderReview {
            let id = reported.booking_id();
            tracing::error!(booking.id = %id, "more money came for a booking under review");
        }
    }

    /// Keeps what a booking reserves as long as a delayed method may take, and looks again then.
    async fn await_funds(
        &mut self,
        db: &mut Connection,
        reported: ReportedAttempt<'a, '_>,
    ) -> Result<()> {
        let booking_id = reported.booking_id();
        let attempt_id = reported.state.attempt.attempt_id;
        let until = self.now + DELAYED_METHOD_MAX;
        attempts::await_funds(db, attempt_id, reported.item.reference, self.now).await?;
        if reported.state.status == BookingStatus::Pending {
            bookings::await_funds(db, booking_id, until, self.now).await?;
        }
        self.jobs.push(Job::EndHold { booking_id }.at(until));
        self.happened(
            reported.booking_id(),
            BookingEvent::AwaitingFunds { attempt_id, until },
        );
        Ok(())
    }

    async fn close(
        &mut self,
        db: &mut Connection,
        reported: ReportedAttempt<'a, '_>,
        ending: Ending,
    ) -> Result<()> {
        let session_id = reported.item.reference.session_id.as_deref();
        let status = ending.attempt_status();
        attempts::close(
            db,
            reported.state.attempt.attempt_id,
            session_id,
            status,
            self.now,
        )
        .await
    }
}
