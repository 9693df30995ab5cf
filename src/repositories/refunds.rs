//! Refunds: what is on its way back, and what has become of it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::funds::SurplusReason;
use crate::domain::ids::{BookingId, PaymentId, RefundId};
use crate::domain::money::Money;
use crate::domain::refund::{Refund, RefundReport, RefundState, RefundStatus};
use crate::error::{Error, Result};

/// A refund that Stripe is to be asked for.
#[derive(Debug, Clone)]
pub struct RequestedRefund {
    /// The refund.
    pub id: RefundId,
    /// The booking it belongs to.
    pub booking_id: BookingId,
    /// The payment it gives back.
    pub payment_id: PaymentId,
    /// The payment it gives back, at Stripe.
    pub payment_intent_id: Option<String>,
    /// How much.
    pub money: Money,
}

/// Asks for all of a payment that is surplus, in the transaction that stores it.
pub async fn request_surplus(
    db: &mut Connection,
    payment_id: PaymentId,
    reason: SurplusReason,
    now: DateTime<Utc>,
) -> Result<RefundId> {
    let id = RefundId::new();
    let written = sqlx::query!(
        "insert into refunds (id, payment_id, booking_id, amount_minor, currency, source, reason,
                              created_at)
         select $1, id, booking_id, amount_minor, currency, 'surplus', $3, $4
         from payments
         where id = $2 and disposition = 'surplus'",
        id as _,
        payment_id as _,
        reason.as_str(),
        now,
    )
    .execute(db)
    .await?;
    if written.rows_affected() == 1 {
        Ok(id)
    } else {
        Err(Error::fault("a surplus is to be refunded that is none"))
    }
}

/// The refund, if Stripe has not answered for it yet.
pub async fn find_requested(db: &mut Connection, id: RefundId) -> Result<Option<RequestedRefund>> {
    let row = sqlx::query!(
        r#"select refunds.booking_id as "booking_id: BookingId",
                  refunds.payment_id as "payment_id: PaymentId",
                  payments.stripe_payment_intent_id, refunds.amount_minor, refunds.currency
           from refunds
           join payments on payments.id = refunds.payment_id
           where refunds.id = $1 and refunds.status = 'requested'"#,
        id as _,
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(RequestedRefund {
            id,
            booking_id: row.booking_id,
            payment_id: row.payment_id,
            payment_intent_id: row.stripe_payment_intent_id,
            money: Money::new(
                row.amount_minor,
                row.currency.parse().map_err(Error::Fault)?,
            ),
        })
    })
    .transpose()
}

/// The refunds of a payment that Stripe has not answered for yet.
pub async fn list_requested(db: &mut Connection, payment_id: PaymentId) -> Result<Vec<RefundId>> {
    let ids = sqlx::query_scalar!(
        r#"select id as "id: RefundId"
           from refunds
           where payment_id = $1 and status = 'requested'
           order by id"#,
        payment_id as _,
    )
    .fetch_all(db)
    .await?;
    Ok(ids)
}

/// Locks refunds, in the order of their ids, and reads how they stand.
pub async fn lock(db: &mut Connection, ids: &[RefundId]) -> Result<HashMap<RefundId, RefundState>> {
    let rows = sqlx::query!(
        r#"select refunds.id as "id: RefundId", refunds.booking_id as "booking_id: BookingId",
                  refunds.payment_id as "payment_id: PaymentId", refunds.amount_minor,
                  refunds.currency, refunds.status as "status: RefundStatus",
                  payments.disposition = 'surplus' as "of_surplus!"
           from refunds
           join payments on payments.id = refunds.payment_id
           where refunds.id = any($1)
           order by refunds.id
           for update of refunds"#,
        ids as _,
    )
    .fetch_all(db)
    .await?;
    let states = rows.into_iter().map(|row| {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        let state = RefundState {
            id: row.id,
            booking_id: row.booking_id,
            payment_id: row.payment_id,
            money: Money::new(row.amount_minor, currency),
            status: row.status,
            of_surplus: row.of_surplus,
        };
        Ok((row.id, state))
    });
    states.collect()
}

/// Stores what Stripe has said of a refund. The caller holds its lock, and books the money.
pub async fn store(
    db: &mut Connection,
    id: RefundId,
    report: &RefundReport,
    now: DateTime<Utc>,
) -> Result<()> {
    let settled_at = match report.status {
        RefundStatus::Requested | RefundStatus::Pending => None,
        RefundStatus::Succeeded | RefundStatus::Failed | RefundStatus::Canceled => Some(now),
    };
    sqlx::query!(
        "update refunds
         set status = $2, stripe_refund_id = coalesce($3, stripe_refund_id), failure_reason = $4,
             settled_at = $5
         where id = $1",
        id as _,
        report.status as _,
        report.stripe_refund_id,
        report.failure_reason,
        settled_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Puts a fresh refund in the place of one that has failed, with a key of its own.
pub async fn request_again(
    db: &mut Connection,
    failed: RefundId,
    now: DateTime<Utc>,
) -> Result<RefundId> {
    let id = RefundId::new();
    let written = sqlx::query!(
        "insert into refunds (id, payment_id, booking_id, amount_minor, currency, source, reason,
                              created_at)
         select $1, payment_id, booking_id, amount_minor, currency, source, reason, $3
         from refunds
         where id = $2 and status = 'failed'",
        id as _,
        failed as _,
        now,
    )
    .execute(db)
    .await?;
    if written.rows_affected() == 1 {
        Ok(id)
    } else {
        Err(Error::fault(
            "a refund is to be asked for again that has not failed",
        ))
    }
}

/// The refunds of a booking, newest first, at most `limit`. One round trip.
pub async fn list_of_booking(
    db: &mut Connection,
    id: BookingId,
    limit: i64,
) -> Result<Vec<Refund>> {
    let rows = sqlx::query!(
        r#"select id as "id: RefundId", payment_id as "payment_id: PaymentId", amount_minor,
                  currency, status as "status: RefundStatus", source, reason, failure_reason,
                  created_at, settled_at
           from refunds
           where booking_id = $1
           order by created_at desc, id desc
           limit $2"#,
        id as _,
        limit,
    )
    .fetch_all(db)
    .await?;
    let refunds = rows.into_iter().map(|row| {
        Ok(Refund {
            id: row.id,
            booking_id: id,
            payment_id: row.payment_id,
            amount: Money::new(
                row.amount_minor,
                row.currency.parse().map_err(Error::Fault)?,
            ),
            status: row.status,
            source: row.source,
            reason: row.reason,
            failure_reason: row.failure_reason,
            created_at: row.created_at,
            settled_at: row.settled_at,
        })
    });
    refunds.collect()
}
