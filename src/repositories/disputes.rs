//! Disputes, and the payments that they are about.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::charge::ChargeReference;
use crate::domain::dispute::{
    Dispute, DisputeChange, DisputeOfBooking, DisputeReport, DisputedPayment,
};
use crate::domain::dispute_status::DisputeStatus;
use crate::domain::disputed_funds::DisputedFunds;
use crate::domain::ids::{BookingId, DisputeId, PaymentId};
use crate::domain::money::Money;
use crate::error::{Error, Result};

/// Locks the payment that a charge of Stripe's has brought, and reads what is said against it;
/// `None` if there is no such payment here.
pub async fn lock_payment(
    db: &mut Connection,
    charge: &ChargeReference,
) -> Result<Option<DisputedPayment>> {
    let row = sqlx::query!(
        r#"select id as "id: PaymentId", booking_id as "booking_id: BookingId", amount_minor,
                  currency
           from payments
           where stripe_payment_intent_id = $1
             or stripe_payment_intent_id = (
               select stripe_payment_intent_id from charges where stripe_charge_id = $2 limit 1
             )
           for no key update"#,
        charge.payment_intent_id,
        charge.charge_id,
    )
    .fetch_optional(&mut *db)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let currency = row.currency.parse().map_err(Error::Fault)?;
    // Asked in statements of their own, which see what was committed while the lock was waited for.
    Ok(Some(DisputedPayment {
        id: row.id,
        booking_id: row.booking_id,
        money: Money::new(row.amount_minor, currency),
        disputes: list_of_payment(db, row.id).await?,
        fraud_warnings: list_fraud_warnings(db, row.booking_id).await?,
    }))
}

/// What is said against the payments of these PaymentIntents, by their ids; nothing is locked, and
/// fraud warnings are not read. Two round trips.
pub async fn find_disputed(
    db: &mut Connection,
    payment_intent_ids: &[&str],
) -> Result<HashMap<String, DisputedPayment>> {
    let rows = sqlx::query!(
        r#"select id as "id: PaymentId", booking_id as "booking_id: BookingId", amount_minor,
                  currency, stripe_payment_intent_id as "payment_intent_id!"
           from payments
           where stripe_payment_intent_id = any($1)"#,
        payment_intent_ids as _,
    )
    .fetch_all(&mut *db)
    .await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let mut disputes = list_of_payments(db, &ids).await?;
    let payments = rows.into_iter().map(|row| {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        let payment = DisputedPayment {
            id: row.id,
            booking_id: row.booking_id,
            money: Money::new(row.amount_minor, currency),
            disputes: disputes.remove(&row.id).unwrap_or_default(),
            fraud_warnings: Vec::new(),
        };
        Ok((row.payment_intent_id, payment))
    });
    payments.collect()
}

/// All disputes of a payment; a bank seldom opens more than one.
pub async fn list_of_payment(db: &mut Connection, id: PaymentId) -> Result<Vec<Dispute>> {
    let mut disputes = list_of_payments(db, &[id]).await?;
    Ok(disputes.remove(&id).unwrap_or_default())
}

async fn list_of_payments(
    db: &mut Connection,
    ids: &[PaymentId],
) -> Result<HashMap<PaymentId, Vec<Dispute>>> {
    let rows = sqlx::query!(
        r#"select id as "id: DisputeId", payment_id as "payment_id: PaymentId", stripe_dispute_id,
                  amount_minor, currency,
                  status as "status: DisputeStatus", reported_at,
                  exists (select from ledger_transfers
                          where dispute_id = disputes.id and kind = 'dispute_withdrawal')
                    as "is_withdrawn!",
                  (select coalesce(sum(amount_minor), 0)::bigint from ledger_transfers
                   where dispute_id = disputes.id and kind = 'dispute_reinstatement')
                    as "reinstated_minor!"
           from disputes
           where payment_id = any($1)
           order by id"#,
        ids as _,
    )
    .fetch_all(db)
    .await?;
    let mut disputes: HashMap<PaymentId, Vec<Dispute>> = HashMap::new();
    for row in rows {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        disputes.entry(row.payment_id).or_default().push(Dispute {
            id: row.id,
            stripe_dispute_id: row.stripe_dispute_id,
            money: Money::new(row.amount_minor, currency),
            status: row.status,
            funds: if row.is_withdrawn {
                let reinstated_minor = row.reinstated_minor;
                DisputedFunds::Withdrawn { reinstated_minor }
            } else {
                DisputedFunds::Untouched
            },
            reported_at: row.reported_at,
        });
    }
    Ok(disputes)
}

