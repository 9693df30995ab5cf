//! Vouchers, and the bookings that use them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::Columns;
use crate::connection::Connection;
use crate::domain::booking_event::BookingEvent;
use crate::domain::currency::Currency;
use crate::domain::ids::{BookingId, VoucherId};
use crate::domain::money::Money;
use crate::domain::voucher::{AppliedVoucher, Reduction, Voucher, VoucherTerms};
use crate::error::{Error, Result};

/// The constraint that no two vouchers have one code.
pub const CODE_KEY: &str = "vouchers_code_key";

/// Stores a new voucher.
pub async fn insert(db: &mut Connection, voucher: &Voucher, now: DateTime<Utc>) -> Result<()> {
    let off = Off::from(voucher.terms.reduction);
    sqlx::query!(
        "insert into vouchers (id, code, percent_off, amount_off_minor, currency, max_uses,
                               valid_from, valid_until, active, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)",
        voucher.id as _,
        voucher.terms.code,
        off.percent,
        off.amount_minor,
        off.currency.as_ref().map(Currency::as_str),
        voucher.terms.max_uses,
        voucher.terms.valid_from,
        voucher.terms.valid_until,
        voucher.terms.active,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Stores what has become of a voucher. The caller holds its lock.
pub async fn update(db: &mut Connection, voucher: &Voucher, now: DateTime<Utc>) -> Result<()> {
    let off = Off::from(voucher.terms.reduction);
    sqlx::query!(
        "update vouchers
         set code = $2, percent_off = $3, amount_off_minor = $4, currency = $5, max_uses = $6,
             valid_from = $7, valid_until = $8, active = $9, updated_at = $10
         where id = $1",
        voucher.id as _,
        voucher.terms.code,
        off.percent,
        off.amount_minor,
        off.currency.as_ref().map(Currency::as_str),
        voucher.terms.max_uses,
        voucher.terms.valid_from,
        voucher.terms.valid_until,
        voucher.terms.active,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What a voucher takes off, as it is stored: a percentage, or an amount and its currency.
struct Off {
    percent: Option<i32>,
    amount_minor: Option<i64>,
    currency: Option<Currency>,
}

impl From<Reduction> for Off {
    fn from(reduction: Reduction) -> Self {
        let (percent, amount) = reduction.parts();
        Self {
            percent: percent.map(|percent| i32::try_from(percent).unwrap_or(i32::MAX)),
            amount_minor: amount.map(|amount| amount.amount_minor),
            currency: amount.map(|amount| amount.currency),
        }
    }
}

struct Row {
    id: VoucherId,
    code: String,
    percent_off: Option<i32>,
    amount_off_minor: Option<i64>,
    currency: Option<String>,
    max_uses: Option<i64>,
    valid_from: Option<DateTime<Utc>>,
    valid_until: Option<DateTime<Utc>>,
    active: bool,
    used: i64,
}

/// Vouchers with how often they are used, as the given end of the query chooses them.
macro_rules! found {
    ($which:literal, $($argument:expr),*) => {
        sqlx::query_as!(
            Row,
            r#"select id as "id: _", code, percent_off, amount_off_minor, currency, max_uses,
                      valid_from, valid_until, active,
                      (
                        select count(*) from voucher_redemptions
                        where voucher_id = vouchers.id and live
                      ) as "used!"
               from vouchers
               "# + $which,
            $($argument),*
        )
    };
}

/// Vouchers, newest first, those before `before` only, at most `limit`. One round trip.
pub async fn list(
    db: &mut Connection,
    before: Option<VoucherId>,
    limit: i64,
) -> Result<Vec<Voucher>> {
    let rows = found!(
        "where $1::uuid is null or id < $1 order by id desc limit $2",
        before as _,
        limit
    );
    rows.fetch_all(db)
        .await?
        .into_iter()
        .map(Voucher::try_from)
        .collect()
}

/// The voucher, if there is one.
pub async fn find(db: &mut Connection, id: VoucherId) -> Result<Option<Voucher>> {
    let row = found!("where id = $1", id as _).fetch_optional(db).await?;
    row.map(Voucher::try_from).transpose()
}

/// Those of the vouchers that there are; the codes are given in lower case. One round trip.
pub async fn find_by_codes(db: &mut Connection, codes: &[String]) -> Result<Vec<Voucher>> {
    let rows = found!("where lower(code) = any($1)", codes);
    rows.fetch_all(db)
        .await?
        .into_iter()
        .map(Voucher::try_from)
        .collect()
}

impl TryFrom<Row> for Voucher {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let amount = row.amount_off_minor.zip(row.currency);
        let reduction = match (row.percent_off, amount) {
            (Some(percent), _) => Reduction::Percent(u32::try_from(percent).unwrap_or_default()),
            (None, Some((amount_minor, currency))) => {
                let currency = currency.parse().map_err(Error::Fault)?;
                Reduction::Amount(Money::new(amount_minor, currency))
            }
            (None, None) => return Err(Error::Fault(format!("{} takes nothing off", row.id))),
        };
        Ok(Self {
            id: row.id,
            terms: VoucherTerms {
                code: row.code,
                reduction,
                max_uses: row.max_uses,
                valid_from: row.valid_from,
                valid_until: row.valid_until,
                active: row.active,
            },
            used: row.used,
        })
    }
}

/// Locks vouchers, one after the other, so that two who want the same ones never deadlock: nobody
/// else changes them, or uses them, until the transaction ends.
pub async fn lock(db: &mut Connection, ids: &[VoucherId]) -> Result<()> {
    sqlx::query!(
        "select from vouchers where id = any($1) order by id for no key update",
        ids as _,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A voucher to be used for a booking.
#[derive(Debug, Clone, Copy)]
pub struct NewRedemption<'a> {
    /// The booking, which is stored in this transaction.
    pub booking_id: BookingId,
    /// What it takes off.
    pub voucher: &'a AppliedVoucher,
}

/// Uses vouchers as far as they are valid and not used up; who comes first has it. Returns the
/// bookings that have theirs. Two round trips: locks, and with what was committed meanwhile, uses.
pub async fn redeem(
    db: &mut Connection,
    new: &[NewRedemption<'_>],
    now: DateTime<Utc>,
) -> Result<HashSet<BookingId>> {
    let ids = new.column(|new| new.voucher.id);
    lock(db, &ids).await?;
    let events = new.column(|new| BookingEvent::VoucherRedeemed {
        code: new.voucher.code.clone(),
        discount: new.voucher.discount,
    });
    let redeemed = sqlx::query_scalar!(
        r#"with wanted as (
             select *, row_number() over (partition by voucher_id order by number) as place
             from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[])
               with ordinality
               as wanted (booking_id, voucher_id, discount_minor, event_kind, event_payload, number)
           ), valid as materialized (
             -- How often each can still be used; null for any number.
             select id, case when max_uses is not null then max_uses - (
                      select count(*) from voucher_redemptions
                      where voucher_id = vouchers.id and live
                    ) end as uses_left
             from vouchers
             where id = any($2) and active
               and (valid_from is null or valid_from <= $6)
               and (valid_until is null or valid_until > $6)
           ), redeemed as (
             insert into voucher_redemptions (booking_id, voucher_id, discount_minor, redeemed_at)
             select booking_id, voucher_id, discount_minor, $6
             from wanted
             join valid on valid.id = wanted.voucher_id
             where uses_left is null or place <= uses_left
             returning booking_id
           ), happened as (
             insert into booking_events (booking_id, kind, payload, at)
             select booking_id, event_kind, event_payload::json, $6
             from wanted
             join redeemed using (booking_id)
           )
           select booking_id as "booking_id: BookingId" from redeemed"#,
        &new.column(|new| new.booking_id) as _,
        &ids as _,
        &new.column(|new| new.voucher.discount.amount_minor),
        &events.column(BookingEvent::kind) as _,
        &events.column(BookingEvent::json),
        now,
    )
    .fetch_all(db)
    .await?;
    Ok(redeemed.into_iter().collect())
}
