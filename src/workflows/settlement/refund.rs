//! Giving money back that is not owed: Stripe is asked once, however often this runs.

use chrono::TimeDelta;

use crate::app::App;
use crate::domain::ids::RefundId;
use crate::domain::job::Job;
use crate::error::{Error, Result};
use crate::gateways::stripe::StripeError;
use crate::gateways::stripe::refunds::{MadeRefund, RefundOutcome, RefundRequest};
use crate::repositories::jobs;
use crate::repositories::refunds::{self, Answered, RefundStatus, Requested};

/// Asks Stripe for a refund, under the refund's own key, and writes its answer down. A refund that
/// was answered is left alone. Where Stripe does not answer, the error makes the queue try again;
/// where it has stored a failure under the key and replays it for ever, a fresh refund takes the
/// place of this one.
pub async fn carry_out(app: &App, id: RefundId) -> Result<()> {
    let requested = refunds::find_requested(&mut *app.acquire().await?, id).await?;
    let Some(refund) = requested else {
        return Ok(());
    };
    let (answer, key_is_spent) = ask(app, &refund).await?;
    let now = app.now();
    let mut tx = app.begin().await?;
    let (status, stripe_id, failure) = answer;
    let answered = Answered {
        id,
        status,
        stripe_refund_id: stripe_id.as_deref(),
        failure_reason: failure.as_deref(),
    };
    let written = refunds::answer(&mut tx, &answered, now).await?;
    if written && key_is_spent {
        let refund_id = refunds::request_again(&mut tx, id, now).await?;
        jobs::enqueue(&mut tx, &Job::Refund { refund_id }, now + AGAIN).await?;
    }
    tx.commit().await?;
    match failure {
        None => {
            tracing::info!(booking.id = %refund.booking_id, refund.id = %id, "gave back what was not owed")
        }
        Some(why) => {
            tracing::error!(booking.id = %refund.booking_id, refund.id = %id, "a refund did not go: {why}")
        }
    }
    Ok(())
}

/// How long to wait before a fresh refund is asked for.
const AGAIN: TimeDelta = TimeDelta::seconds(30);

type Answer = (RefundStatus, Option<String>, Option<String>);

/// What Stripe says, and whether it will never say anything else under this key.
async fn ask(app: &App, refund: &Requested) -> Result<(Answer, bool)> {
    let payment_intent_id = refund.payment_intent_id.as_deref();
    let payment_intent_id = payment_intent_id
        .ok_or_else(|| Error::fault("a payment has no PaymentIntent to refund"))?;
    let request = RefundRequest {
        id: refund.id,
        booking_id: refund.booking_id,
        payment_intent_id,
        amount_minor: refund.money.amount_minor,
    };
    let (error, key_is_spent) = match app.stripe.create_refund(&request).await {
        Ok(made) => return Ok((answer(made), false)),
        Err(error @ StripeError::ReplayedFailure(_)) => (error, true),
        Err(error) if error.is_final() => (error, false),
        Err(error) => return Err(error.into()),
    };
    // Stripe may have made it in an earlier try, whose answer was lost and whose key it has
    // forgotten since.
    let made = app.stripe.find_refund(payment_intent_id, refund.id).await?;
    Ok(match made {
        Some(made) => (answer(made), false),
        None => (
            (RefundStatus::Failed, None, Some(error.to_string())),
            key_is_spent,
        ),
    })
}

fn answer(made: MadeRefund) -> Answer {
    (status(made.outcome), Some(made.id), made.failure_reason)
}

fn status(outcome: RefundOutcome) -> RefundStatus {
    match outcome {
        RefundOutcome::Pending => RefundStatus::Pending,
        RefundOutcome::Succeeded => RefundStatus::Succeeded,
        RefundOutcome::Failed => RefundStatus::Failed,
        RefundOutcome::Canceled => RefundStatus::Canceled,
    }
}
