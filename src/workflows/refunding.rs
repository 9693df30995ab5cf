//! Giving money back: Stripe is asked once, however often this runs.

use crate::app::App;
use crate::domain::ids::RefundId;
use crate::domain::refund::{RefundReport, RefundStatus};
use crate::error::{Error, Result};
use crate::gateways::stripe::StripeError;
use crate::gateways::stripe::refunds::RefundRequest;
use crate::repositories::refunds::{self, RequestedRefund};
use crate::settlement::{self, AfterFailure};

/// Asks Stripe for a refund, under the refund's own key, and settles its answer. A refund that was
/// answered is left alone. Where Stripe does not answer, the error makes the queue try again; where
/// it has stored a failure under the key and replays it for ever, a fresh refund takes the place of
/// this one. Commits.
pub async fn submit_refund(app: &App, id: RefundId) -> Result<()> {
    let requested = refunds::find_requested(&mut app.acquire().await?, id).await?;
    let Some(refund) = requested else {
        return Ok(());
    };
    let (report, after_failure) = ask(app, &refund).await?;
    settlement::settle_refund(app, id, &report, after_failure).await
}

/// What Stripe says, and what is to be done if it has failed.
async fn ask(app: &App, refund: &RequestedRefund) -> Result<(RefundReport, AfterFailure)> {
    let payment_intent_id = refund.payment_intent_id.as_deref();
    let payment_intent_id = payment_intent_id
        .ok_or_else(|| Error::fault("a payment has no PaymentIntent to refund"))?;
    let request = RefundRequest {
        id: refund.id,
        booking_id: refund.booking_id,
        payment_intent_id,
        amount_minor: refund.money.amount_minor,
    };
    let (error, after_failure) = match app.stripe.create_refund(&request).await {
        Ok(report) => return Ok((report, AfterFailure::LeaveIt)),
        Err(error @ StripeError::ReplayedFailure(_)) => (error, AfterFailure::AskUnderNewKey),
        Err(error) if error.is_final() => (error, AfterFailure::LeaveIt),
        Err(error) => return Err(error.into()),
    };
    // Stripe may have made it in an earlier try, whose answer was lost and whose key it has
    // forgotten since.
    match app.stripe.find_refund(payment_intent_id, refund.id).await {
        Ok(Some(report)) => return Ok((report, AfterFailure::LeaveIt)),
        // Stripe does not know the payment, so there is no refund of it.
        Ok(None) => {}
        Err(unknown) if unknown.is_final() => {}
        Err(error) => return Err(error.into()),
    }
    let report = RefundReport {
        stripe_refund_id: None,
        status: RefundStatus::Failed,
        failure_reason: Some(error.to_string()),
    };
    Ok((report, after_failure))
}
