//! Giving money back: Stripe is asked once, however often this runs.

use crate::app::App;
use crate::domain::ids::RefundId;
use crate::domain::refund::{RefundReport, RefundStatus};
use crate::domain::refund_block::{self, RefundBlock};
use crate::error::{Error, Result};
use crate::gateways::stripe::StripeError;
use crate::gateways::stripe::refunds::RefundRequest;
use crate::repositories::disputes;
use crate::repositories::refunds::{self, RequestedRefund};
use crate::settlement;

/// Asks Stripe for a refund, under the refund's own key, and settles its answer. A refund that was
/// answered is left alone, and one of a disputed payment waits for the end of the dispute. Where
/// Stripe does not answer, the error makes the queue try again. Commits.
pub async fn submit_refund(app: &App, id: RefundId) -> Result<()> {
    let requested = refunds::find_requested(&mut app.acquire().await?, id).await?;
    let Some(refund) = requested else {
        return Ok(());
    };
    let report = match find_block(app, &refund).await? {
        Some(RefundBlock::Disputed(dispute_id)) => {
            return settlement::hold_back_refund(app, id, dispute_id).await;
        }
        Some(block @ RefundBlock::GivenBack(_)) => RefundReport {
            stripe_refund_id: None,
            status: RefundStatus::Failed,
            failure_reason: Some(block.to_string()),
            is_replayed: false,
        },
        None => ask(app, &refund).await?,
    };
    settlement::settle_refund(app, id, report).await
}

/// Why the refund must not be sent, if it must not.
async fn find_block(app: &App, refund: &RequestedRefund) -> Result<Option<RefundBlock>> {
    let disputes = disputes::list_of_payment(&mut app.acquire().await?, refund.payment_id).await?;
    Ok(refund_block::of_disputes(&disputes))
}

async fn ask(app: &App, refund: &RequestedRefund) -> Result<RefundReport> {
    let payment_intent_id = refund.payment_intent_id.as_deref();
    let payment_intent_id = payment_intent_id
        .ok_or_else(|| Error::fault("a payment has no PaymentIntent to refund"))?;
    let request = RefundRequest {
        id: refund.id,
        booking_id: refund.booking_id,
        payment_intent_id,
        amount_minor: refund.money.amount_minor,
    };
    let error = match app.stripe.create_refund(&request).await {
        Ok(report) => return Ok(report),
        Err(error) => error,
    };
    let is_replayed = matches!(error, StripeError::ReplayedFailure(_));
    if !is_replayed && !error.is_final() {
        return Err(error.into());
    }
    // Stripe may have made it in an earlier try, whose answer was lost and whose key it has
    // forgotten since.
    match app.stripe.find_refund(payment_intent_id, refund.id).await {
        Ok(Some(report)) => return Ok(report),
        // Stripe does not know the payment, so there is no refund of it.
        Ok(None) => {}
        Err(unknown) if unknown.is_final() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(RefundReport {
        stripe_refund_id: None,
        status: RefundStatus::Failed,
        failure_reason: Some(error.to_string()),
        is_replayed,
    })
}
