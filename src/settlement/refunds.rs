//! What reports about refunds make of them.

use chrono::TimeDelta;

use super::round::Round;
use crate::connection::Connection;
use crate::domain::booking_event::BookingEvent;
use crate::domain::job::Job;
use crate::domain::ledger::TransferKind;
use crate::domain::refund::{Bookkeeping, RefundDecision, RefundReport, RefundState, RefundStatus};
use crate::error::Result;
use crate::repositories::{ledger, refunds};

/// How long to wait before a fresh refund is asked for.
const AGAIN: TimeDelta = TimeDelta::seconds(30);

impl Round<'_> {
    /// Changes a refund as was decided. The caller holds its lock.
    pub(super) async fn change_refund(
        &mut self,
        db: &mut Connection,
        refund: &RefundState,
        report: &RefundReport,
        decision: RefundDecision,
    ) -> Result<&'static str> {
        let reason = report
            .failure_reason
            .as_deref()
            .unwrap_or("no reason given");
        let (booking_id, refund_id) = (refund.booking_id, refund.id);
        let bookkeeping = match decision {
            RefundDecision::NoChange(reason) => return Ok(reason),
            RefundDecision::Store(bookkeeping) => bookkeeping,
            RefundDecision::AskAgain => Bookkeeping::None,
        };
        refunds::store(db, refund_id, report, self.now).await?;
        let transfer = match bookkeeping {
            Bookkeeping::Refund => Some(TransferKind::Refund),
            Bookkeeping::Reversal => Some(TransferKind::RefundReversal),
            Bookkeeping::None => None,
        };
        if let Some(kind) = transfer {
            ledger::book_refund(db, refund, kind, self.now).await?;
        }
        let status = report.status;
        if status != RefundStatus::Pending {
            self.happened(
                booking_id,
                BookingEvent::RefundSettled { refund_id, status },
            );
        }
        if decision == RefundDecision::AskAgain {
            self.ask_again(db, refund).await?;
            tracing::warn!(
                booking.id = %booking_id,
                refund.id = %refund_id,
                "a refund is asked for again: {reason}"
            );
            return Ok("the refund has failed, and a fresh one takes its place");
        }
        Ok(match status {
            RefundStatus::Failed | RefundStatus::Canceled => {
                tracing::error!(
                    booking.id = %booking_id,
                    refund.id = %refund_id,
                    "a refund failed: {reason}"
                );
                "the refund has failed; a person decides"
            }
            RefundStatus::Requested | RefundStatus::Pending => "the refund is on its way",
            RefundStatus::Succeeded => "the refund has succeeded",
        })
    }

    /// Puts a fresh refund in the place of one that has failed, to be asked for after a while.
    async fn ask_again(&mut self, db: &mut Connection, failed: &RefundState) -> Result<()> {
        let refund_id = refunds::request_again(db, failed.id, self.now).await?;
        self.jobs
            .push(Job::Refund { refund_id }.at(self.now + AGAIN));
        let amount = failed.money;
        let requested = BookingEvent::RefundRequested { refund_id, amount };
        self.happened(failed.booking_id, requested);
        Ok(())
    }
}
