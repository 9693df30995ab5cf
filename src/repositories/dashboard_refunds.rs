//! Refunds that somebody has made in Stripe's dashboard.

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::ids::RefundId;
use crate::domain::refund::StripeRefund;
use crate::domain::refund_refusal::next_look_at;
use crate::domain::refund_state::{RefundSource, RefundState, RefundedPayment};
use crate::error::{Error, Result};

/// The reason of a refund of the dashboard's, if nobody has given one there.
const NO_REASON: &str = "none given";

/// Records a refund that somebody has made in Stripe's dashboard. The caller holds the lock of the
/// payment, and books the money.
pub async fn insert_found(
    db: &mut Connection,
    payment: &RefundedPayment,
    found: &StripeRefund,
    now: DateTime<Utc>,
) -> Result<RefundState> {
    let money = found.money;
    let money = money.ok_or_else(|| Error::fault("a refund of no amount is recorded"))?;
    let refund = RefundState {
        id: RefundId::new(),
        stripe_refund_id: Some(found.id.clone()),
        is_by_hand: true,
        money,
        status: found.status,
        failure_reason: found.failure_reason.clone(),
        created_at: found.created_at.unwrap_or(now),
        refused_since: None,
    };
    let next_look_at = next_look_at(refund.status, refund.created_at, now);
    sqlx::query!(
        "insert into refunds (id, payment_id, booking_id, amount_minor, currency, source, reason,
                              status, stripe_refund_id, failure_reason, next_look_at, created_at,
                              settled_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        refund.id as _,
        payment.id as _,
        payment.booking_id as _,
        money.amount_minor,
        money.currency.as_str(),
        RefundSource::Dashboard as _,
        found.reason.as_deref().unwrap_or(NO_REASON),
        refund.status as _,
        found.id,
        refund.failure_reason,
        next_look_at,
        refund.created_at,
        next_look_at.is_none().then_some(now),
    )
    .execute(db)
    .await?;
    Ok(refund)
}
