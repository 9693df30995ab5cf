//! Giving money back that is not owed: Stripe is asked once, however often this runs.

use crate::app::App;
use crate::domain::ids::RefundId;
use crate::error::{Error, Result};
use crate::gateways::stripe::StripeError;
use crate::gateways::stripe::refunds::{RefundOutcome, RefundRequest};
use crate::repositories::refunds::{self, Answered, RefundStatus, Requested};

/// Asks Stripe for a refund, under the refund's own key, and writes its answer down. A refund that was answered is left
/// alone. Where Stripe does not answer, the error makes the queue try again.
pub async fn carry_out(app: &App, id: RefundId) -> Result<()> {
    let requested = refunds::find_requested(&mut *app.db.acquire().await?, id).await?;
    let Some(refund) = requested else { return Ok(()) };
    let (status, stripe_id, failure) = ask(app, &refund).await?;
    let answered = Answered { id, status, stripe_refund_id: stripe_id.as_deref(), failure_reason: failure.as_deref() };
    refunds::answer(&mut *app.db.acquire().await?, &answered, app.now()).await?;
    match failure {
        None => tracing::info!(booking.id = %refund.booking_id, refund.id = %id, "gave back what was not owed"),
        Some(why) => tracing::error!(booking.id = %refund.booking_id, refund.id = %id, "a refund did not go: {why}"),
    }
    Ok(())
}

type Answer = (RefundStatus, Option<String>, Option<String>);

async fn ask(app: &App, refund: &Requested) -> Result<Answer> {
    let payment_intent_id = refund.payment_intent_id.as_deref();
    let payment_intent_id =
        payment_intent_id.ok_or_else(|| Error::fault("a payment has no PaymentIntent to refund"))?;
    let request = RefundRequest {
        id: refund.id,
        booking_id: refund.booking_id,
        payment_intent_id,
        amount_minor: refund.money.amount_minor,
    };
    match app.stripe.create_refund(&request).await {
        Ok(made) => Ok((status(made.outcome), Some(made.id), made.failure_reason)),
        Err(error) if error.is_final() => {
            // Stripe may have it already: made by an earlier try whose key it has forgotten since, or by hand.
            let made = app.stripe.find_refund(payment_intent_id, refund.id).await?;
            Ok(match made {
                Some(made) => (status(made.outcome), Some(made.id), made.failure_reason),
                None => (RefundStatus::Failed, None, Some(error.to_string())),
            })
        }
        Err(StripeError::ReplayedFailure(request_id)) => {
            let made = app.stripe.find_refund(payment_intent_id, refund.id).await?;
            let made = made.ok_or_else(|| Error::ProviderUnavailable(format!("a stored failure ({request_id})")))?;
            Ok((status(made.outcome), Some(made.id), made.failure_reason))
        }
        Err(error) => Err(error.into()),
    }
}

fn status(outcome: RefundOutcome) -> RefundStatus {
    match outcome {
        RefundOutcome::Pending => RefundStatus::Pending,
        RefundOutcome::Succeeded => RefundStatus::Succeeded,
        RefundOutcome::Failed => RefundStatus::Failed,
        RefundOutcome::Canceled => RefundStatus::Canceled,
    }
}
