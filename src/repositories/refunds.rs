//! Refunds: what is on its way back, and what has become of it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::ids::{AttemptId, BookingId, RefundId, TransferId};
use crate::domain::money::Money;
use crate::error::{Error, Result};

/// Where a refund stands. <https://docs.stripe.com/api/refunds/object#refund_object-status>
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "refund_status", rename_all = "snake_case")]
pub enum RefundStatus {
    /// Ours; Stripe has not answered yet.
    Requested,
    /// Stripe has it under way.
    Pending,
    /// The money is back.
    Succeeded,
    /// It did not go.
    Failed,
    /// It was called off.
    Canceled,
}

/// A refund that Stripe is to be asked for.
#[derive(Debug, Clone)]
pub struct Requested {
    /// Its id.
    pub id: RefundId,
    /// The booking it belongs to.
    pub booking_id: BookingId,
    /// The payment it gives back, at Stripe.
    pub payment_intent_id: Option<String>,
    /// How much.
    pub money: Money,
}

/// Asks for all of the surplus that an attempt has brought, in the transaction that stores it.
/// Returns the refund.
pub async fn request_surplus(
    db: &mut PgConnection,
    attempt_id: AttemptId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<RefundId> {
    let id = RefundId::new();
    let written = sqlx::query!(
        "insert into refunds (id, payment_id, booking_id, amount_minor, currency, source, reason, created_at)
         select $1, id, booking_id, amount_minor, currency, 'surplus', $3, $4
         from payments
         where attempt_id = $2 and disposition = 'surplus'",
        id as _,
        attempt_id as _,
        reason,
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
pub async fn find_requested(db: &mut PgConnection, id: RefundId) -> Result<Option<Requested>> {
    let row = sqlx::query!(
        r#"select refunds.booking_id as "booking_id: BookingId", payments.stripe_payment_intent_id,
                  refunds.amount_minor, refunds.currency
           from refunds
           join payments on payments.id = refunds.payment_id
           where refunds.id = $1 and refunds.status = 'requested'"#,
        id as _,
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(Requested {
            id,
            booking_id: row.booking_id,
            payment_intent_id: row.stripe_payment_intent_id,
            money: Money::new(
                row.amount_minor,
                row.currency.parse().map_err(Error::Fault)?,
            ),
        })
    })
    .transpose()
}

/// What Stripe has said of a refund.
#[derive(Debug, Clone)]
pub struct Answered<'a> {
    /// The refund.
    pub id: RefundId,
    /// Where it stands now.
    pub status: RefundStatus,
    /// `re_…`, if Stripe has made one.
    pub stripe_refund_id: Option<&'a str>,
    /// Why it did not go.
    pub failure_reason: Option<&'a str>,
}

/// Writes down what Stripe has said, with the ledger line of money that goes; false if that was
/// written before.
pub async fn answer(
    db: &mut PgConnection,
    answered: &Answered<'_>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let settled = match answered.status {
        RefundStatus::Requested | RefundStatus::Pending => None,
        RefundStatus::Succeeded | RefundStatus::Failed | RefundStatus::Canceled => Some(now),
    };
    let goes = matches!(
        answered.status,
        RefundStatus::Pending | RefundStatus::Succeeded
    );
    let written = sqlx::query_scalar!(
        r#"with refund as (
             update refunds
             set status = $2, stripe_refund_id = $3, failure_reason = $4, settled_at = $5
             where id = $1 and status = 'requested'
             returning id, payment_id, booking_id, amount_minor, currency
           ), transfer as (
             insert into ledger_transfers (id, kind, debit, credit, amount_minor, currency, booking_id, payment_id,
                                           refund_id, created_at)
             select $6, 'refund', 'customer_surplus', 'stripe_balance', amount_minor, currency, booking_id, payment_id,
                    id, $7
             from refund
             where $8
           )
           select count(*) as "count!" from refund"#,
        answered.id as _,
        answered.status as _,
        answered.stripe_refund_id,
        answered.failure_reason,
        settled,
        TransferId::new() as _,
        now,
        goes,
    )
    .fetch_one(db)
    .await?;
    Ok(written == 1)
}

/// Puts a fresh refund in the place of one that has failed, with a key of its own.
pub async fn request_again(
    db: &mut PgConnection,
    failed: RefundId,
    now: DateTime<Utc>,
) -> Result<RefundId> {
    let id = RefundId::new();
    sqlx::query!(
        "insert into refunds (id, payment_id, booking_id, amount_minor, currency, source, reason, created_at)
         select $1, payment_id, booking_id, amount_minor, currency, source, reason, $3
         from refunds
         where id = $2 and status = 'failed'",
        id as _,
        failed as _,
        now,
    )
    .execute(db)
    .await?;
    Ok(id)
}