/// The early fraud warnings that a booking is flagged with.
async fn list_fraud_warnings(db: &mut Connection, id: BookingId) -> Result<Vec<String>> {
    let warnings = sqlx::query_scalar!(
        r#"select payload ->> 'warningId' as "id!"
           from booking_events
           where booking_id = $1 and kind = 'fraudWarned'"#,
        id as _,
    )
    .fetch_all(db)
    .await?;
    Ok(warnings)
}

/// Stores a dispute as it stands now. The caller holds the lock of its payment, and books the
/// money.
pub async fn store(
    db: &mut Connection,
    payment: &DisputedPayment,
    report: &DisputeReport,
    change: &DisputeChange,
) -> Result<()> {
    let dispute = &change.after;
    let closed_at: Option<DateTime<Utc>> =
        dispute.status.is_closed().then_some(dispute.reported_at);
    sqlx::query!(
        "insert into disputes (id, stripe_dispute_id, payment_id, booking_id, amount_minor,
                               currency, reason, status, evidence_due_by, opened_at, reported_at,
                               closed_at, was_asked_about)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         on conflict (stripe_dispute_id) do update
         set amount_minor = excluded.amount_minor, status = excluded.status,
             reason = coalesce(disputes.reason, excluded.reason),
             evidence_due_by = coalesce(excluded.evidence_due_by, disputes.evidence_due_by),
             reported_at = excluded.reported_at, closed_at = excluded.closed_at,
             was_asked_about = disputes.was_asked_about or excluded.was_asked_about",
        dispute.id as _,
        dispute.stripe_dispute_id,
        payment.id as _,
        payment.booking_id as _,
        dispute.money.amount_minor,
        dispute.money.currency.as_str(),
        report.reason,
        dispute.status as _,
        report.evidence_due_by,
        report.opened_at,
        dispute.reported_at,
        closed_at,
        report.is_answer,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// When the oldest dispute was opened that has not come to its end, if there is one.
pub async fn oldest_open(db: &mut Connection) -> Result<Option<DateTime<Utc>>> {
    let oldest = sqlx::query_scalar!("select min(opened_at) from disputes where closed_at is null");
    Ok(oldest.fetch_one(db).await?)
}

/// The disputes of a booking's payments, newest first, at most `limit`. One round trip.
pub async fn list_of_booking(
    db: &mut Connection,
    id: BookingId,
    limit: i64,
) -> Result<Vec<DisputeOfBooking>> {
    let rows = sqlx::query!(
        r#"select id as "id: DisputeId", stripe_dispute_id, payment_id as "payment_id: PaymentId",
                  amount_minor, currency, reason, status as "status: DisputeStatus",
                  evidence_due_by, opened_at, closed_at
           from disputes
           where booking_id = $1
           order by opened_at desc, id desc
           limit $2"#,
        id as _,
        limit,
    )
    .fetch_all(db)
    .await?;
    let disputes = rows.into_iter().map(|row| {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        Ok(DisputeOfBooking {
            id: row.id,
            stripe_dispute_id: row.stripe_dispute_id,
            payment_id: row.payment_id,
            amount: Money::new(row.amount_minor, currency),
            reason: row.reason,
            status: row.status,
            evidence_due_by: row.evidence_due_by,
            opened_at: row.opened_at,
            closed_at: row.closed_at,
        })
    });
    disputes.collect()
}
