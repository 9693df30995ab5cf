//! Money that does not match what was asked for: kept apart, and left to a person.

use serde_json::{Value, json};

use super::plan::{Item, ReportingEvent};
use super::round::{ReportedAttempt, Round};
use crate::connection::Connection;
use crate::domain::booking::BookingStatus;
use crate::domain::booking_event::BookingEvent;
use crate::domain::capture::Capture;
use crate::domain::checkout::CheckoutReport;
use crate::domain::funds::{CapturedFunds, Mismatch, SurplusReason};
use crate::domain::stripe_report::StripeReport;
use crate::error::Result;
use crate::repositories::bookings;
use crate::repositories::claims;
use crate::repositories::discrepancies::{self, NewDiscrepancy};

/// The kind of discrepancy of an event that was given up: what it is about has never come.
const UNMATCHED: &str = "event_unmatched";

impl<'a> Round<'a> {
    /// Keeps the money, and leaves the booking to a person with all that it reserves.
    pub(super) async fn review(
        &mut self,
        db: &mut Connection,
        reported: ReportedAttempt<'a, '_>,
        funds: Option<CapturedFunds>,
        mismatch: Mismatch,
    ) -> Result<()> {
        if let Some(funds) = funds {
            self.keep_surplus(reported, funds, SurplusReason::Mismatch);
        }
        let id = reported.booking_id();
        let is_reviewed = match reported.state.status {
            BookingStatus::Pending | BookingStatus::Processing => {
                bookings::review(db, id, self.now).await?;
                true
            }
            BookingStatus::Expired | BookingStatus::Failed => {
                db.set_savepoint().await?;
                bookings::review(db, id, self.now).await?;
                let is_claimed = claims::claim_again(db, id, self.now).await?.is_some();
                if is_claimed {
                    db.release_savepoint().await?;
                } else {
                    db.rollback_to_savepoint().await?;
                }
                is_claimed
            }
            BookingStatus::Confirmed if reported.state.is_balance_due() => {
                bookings::review(db, id, self.now).await?;
                true
            }
            BookingStatus::Confirmed | BookingStatus::Cancelled | BookingStatus::Review => false,
        };
        self.flag(db, reported, mismatch, is_reviewed).await
    }

    /// Leaves to a person whether a session was paid, and with it a booking that waits for that.
    pub(super) async fn give_up(
        &mut self,
        db: &mut Connection,
        reported: ReportedAttempt<'a, '_>,
        mismatch: Mismatch,
    ) -> Result<()> {
        if reported.state.waits_for_money() {
            return self.review(db, reported, None, mismatch).await;
        }
        let attempt_id = reported.state.attempt.attempt_id;
        self.happened(
            reported.booking_id(),
            BookingEvent::AttemptClosed { attempt_id },
        );
        self.flag(db, reported, mismatch, false).await
    }

    /// Opens a discrepancy for an attempt, once however often the same report comes.
    pub(super) async fn flag(
        &mut self,
        db: &mut Connection,
        reported: ReportedAttempt<'a, '_>,
        mismatch: Mismatch,
        is_reviewed: bool,
    ) -> Result<()> {
        let id = reported.booking_id();
        let ours = json!({ "bookingId": id, "asked": reported.state.asked });
        let theirs = statement(reported.item);
        let discrepancy = NewDiscrepancy {
            kind: mismatch.as_str(),
            subject: &discrepancy_subject(reported),
            booking_id: Some(id),
            ours: ours.clone(),
            theirs: theirs.clone(),
        };
        let is_new = discrepancies::open(db, &discrepancy, self.now)
            .await?
            .is_some();
        if is_new || is_reviewed {
            let kind = mismatch.as_str();
            tracing::error!(
                booking.id = %id,
                "what Stripe reports differs from what we asked for: {kind}"
            );
        }
        if is_reviewed {
            self.happened(
                id,
                BookingEvent::Review {
                    mismatch,
                    ours,
                    theirs,
                },
            );
        } else if is_new {
            self.happened(
                id,
                BookingEvent::PaymentDiffers {
                    mismatch,
                    ours,
                    theirs,
                },
            );
        }
        Ok(())
    }

    /// Opens a discrepancy for an event whose attempt has never come.
    pub(super) async fn leave_unmatched(
        &mut self,
        db: &mut Connection,
        item: &Item<'_>,
    ) -> Result<()> {
        let Some(event) = item.event else {
            return Ok(());
        };
        let reference = item.reference;
        let discrepancy = NewDiscrepancy {
            kind: UNMATCHED,
            subject: event.id,
            booking_id: None,
            ours: Value::Null,
            theirs: json!({
                "attemptId": reference.attempt_id,
                "sessionId": reference.session_id,
                "paymentIntentId": reference.payment_intent_id,
                "said": statement(item),
            }),
        };
        discrepancies::open(db, &discrepancy, self.now).await?;
        Ok(())
    }
}

/// Heals what was opened for an event that was given up: it is settled after all.
pub(super) async fn heal_unmatched(db: &mut Connection, event: ReportingEvent<'_>) -> Result<()> {
    discrepancies::heal(db, UNMATCHED, &[event.id.to_owned()]).await
}

/// What a discrepancy is about: an attempt, and a PaymentIntent if that is another than its first.
fn discrepancy_subject(reported: ReportedAttempt<'_, '_>) -> String {
    let attempt_id = reported.state.attempt.attempt_id;
    match reported.item.payment_intent_id() {
        Some(other) if reported.state.is_paid_by_another(other) => format!("{attempt_id} {other}"),
        Some(_) | None => attempt_id.to_string(),
    }
}

/// What Stripe has said, for the person who has to judge.
fn statement(item: &Item<'_>) -> Value {
    match item.report {
        Ok(StripeReport::Checkout(CheckoutReport::Unknown)) => {
            json!({ "session": "it is not known there" })
        }
        Ok(StripeReport::Checkout(CheckoutReport::Unexplained(why))) => json!({ "session": why }),
        Ok(report) => report.capture().map_or(Value::Null, Capture::statement),
        Err(_) => Value::Null,
    }
}
