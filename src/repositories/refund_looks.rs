//! When Stripe is asked next for a refund, or about it.

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::ids::{PaymentId, RefundId};
use crate::domain::refund_refusal::{RefundRefusal, next_look_at};
use crate::domain::refund_state::RefundState;
use crate::error::Result;

/// Keeps why Stripe does not make a refund for now, and when it is asked again. The caller holds
/// the lock of its payment.
pub async fn put_off(
    db: &mut Connection,
    refund: &RefundState,
    refusal: &RefundRefusal,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "update refunds
         set failure_reason = $2, keys_spent = keys_spent + $3, next_look_at = $4,
             refused_since = coalesce(refused_since, $5)
         where id = $1",
        refund.id as _,
        refusal.reason,
        i32::from(refusal.spends_key),
        next_look_at(refund.status, refund.created_at, now),
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Stripe is not asked for this refund before this time, while a bank has its money; what it has
/// refused before that does not count any more. The caller holds the lock of its payment.
pub async fn hold_back(db: &mut Connection, id: RefundId, until: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "update refunds
         set next_look_at = $2, refused_since = null
         where id = $1 and next_look_at is not null",
        id as _,
        until,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Stripe is asked about this refund again only at this time, if it has not come to its end.
pub async fn look_again_at(db: &mut Connection, id: RefundId, at: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "update refunds
         set next_look_at = $2
         where id = $1 and next_look_at is not null",
        id as _,
        at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A refund that Stripe has under way.
#[derive(Debug, Clone)]
pub struct PendingRefund {
    /// The refund.
    pub id: RefundId,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
}

/// The refunds of a payment that Stripe has under way.
pub async fn list_pending(db: &mut Connection, id: PaymentId) -> Result<Vec<PendingRefund>> {
    let pending = sqlx::query_as!(
        PendingRefund,
        r#"select id as "id: _", created_at
           from refunds
           where payment_id = $1 and status = 'pending'
           order by id"#,
        id as _,
    )
    .fetch_all(db)
    .await?;
    Ok(pending)
}
