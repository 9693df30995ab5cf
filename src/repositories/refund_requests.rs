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

/// What is to go back, who asks for it, and why.
#[derive(Debug, Clone, Copy)]
pub struct NewRefund<'a> {
    /// Of which payment, and how much.
    pub granted: GrantedRefund,
    /// Who asks for it.
    pub source: RefundSource,
    /// Why.
    pub reason: &'a str,
}

/// Asks for a part of a payment, or all of it. The caller holds the lock of the payment, or has
/// stored it in this transaction. A fault where there is no such payment, and where one is refunded
/// as surplus that is none.
pub async fn request(
    db: &mut Connection,
    new: NewRefund<'_>,
    now: DateTime<Utc>,
) -> Result<RefundId> {
    let id = RefundId::new();
    let written = sqlx::query!(
        "insert into refunds (id, payment_id, booking_id, amount_minor, currency, source, reason,
                              next_look_at, created_at)
         select $1, id, booking_id, $3, currency, $5, $6, $7, $7
         from payments
         where id = $2 and currency = $4 and (disposition = 'surplus' or $5 <> 'surplus')",
        id as _,
        new.granted.payment_id as _,
        new.granted.amount.amount_minor,
        new.granted.amount.currency.as_str(),
        new.source as _,
        new.reason,
        now,
    )
    .execute(db)
    .await?;
    if written.rows_affected() == 1 {
        Ok(id)
    } else {
        Err(Error::fault("a payment is to be refunded that is none"))
    }
}

/// Asks for what is left of a refund that was called off.
pub async fn request_rest(
    db: &mut Connection,
    called_off: RefundId,
    rest: Money,
    now: DateTime<Utc>,
) -> Result<RefundId> {
    let id = RefundId::new();
    let written = sqlx::query!(
        "insert into refunds (id, payment_id, booking_id, amount_minor, currency, source, reason,
                              next_look_at, created_at)
         select $1, payment_id, booking_id, $3, currency, source, reason, $4, $4
         from refunds
         where id = $2 and status = 'canceled'",
        id as _,
        called_off as _,
        rest.amount_minor,
        now,
    )
    .execute(db)
    .await?;
    if written.rows_affected() == 1 {
        Ok(id)
    } else {
        Err(Error::fault("a refund was not called off, and has no rest"))
    }
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
