//! The money ledger. Captures are booked where payments are stored; this books what goes back, and
//! what banks take.

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::dispute::{DisputeTransfer, DisputedPayment};
use crate::domain::ids::{DisputeId, TransferId};
use crate::domain::ledger::{Account, TransferKind};
use crate::domain::refund_state::{RefundState, RefundedPayment};
use crate::error::Result;

/// Books money of a refund that leaves us, or that is back.
pub async fn book_refund(
    db: &mut Connection,
    payment: &RefundedPayment,
    refund: &RefundState,
    kind: TransferKind,
    now: DateTime<Utc>,
) -> Result<()> {
    let entry = kind.accounts(Account::of_payment(payment.is_surplus));
    sqlx::query!(
        "insert into ledger_transfers (id, kind, debit, credit, amount_minor, currency, booking_id,
                                       payment_id, refund_id, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        TransferId::new() as _,
        kind.as_str(),
        entry.debit.as_str(),
        entry.credit.as_str(),
        refund.money.amount_minor,
        refund.money.currency.as_str(),
        payment.booking_id as _,
        payment.id as _,
        refund.id as _,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Books money of a dispute that a bank takes, or gives back.
pub async fn book_dispute(
    db: &mut Connection,
    payment: &DisputedPayment,
    id: DisputeId,
    transfer: DisputeTransfer,
    now: DateTime<Utc>,
) -> Result<()> {
    let DisputeTransfer { kind, amount } = transfer;
    let entry = kind.accounts(Account::DisputedFunds);
    sqlx::query!(
        "insert into ledger_transfers (id, kind, debit, credit, amount_minor, currency, booking_id,
                                       payment_id, dispute_id, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        TransferId::new() as _,
        kind.as_str(),
        entry.debit.as_str(),
        entry.credit.as_str(),
        amount.amount_minor,
        amount.currency.as_str(),
        payment.booking_id as _,
        payment.id as _,
        id as _,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}
