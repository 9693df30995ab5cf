//! What is recorded of captures, and which of them reconciliations have seen at Stripe.

use chrono::{DateTime, Utc};

use crate::connection::Connection;
use crate::domain::currency::Currency;
use crate::domain::ids::{BookingId, PaymentId, ReconciliationId};
use crate::error::{Error, Result};

/// What is recorded of a capture, in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCapture {
    /// The payment.
    pub payment_id: PaymentId,
    /// `pi_…`
    pub payment_intent_id: String,
    /// The booking that it was made for.
    pub booking_id: BookingId,
    /// In which currency.
    pub currency: Currency,
    /// How much was captured.
    pub captured: i64,
    /// How much of that is back, or on its way back at Stripe.
    pub refunded: i64,
    /// How much of it banks have taken back, and not given back.
    pub disputed: i64,
    /// Whether Stripe has been asked for a refund and has not answered.
    pub is_refund_open: bool,
}

/// What is recorded of these PaymentIntents. One round trip.
pub async fn list(
    db: &mut Connection,
    payment_intent_ids: &[&str],
) -> Result<Vec<RecordedCapture>> {
    let rows = sqlx::query!(
        r#"select payment.id as "payment_id: PaymentId",
                  payment.stripe_payment_intent_id as "payment_intent_id!",
                  payment.booking_id as "booking_id: BookingId", payment.currency,
                  payment.amount_minor as captured, back.refunded as "refunded!",
                  back.is_open as "is_refund_open!", taken.disputed as "disputed!"
           from payments as payment
           cross join lateral (
             select coalesce(sum(amount_minor) filter (where status in ('pending', 'succeeded')),
                             0)::bigint as refunded,
                    coalesce(bool_or(status = 'requested'), false) as is_open
             from refunds
             where payment_id = payment.id
           ) as back
           cross join lateral (
             select coalesce(sum(case kind when 'dispute_withdrawal' then amount_minor
                                 else -amount_minor end), 0)::bigint as disputed
             from ledger_transfers
             where booking_id = payment.booking_id and payment_id = payment.id
               and kind in ('dispute_withdrawal', 'dispute_reinstatement')
           ) as taken
           where payment.stripe_payment_intent_id = any($1)"#,
        payment_intent_ids as _,
    )
    .fetch_all(db)
    .await?;
    let captures = rows.into_iter().map(|row| {
        Ok(RecordedCapture {
            payment_id: row.payment_id,
            payment_intent_id: row.payment_intent_id,
            booking_id: row.booking_id,
            currency: row.currency.parse().map_err(Error::Fault)?,
            captured: row.captured,
            refunded: row.refunded,
            disputed: row.disputed,
            is_refund_open: row.is_refund_open,
        })
    });
    captures.collect()
}

/// Notes that Stripe has the captures of these payments. One round trip.
pub async fn mark_compared(
    db: &mut Connection,
    payment_ids: &[PaymentId],
    now: DateTime<Utc>,
) -> Result<()> {
    // In one order, so that two reconciliations at once do not wait for each other.
    sqlx::query!(
        "insert into compared_captures (payment_id, compared_at)
         select id, $2
         from unnest($1::uuid[]) as id
         order by id
         on conflict (payment_id) do update
         set compared_at = excluded.compared_at
         where compared_captures.compared_at < excluded.compared_at",
        payment_ids as _,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Which captures a reconciliation should have seen at Stripe.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// What was made at Stripe since then was listed …
    pub since: DateTime<Utc>,
    /// … by this reconciliation …
    pub by: ReconciliationId,
    /// … which was begun then.
    pub begun_at: DateTime<Utc>,
}

/// A payment that should have been seen at Stripe and was not.
#[derive(Debug, Clone)]
pub struct UnseenCapture {
    /// The payment.
    pub payment_id: PaymentId,
    /// `pi_…`
    pub payment_intent_id: String,
}

/// Payments that should have been seen at Stripe and were not, newest first, those after `after`,
/// at most `limit`: of attempts that were made in the time that was looked at, and recorded before
/// that began, as their ids say. One round trip.
pub async fn list_unseen(
    db: &mut Connection,
    expected: Expected,
    after: Option<PaymentId>,
    limit: i64,
) -> Result<Vec<UnseenCapture>> {
    // Nearly always there is none, for which the ids must not be gone through from the newest to
    // the oldest: that is what `materialized` is for.
    let unseen = sqlx::query_as!(
        UnseenCapture,
        r#"with unseen as materialized (
             select payment.id, payment.stripe_payment_intent_id as intent
             from payments as payment
             join checkout_attempts as attempt on attempt.id = payment.attempt_id
             left join compared_captures as compared on compared.payment_id = payment.id
             where payment.captured_at >= $1 and attempt.created_at >= $1
               and payment.id < coalesce($2, $3::uuid)
               and payment.stripe_payment_intent_id is not null
               and (compared.compared_at is null or compared.compared_at < $4)
           )
           select id as "payment_id!: PaymentId", intent as "payment_intent_id!"
           from unseen
           order by id desc
           limit $5"#,
        expected.since,
        after as _,
        expected.by as _,
        expected.begun_at,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(unseen)
}

/// The PaymentIntents about which discrepancies of these kinds are open, that have not been seen at
/// Stripe, and that [`list_unseen`] does not give: in their order, those after `after`, at most
/// `limit`. One round trip.
pub async fn list_doubtful(
    db: &mut Connection,
    kinds: &[&str],
    expected: Expected,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<String>> {
    let doubtful = sqlx::query_scalar!(
        "select open.subject
         from discrepancies as open
         left join payments as payment on payment.stripe_payment_intent_id = open.subject
         left join checkout_attempts as attempt on attempt.id = payment.attempt_id
         left join compared_captures as compared on compared.payment_id = payment.id
         where open.kind = any($1) and open.status = 'open' and starts_with(open.subject, 'pi_')
           and open.subject > $2
           and (compared.compared_at is null or compared.compared_at < $3)
           and (payment.captured_at >= $4 and attempt.created_at >= $4
                and payment.id < $5::uuid) is not true
         group by open.subject
         order by open.subject
         limit $6",
        kinds as _,
        after.unwrap_or_default(),
        expected.begun_at,
        expected.since,
        expected.by as _,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(doubtful)
}
