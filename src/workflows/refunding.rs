//! Giving money back: Stripe makes a refund once, however often this runs, and is asked about it
//! until it has come to its end.

use chrono::TimeDelta;

use crate::app::App;
use crate::domain::ids::{PaymentId, RefundId};
use crate::domain::refund_block::{self, RefundBlock};
use crate::domain::refund_refusal::{self, RefundRefusal};
use crate::domain::refund_state::RefundStatus;
use crate::error::Result;
use crate::gateways::stripe::refunds::RefundRequest;
use crate::gateways::stripe::{Lane, StripeError};
use crate::repositories::refund_requests::{self, RequestedRefund};
use crate::repositories::{disputes, payments, refund_looks};
use crate::settlement;

/// Stripe may forget a key after a day. What was asked for so long ago is looked for first.
/// <https://docs.stripe.com/api/idempotent_requests>
const KEY_KEPT_FOR: TimeDelta = TimeDelta::hours(20);

/// Asks Stripe for a refund, under the refund's own key, and settles its answer. A refund that was
/// made is left alone, and one of a disputed payment waits for the end of the dispute. What Stripe
/// refuses for now is asked for again later; what somebody else has refunded meanwhile is found.
/// Where Stripe does not answer, the error makes the queue try again. Commits.
pub async fn submit_refund(app: &App, id: RefundId) -> Result<()> {
    let Some(refund) = find_requested(app, id).await? else {
        return Ok(());
    };
    match find_block(app, &refund).await? {
        Some(RefundBlock::Disputed(dispute_id)) => {
            return settlement::hold_back_refund(app, id, dispute_id).await;
        }
        Some(block @ RefundBlock::GivenBack(_)) => {
            let refusal = RefundRefusal {
                refund_id: id,
                reason: block.to_string(),
                is_final: true,
                spends_key: false,
            };
            return settlement::settle_refusal(app, refusal).await;
        }
        None => {}
    }
    let Some(payment_intent_id) = refund.payment_intent_id.clone() else {
        let refusal = RefundRefusal {
            refund_id: id,
            reason: "Stripe has not named the PaymentIntent of the payment".to_owned(),
            is_final: false,
            spends_key: false,
        };
        return settlement::settle_refusal(app, refusal).await;
    };
    if refund.keys_spent > 0 || app.now() > refund.created_at + KEY_KEPT_FOR {
        settle_found(app, &payment_intent_id).await?;
        if find_requested(app, id).await?.is_none() {
            return Ok(());
        }
    }
    ask(app, &refund, &payment_intent_id).await
}

async fn find_requested(app: &App, id: RefundId) -> Result<Option<RequestedRefund>> {
    refund_requests::find_requested(&mut app.acquire().await?, id).await
}

/// Why the refund must not be sent, if it must not.
async fn find_block(app: &App, refund: &RequestedRefund) -> Result<Option<RefundBlock>> {
    let disputes = disputes::list_of_payment(&mut app.acquire().await?, refund.payment_id).await?;
    Ok(refund_block::of_disputes(&disputes))
}

async fn ask(app: &App, refund: &RequestedRefund, payment_intent_id: &str) -> Result<()> {
    let request = RefundRequest {
        id: refund.id,
        keys_spent: refund.keys_spent,
        booking_id: refund.booking_id,
        payment_intent_id,
        amount_minor: refund.money.amount_minor,
    };
    let error = match app.stripe.create_refund(&request).await {
        Ok(made) => return settlement::settle_refunds(app, vec![made]).await.map(drop),
        Err(error @ (StripeError::Unavailable(_) | StripeError::Unusable { .. })) => {
            return Err(error.into());
        }
        Err(error @ (StripeError::Refused { .. } | StripeError::ReplayedFailure(_))) => error,
    };
    // A refused API key says nothing about the refund: it is looked at before the idempotency key.
    let spends_key = !matches!(
        error,
        StripeError::Refused {
            status: 401 | 403,
            ..
        }
    );
    if spends_key {
        // Somebody may have refunded the payment, or Stripe has made this one in an earlier try
        // whose answer was lost.
        settle_found(app, payment_intent_id).await?;
    }
    let refusal = RefundRefusal {
        refund_id: refund.id,
        reason: error.reason(),
        is_final: error.forbids_refund(),
        spends_key,
    };
    settlement::settle_refusal(app, refusal).await
}

/// Settles how the refunds of a payment stand at Stripe, whoever has made them, and asks about
/// those that are under way again later. Commits.
pub async fn look_at_refunds(app: &App, payment_id: PaymentId) -> Result<()> {
    let mut db = app.acquire().await?;
    let payment_intent_id = payments::find_intent(&mut db, payment_id).await?;
    drop(db);
    if let Some(payment_intent_id) = payment_intent_id {
        settle_found(app, &payment_intent_id).await?;
    }
    let now = app.now();
    let mut db = app.acquire().await?;
    for pending in refund_looks::list_pending(&mut db, payment_id).await? {
        let next = refund_refusal::next_look_at(RefundStatus::Pending, pending.created_at, now);
        if let Some(next) = next {
            refund_looks::look_again_at(&mut db, pending.id, next).await?;
        }
    }
    Ok(())
}

/// Settles all that Stripe has given back of a payment, or tried to. A payment that Stripe does not
/// know has nothing of the kind.
async fn settle_found(app: &App, payment_intent_id: &str) -> Result<()> {
    let found = app.stripe.list_refunds(payment_intent_id, Lane::Refunds);
    let found = match found.await {
        Ok(found) => found,
        Err(unknown) if unknown.is_final() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    settlement::settle_refunds(app, found).await.map(drop)
}
