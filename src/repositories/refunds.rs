//! Refunds: what is on its way back, and what has become of it.

use std::cmp::Reverse;
use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::Columns;
use crate::connection::Connection;
use crate::domain::attempt::PaymentPart;
use crate::domain::ids::{BookingId, PaymentId, RefundId};
use crate::domain::money::Money;
use crate::domain::refund::{Refund, RefundReference, StripeRefund};
use crate::domain::refund_refusal::next_look_at;
use crate::domain::refund_state::{RefundSource, RefundState, RefundStatus, RefundedPayment};
use crate::error::{Error, Result};

/// Finds the payments that these name, locks them and their bookings in the order of their ids, and
/// reads what goes back of them. Four round trips; what names no payment of ours is left out.
pub async fn lock_payments(
    db: &mut Connection,
    references: &[RefundReference],
) -> Result<HashMap<RefundReference, RefundedPayment>> {
    let found = sqlx::query!(
        r#"select reference.number as "number!",
                  coalesce(by_stripe.payment_id, by_charge.id, by_ours.payment_id)
                    as "payment_id: PaymentId"
           from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) with ordinality
             as reference (refund_id, stripe_refund_id, payment_intent_id, charge_id, number)
           left join refunds as by_stripe
             on by_stripe.stripe_refund_id = reference.stripe_refund_id
           left join refunds as by_ours on by_ours.id = reference.refund_id
           left join payments as by_charge
             on by_charge.stripe_payment_intent_id = coalesce(
               reference.payment_intent_id,
               (select stripe_payment_intent_id from charges
                where stripe_charge_id = reference.charge_id limit 1)
             )
           order by number"#,
        &references.column(|one| one.refund_id) as _,
        &references.column(|one| one.stripe_refund_id.as_deref()) as _,
        &references.column(|one| one.charge.payment_intent_id.as_deref()) as _,
        &references.column(|one| one.charge.charge_id.as_deref()) as _,
    )
    .fetch_all(&mut *db)
    .await?;
    let ids: Vec<_> = found.iter().filter_map(|row| row.payment_id).collect();
    let payments = lock(db, &ids).await?;
    let named = references.iter().zip(found).filter_map(|(one, row)| {
        let payment = payments.get(&row.payment_id?)?;
        Some((one.clone(), payment.clone()))
    });
    Ok(named.collect())
}

/// Locks the payments of a booking, and reads what goes back of them, newest first. Four round
/// trips.
pub async fn lock_payments_of(
    db: &mut Connection,
    booking_id: BookingId,
) -> Result<Vec<RefundedPayment>> {
    let ids = sqlx::query_scalar!(
        r#"select id as "id: PaymentId" from payments where booking_id = $1"#,
        booking_id as _,
    )
    .fetch_all(&mut *db)
    .await?;
    let mut payments: Vec<_> = lock(db, &ids).await?.into_values().collect();
    payments.sort_by_key(|payment| Reverse(payment.id));
    Ok(payments)
}

async fn lock(
    db: &mut Connection,
    ids: &[PaymentId],
) -> Result<HashMap<PaymentId, RefundedPayment>> {
    // Bookings come before payments, and what changes of a refund is a new version of its booking.
    sqlx::query!(
        "select from bookings
         where id in (select booking_id from payments where id = any($1))
         order by id
         for no key update",
        ids as _,
    )
    .execute(&mut *db)
    .await?;
    let payments = sqlx::query_as!(
        PaymentRow,
        r#"select id as "id: _", booking_id as "booking_id: _", part as "part: _", amount_minor,
                  currency, disposition = 'surplus' as "is_surplus!"
           from payments
           where id = any($1)
           order by id
           for no key update"#,
        ids as _,
    )
    .fetch_all(&mut *db)
    .await?;
    // Asked in a statement of its own, which sees what was committed while the locks were waited
    // for.
    let refunds = sqlx::query_as!(
        RefundRow,
        r#"select id as "id: _", payment_id as "payment_id: _", stripe_refund_id, amount_minor,
                  currency, status as "status: _", failure_reason, created_at, refused_since,
                  source as "source: _"
           from refunds
           where payment_id = any($1)
           order by id
           for update of refunds"#,
        ids as _,
    )
    .fetch_all(db)
    .await?;
    let payments = with_refunds(payments, refunds)?.into_iter();
    Ok(payments.map(|payment| (payment.id, payment)).collect())
}

/// The payments of bookings, and what goes back of them, as they stand, without a lock. Two round
/// trips.
pub async fn list_of_bookings(
    db: &mut Connection,
    ids: &[BookingId],
) -> Result<Vec<RefundedPayment>> {
    let payments = sqlx::query_as!(
        PaymentRow,
        r#"select id as "id: _", booking_id as "booking_id: _", part as "part: _", amount_minor,
                  currency, disposition = 'surplus' as "is_surplus!"
           from payments
           where booking_id = any($1)
           order by id desc"#,
        ids as _,
    )
    .fetch_all(&mut *db)
    .await?;
    let refunds = sqlx::query_as!(
        RefundRow,
        r#"select id as "id: _", payment_id as "payment_id: _", stripe_refund_id, amount_minor,
                  currency, status as "status: _", failure_reason, created_at, refused_since,
                  source as "source: _"
           from refunds
           where booking_id = any($1)
           order by id"#,
        ids as _,
    )
    .fetch_all(db)
    .await?;
    with_refunds(payments, refunds)
}

struct PaymentRow {
    id: PaymentId,
    booking_id: BookingId,
    part: PaymentPart,
    amount_minor: i64,
    currency: String,
    is_surplus: bool,
}

