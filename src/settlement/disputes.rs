//! What reports about disputes and early fraud warnings make of payments.

use serde_json::json;

use super::round::Round;
use super::sentences;
use crate::app::App;
use crate::connection::Connection;
use crate::domain::booking_event::{BookingEvent, NewBookingEvent};
use crate::domain::dispute::{DisputeChange, DisputeDecision, DisputeReport, DisputedPayment};
use crate::domain::fraud_warning::FraudWarningReport;
use crate::domain::ids::{DisputeId, RefundId};
use crate::domain::job::Job;
use crate::domain::refund::RefundReference;
use crate::domain::refund_block::RefundBlock;
use crate::domain::refund_refusal::next_look_at;
use crate::error::Result;
use crate::repositories::discrepancies::{self, NewDiscrepancy};
use crate::repositories::{
    booking_events, disputes, ledger, refund_looks, refund_requests, refunds,
};

/// The kind of discrepancy of a dispute of which it is not clear how much its bank has given back.
const REINSTATEMENT_UNCLEAR: &str = "dispute_reinstatement_unclear";

impl Round<'_> {
    /// Changes a dispute as was decided, and books its money. The caller holds the payment's lock.
    /// Seats stay where they are, however it ends.
    pub(super) async fn change_dispute(
        &mut self,
        db: &mut Connection,
        payment: &DisputedPayment,
        report: &DisputeReport,
        decision: DisputeDecision,
    ) -> Result<&'static str> {
        let change = match decision {
            DisputeDecision::NoChange(reason) => return Ok(reason),
            DisputeDecision::Store(change) => change,
        };
        disputes::store(db, payment, report, &change).await?;
        for transfer in change.transfers() {
            ledger::book_dispute(db, payment, change.after.id, transfer, self.now).await?;
        }
        for event in change.events(payment.id, report.reason.as_deref()) {
            self.happened(payment.booking_id, event);
        }
        if change.is_odd {
            self.flag_dispute(db, payment, report).await?;
        }
        self.flag_reinstatement(db, payment, report, &change)
            .await?;
        self.wake_refunds(db, payment, &change).await?;
        if change.before.is_none() {
            let id = payment.booking_id;
            tracing::error!(booking.id = %id, "a payment is disputed: answer the bank at Stripe");
            return Ok(sentences::DISPUTE_OPENED);
        }
        Ok(sentences::DISPUTE_GONE_ON)
    }

    /// A dispute that has come to its end lets the refunds go on that have waited for it.
    async fn wake_refunds(
        &mut self,
        db: &mut Connection,
        payment: &DisputedPayment,
        change: &DisputeChange,
    ) -> Result<()> {
        if !change.after.status.is_closed() {
            return Ok(());
        }
        for refund_id in refund_requests::list_requested(db, payment.id).await? {
            let refund = Job::Refund {
                refund_id,
                booking_id: Some(payment.booking_id),
            };
            self.jobs.push(refund.at(self.now));
        }
        Ok(())
    }

    /// Leaves to a person how much of a payment is disputed.
    async fn flag_dispute(
        &self,
        db: &mut Connection,
        payment: &DisputedPayment,
        report: &DisputeReport,
    ) -> Result<()> {
        let discrepancy = NewDiscrepancy {
            kind: "dispute_amount_mismatch",
            subject: &report.stripe_dispute_id,
            booking_id: Some(payment.booking_id),
            ours: json!({ "paymentId": payment.id, "captured": payment.money }),
            theirs: json!({ "disputed": report.money }),
        };
        if discrepancies::open(db, &discrepancy, self.now)
            .await?
            .is_some()
        {
            let id = payment.booking_id;
            tracing::error!(booking.id = %id, "a dispute is not about an amount of its payment");
        }
        Ok(())
    }

    /// Leaves to a person how much of its money a bank has given back, where that is not clear;
    /// heals that once it is.
    async fn flag_reinstatement(
        &self,
        db: &mut Connection,
        payment: &DisputedPayment,
        report: &DisputeReport,
        change: &DisputeChange,
    ) -> Result<()> {
        let (dispute, moved) = (&change.after, report.funds.movements);
        if !change.is_unclear {
            if change.is_reinstated() {
                let subject = dispute.stripe_dispute_id.clone();
                discrepancies::heal(db, REINSTATEMENT_UNCLEAR, &[subject]).await?;
            }
            return Ok(());
        }
        let discrepancy = NewDiscrepancy {
            kind: REINSTATEMENT_UNCLEAR,
            subject: &dispute.stripe_dispute_id,
            booking_id: Some(payment.booking_id),
            ours: json!({
                "paymentId": payment.id, "disputed": dispute.money,
                "reinstatedMinor": dispute.funds.reinstated_minor(),
            }),
            theirs: json!({
                "withdrawnMinor": moved.withdrawn_minor,
                "reinstatedMinor": moved.reinstated_minor, "currency": moved.currency,
            }),
        };
        if discrepancies::open(db, &discrepancy, self.now)
            .await?
            .is_some()
        {
            let id = payment.booking_id;
            tracing::error!(booking.id = %id, "how much of a dispute has come back is not clear");
        }
        Ok(())
    }

    /// Flags a booking whose payment is probably fraud, so that a person can refund it before there
    /// is a dispute. Once: the caller holds the payment's lock.
    pub(super) async fn flag_fraud(
        &mut self,
        db: &mut Connection,
        payment: &DisputedPayment,
        report: &FraudWarningReport,
    ) -> Result<&'static str> {
        let booking_id = payment.booking_id;
        let discrepancy = NewDiscrepancy {
            kind: "early_fraud_warning",
            subject: &report.stripe_warning_id,
            booking_id: Some(booking_id),
            ours: json!({ "paymentId": payment.id, "captured": payment.money }),
            theirs: json!({ "fraudType": report.fraud_type }),
        };
        discrepancies::open(db, &discrepancy, self.now).await?;
        let warned = BookingEvent::FraudWarned {
            payment_id: payment.id,
            warning_id: report.stripe_warning_id.clone(),
            fraud_type: report.fraud_type.clone(),
        };
        self.happened(booking_id, warned);
        tracing::error!(booking.id = %booking_id, "a payment is probably fraud: refund it?");
        Ok(sentences::FRAUD_FLAGGED)
    }
}

/// Notes that a refund waits for a dispute, once. It goes on when that ends. Commits.
pub async fn hold_back_refund(app: &App, id: RefundId, dispute_id: DisputeId) -> Result<()> {
    let mut tx = app.begin_payment().await?;
    let reference = RefundReference {
        refund_id: Some(id),
        ..RefundReference::default()
    };
    let locked = refunds::lock_payments(&mut tx, std::slice::from_ref(&reference)).await?;
    let payment = locked.get(&reference);
    let Some((payment, refund)) = payment.and_then(|one| Some((one, one.requested(id)?))) else {
        return Ok(());
    };
    let event = BookingEvent::RefundHeldBack {
        refund_id: id,
        dispute_id,
    };
    let held_back = NewBookingEvent {
        booking_id: payment.booking_id,
        event,
    };
    booking_events::append_once(&mut tx, &held_back, app.now()).await?;
    // The end of the dispute lets it go on; this is for an end that nobody hears of.
    if let Some(next) = next_look_at(refund.status, refund.created_at, app.now()) {
        refund_looks::hold_back(&mut tx, id, next).await?;
    }
    app.commit(tx).await?;
    let block = RefundBlock::Disputed(dispute_id);
    tracing::warn!(refund.id = %id, "a refund waits: {block}");
    Ok(())
}
