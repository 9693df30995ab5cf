//! What reports about attempts make of them and of their bookings.

use super::round::{ReportedAttempt, Round, Surplus};
use crate::connection::Connection;
use crate::domain::booking::BookingStatus;
use crate::domain::booking_event::BookingEvent;
use crate::domain::checkout::DELAYED_METHOD_MAX;
use crate::domain::checkout_state::{CheckoutDecision, Ending};
use crate::domain::funds::{CapturedFunds, SurplusReason};
use crate::domain::job::Job;
use crate::error::Result;
use crate::repositories::payments::{self, Settlement};
use crate::repositories::{attempts, bookings, claims};

impl<'a> Round<'a> {
    /// Changes an attempt and its booking as was decided.
    pub(super) async fn change_checkout(
        &mut self,
        db: &mut Connection,
        reported: ReportedAttempt<'a, '_>,
        decision: CheckoutDecision,
    ) -> Result<&'static str> {
        match decision {
            CheckoutDecision::NoChange(reason) => Ok(reason),
            CheckoutDecision::Apply(funds) => {
                let payment = reported.payment(funds, None);
                let payment_id = payment.id;
                self.settlement.payments.push(payment);
                let is_balance = reported.state.status == BookingStatus::Confirmed;
                self.happened(
                    reported.booking_id(),
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
            CheckoutDecision::ClaimAgain(funds) => self.claim_again(db, reported, funds).await,
            CheckoutDecision::KeepSurplus(funds, reason) => {
                Ok(self.keep_surplus(reported, funds, reason))
            }
            CheckoutDecision::Review(funds, mismatch) => {
                self.review(db, reported, funds, mismatch).await
            }
            CheckoutDecision::Flag(mismatch) => {
                self.flag(db, reported, mismatch, false).await?;
                Ok("the payment is recorded, but this report differs from what was asked for")
            }
            CheckoutDecision::GiveUp(mismatch) => {
                self.close(db, reported, Ending::Failed).await?;
                self.give_up(db, reported, mismatch).await
            }
            CheckoutDecision::AwaitFunds => self.await_funds(db, reported).await,
            CheckoutDecision::EndBooking(ending) => {
                self.close(db, reported, ending).await?;
                self.end_booking(db, reported.booking_id(), ending).await?;
                Ok("the booking has ended unpaid and its seats are free")
            }
            CheckoutDecision::CloseAttempt(ending) => {
                self.close(db, reported, ending).await?;
                let attempt_id = reported.state.attempt.attempt_id;
                self.happened(
                    reported.booking_id(),
                    BookingEvent::AttemptClosed { attempt_id },
                );
                Ok("the attempt is closed; the booking had gone on without it")
            }
        }
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
        payments::write(db, &paid, self.now).await?;
        let claimed = claims::claim_again(db, reported.booking_id(), self.now).await?;
        let Some(claimed) = claimed else {
            db.rollback_to_savepoint().await?;
            return Ok(self.keep_surplus(reported, funds, SurplusReason::LatePayment));
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
        Ok(
            "the payment came late; the seats were still free, are claimed again, \
             and the booking is confirmed",
        )
    }

    /// Keeps money that is not owed, and sends it back unless a person has to look first.
    pub(super) fn keep_surplus(
        &mut self,
        reported: ReportedAttempt<'a, '_>,
        funds: CapturedFunds,
        reason: SurplusReason,
    ) -> &'static str {
        let amount = funds.money;
        let payment = reported.payment(funds, Some(reason));
        let surplus = Surplus {
            booking_id: reported.booking_id(),
            payment_id: payment.id,
            amount,
            reason,
        };
        self.settlement.payments.push(payment);
        self.happened(
            reported.booking_id(),
            BookingEvent::SurplusKept {
                payment_id: surplus.payment_id,
                amount,
                reason,
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
        reported: ReportedAttempt<'a, '_>,
    ) -> Result<&'static str> {
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
        Ok("the buyer has paid by a delayed method; the seats are kept")
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