struct RefundRow {
    id: RefundId,
    payment_id: PaymentId,
    stripe_refund_id: Option<String>,
    amount_minor: i64,
    currency: String,
    status: RefundStatus,
    failure_reason: Option<String>,
    created_at: DateTime<Utc>,
    refused_since: Option<DateTime<Utc>>,
    source: RefundSource,
}

fn with_refunds(
    payments: Vec<PaymentRow>,
    refunds: Vec<RefundRow>,
) -> Result<Vec<RefundedPayment>> {
    let mut of_payments: HashMap<PaymentId, Vec<RefundState>> = HashMap::new();
    for row in refunds {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        let of_payment = of_payments.entry(row.payment_id).or_default();
        of_payment.push(RefundState {
            id: row.id,
            stripe_refund_id: row.stripe_refund_id,
            is_by_hand: row.source == RefundSource::Dashboard,
            money: Money::new(row.amount_minor, currency),
            status: row.status,
            failure_reason: row.failure_reason,
            created_at: row.created_at,
            refused_since: row.refused_since,
        });
    }
    let payments = payments.into_iter().map(|row| {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        Ok(RefundedPayment {
            id: row.id,
            booking_id: row.booking_id,
            part: row.part,
            money: Money::new(row.amount_minor, currency),
            is_surplus: row.is_surplus,
            refunds: of_payments.remove(&row.id).unwrap_or_default(),
        })
    });
    payments.collect()
}

/// Stores what Stripe has said of a refund. The caller holds the lock of its payment, and books the
/// money.
pub async fn store(
    db: &mut Connection,
    refund: &RefundState,
    found: &StripeRefund,
    now: DateTime<Utc>,
) -> Result<()> {
    let next_look_at = next_look_at(found.status, refund.created_at, now);
    sqlx::query!(
        "update refunds
         set status = $2, stripe_refund_id = $3, failure_reason = $4, next_look_at = $5,
             settled_at = $6
         where id = $1",
        refund.id as _,
        found.status as _,
        found.id,
        found.failure_reason,
        next_look_at,
        next_look_at.is_none().then_some(now),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends a refund that Stripe has not made, as failed or called off, and keeps why. The caller holds
/// the lock of its payment.
pub async fn end_unmade(
    db: &mut Connection,
    id: RefundId,
    status: RefundStatus,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "update refunds
         set status = $2, failure_reason = $3, next_look_at = null, settled_at = $4
         where id = $1 and status = 'requested'",
        id as _,
        status as _,
        reason,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A refund of Stripe's whose payment is here.
#[derive(Debug, Clone)]
pub struct KnownRefund {
    /// `re_…`
    pub stripe_refund_id: String,
    /// Where it stands here; `None` if it is not recorded.
    pub status: Option<RefundStatus>,
}

/// Those of the refunds of which the payment is here. One round trip.
pub async fn list_known(db: &mut Connection, found: &[StripeRefund]) -> Result<Vec<KnownRefund>> {
    let known = sqlx::query_as!(
        KnownRefund,
        r#"select named.id as "stripe_refund_id!", refund.status as "status?: RefundStatus"
           from unnest($1::text[], $2::text[], $3::text[])
             as named (id, payment_intent_id, charge_id)
           join payments as payment
             on payment.stripe_payment_intent_id = coalesce(
               named.payment_intent_id,
               (select stripe_payment_intent_id from charges
                where stripe_charge_id = named.charge_id limit 1)
             )
           left join refunds as refund on refund.stripe_refund_id = named.id"#,
        &found.column(|refund| refund.id.as_str()) as _,
        &found.column(|refund| refund.charge.payment_intent_id.as_deref()) as _,
        &found.column(|refund| refund.charge.charge_id.as_deref()) as _,
    )
    .fetch_all(db)
    .await?;
    Ok(known)
}

/// The refunds of a booking, newest first, at most `limit`. One round trip.
pub async fn list_of_booking(
    db: &mut Connection,
    id: BookingId,
    limit: i64,
) -> Result<Vec<Refund>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: _", booking_id as "booking_id: _", payment_id as "payment_id: _",
                  amount_minor, currency, status as "status: _", source as "source: _", reason,
                  failure_reason, created_at, settled_at
           from refunds
           where booking_id = $1
           order by created_at desc, id desc
           limit $2"#,
        id as _,
        limit,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Refund::try_from).collect()
}

/// The refund, if there is one.
pub async fn find(db: &mut Connection, id: RefundId) -> Result<Option<Refund>> {
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: _", booking_id as "booking_id: _", payment_id as "payment_id: _",
                  amount_minor, currency, status as "status: _", source as "source: _", reason,
                  failure_reason, created_at, settled_at
           from refunds
           where id = $1"#,
        id as _,
    )
    .fetch_optional(db)
    .await?;
    row.map(Refund::try_from).transpose()
}

struct Row {
    id: RefundId,
    booking_id: BookingId,
    payment_id: PaymentId,
    amount_minor: i64,
    currency: String,
    status: RefundStatus,
    source: RefundSource,
    reason: String,
    failure_reason: Option<String>,
    created_at: DateTime<Utc>,
    settled_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Refund {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        Ok(Self {
            id: row.id,
            booking_id: row.booking_id,
            payment_id: row.payment_id,
            amount: Money::new(row.amount_minor, currency),
            status: row.status,
            source: row.source,
            reason: row.reason,
            failure_reason: row.failure_reason,
            created_at: row.created_at,
            settled_at: row.settled_at,
        })
    }
}
