//! What Stripe says of refunds of ours.

use chrono::TimeDelta;

use crate::app::App;
use crate::domain::booking_event::{BookingEvent, NewBookingEvent};
use crate::domain::ids::RefundId;
use crate::domain::job::Job;
use crate::domain::ledger::TransferKind;
use crate::domain::refund::{Bookkeeping, RefundDecision, RefundReport, RefundStatus, decide};
use crate::error::{Error, Result};
use crate::repositories::{booking_events, jobs, ledger, refunds};

/// How long to wait before a fresh refund is asked for.
const AGAIN: TimeDelta = TimeDelta::seconds(30);

/// What becomes of a refund that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// A person decides.
    LeaveIt,
    /// A fresh one takes its place, and is asked for after a while: Stripe has stored a failure
    /// under the key of this one.
    AskUnderNewKey,
}

/// Settles what Stripe has answered about a refund of ours. Commits. What it had said before
/// changes nothing.
pub async fn settle_refund(
    app: &App,
    id: RefundId,
    report: &RefundReport,
    after_failure: AfterFailure,
) -> Result<()> {
    let now = app.now();
    let mut tx = app.begin_payment().await?;
    let state = refunds::lock(&mut tx, id).await?;
    let state = state.ok_or_else(|| Error::fault(format!("the refund {id} has gone")))?;
    let bookkeeping = match decide(state.status, report) {
        RefundDecision::NoChange(_) => return Ok(()),
        RefundDecision::Store(bookkeeping) => bookkeeping,
    };
    refunds::store(&mut tx, id, report, now).await?;
    let transfer = match bookkeeping {
        Bookkeeping::Refund => Some(TransferKind::Refund),
        Bookkeeping::Reversal => Some(TransferKind::RefundReversal),
        Bookkeeping::None => None,
    };
    if let Some(kind) = transfer {
        ledger::book_refund(&mut tx, &state, kind, now).await?;
    }
    let mut events = Vec::new();
    if report.status != RefundStatus::Pending {
        let status = report.status;
        events.push(BookingEvent::RefundSettled {
            refund_id: id,
            status,
        });
    }
    if after_failure == AfterFailure::AskUnderNewKey {
        let refund_id = refunds::request_again(&mut tx, id, now).await?;
        jobs::enqueue(&mut tx, &[Job::Refund { refund_id }.at(now + AGAIN)]).await?;
        events.push(BookingEvent::RefundRequested {
            refund_id,
            amount: state.money,
        });
    }
    let booking_id = state.booking_id;
    let events = events
        .into_iter()
        .map(|event| NewBookingEvent { booking_id, event });
    booking_events::append(&mut tx, &events.collect::<Vec<_>>(), now).await?;
    app.commit(tx).await?;
    let reason = report
        .failure_reason
        .as_deref()
        .unwrap_or("no reason given");
    match report.status {
        RefundStatus::Failed if after_failure == AfterFailure::AskUnderNewKey => {
            tracing::warn!(
                booking.id = %booking_id,
                refund.id = %id,
                "a refund is asked for again: {reason}"
            );
        }
        RefundStatus::Failed | RefundStatus::Canceled => {
            tracing::error!(booking.id = %booking_id, refund.id = %id, "a refund failed: {reason}");
        }
        RefundStatus::Requested | RefundStatus::Pending | RefundStatus::Succeeded => {
            let status = report.status;
            tracing::info!(booking.id = %booking_id, refund.id = %id, "a refund is {status:?}");
        }
    }
    Ok(())
}
