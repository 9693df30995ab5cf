//! Refunds that Stripe is to be asked for: reserved here before it is.

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::ids::{BookingId, PaymentId, RefundId};
use crate::domain::money::Money;
use crate::domain::refund_request::GrantedRefund;
use crate::domain::refund_state::RefundSource;
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
    /// How many keys Stripe has refused it under.
    pub keys_spent: i32,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
}

/// What is to go back, and for what cause.
#[derive(Debug, Clone, Copy)]
pub struct NewRefund<'a> {
    /// Of which payment, and how much.
    pub granted: GrantedRefund,
    /// Why it is asked for.
    pub cause: RefundCause<'a>,
}

/// Why a refund is asked for.
#[derive(Debug, Clone, Copy)]
pub enum RefundCause<'a> {
    /// Somebody asks for it.
    Asked {
        /// Who.
        source: RefundSource,
        /// Why.
        reason: &'a str,
    },
    /// It is what is left of a refund of the same payment that was called off: who had asked for
    /// that asks for this, and why.
    RestOf(RefundId),
}

/// A refund that is reserved now.
#[derive(Debug, Clone)]
pub struct ReservedRefund {
    /// The refund.
    pub id: RefundId,
    /// The booking it belongs to.
    pub booking_id: BookingId,
    /// Who asks for it.
    pub source: RefundSource,
    /// Why.
    pub reason: String,
}

/// Reserves a part of a payment, or all of it, for a refund. The caller holds the lock of the
/// payment, or has stored it in this transaction. A fault where there is no such payment, where one
/// is refunded as surplus that is none, and where that was not called off of which this is the
/// rest.
pub async fn reserve(
    db: &mut Connection,
    new: NewRefund<'_>,
    now: DateTime<Utc>,
) -> Result<ReservedRefund> {
    let (source, reason, called_off) = match new.cause {
        RefundCause::Asked { source, reason } => (Some(source), Some(reason), None),
        RefundCause::RestOf(called_off) => (None, None, Some(called_off)),
    };
    let reserved = sqlx::query_as!(
        ReservedRefund,
        r#"insert into refunds (id, payment_id, booking_id, amount_minor, currency, source, reason,
                                next_look_at, created_at)
           select $1, payments.id, payments.booking_id, $3, payments.currency, cause.source,
                  cause.reason, $8, $8
           from payments
           cross join lateral (
             select $5::text as source, $6::text as reason where $7::uuid is null
             union all
             select source, reason
             from refunds
             where id = $7 and payment_id = payments.id and status = 'canceled'
           ) as cause
           where payments.id = $2 and currency = $4
             and (disposition = 'surplus' or cause.source <> 'surplus')
           returning id as "id: _", booking_id as "booking_id: _", source as "source: _", reason"#,
        RefundId::new() as _,
        new.granted.payment_id as _,
        new.granted.amount.amount_minor,
        new.granted.amount.currency.as_str(),
        source as _,
        reason,
        called_off as _,
        now,
    )
    .fetch_optional(db)
    .await?;
    reserved.ok_or_else(|| Error::fault("what is to be refunded is no payment, or no rest"))
}

/// The refund, if Stripe has not made it yet.
pub async fn find_requested(db: &mut Connection, id: RefundId) -> Result<Option<RequestedRefund>> {
    let row = sqlx::query!(
        r#"select refunds.booking_id as "booking_id: BookingId",
                  refunds.payment_id as "payment_id: PaymentId",
                  payments.stripe_payment_intent_id, refunds.amount_minor, refunds.currency,
                  refunds.keys_spent, refunds.created_at
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
            keys_spent: row.keys_spent,
            created_at: row.created_at,
        })
    })
    .transpose()
}

/// The refunds of a payment that Stripe has not made yet.
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
