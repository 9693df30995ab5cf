//! Differences between what Stripe reports and our records, for a person to look at.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::connection::Connection;
use crate::domain::discrepancy::{Discrepancy, DiscrepancyStatus};
use crate::domain::ids::{BookingId, DiscrepancyId};
use crate::error::Result;

/// A difference that is found.
#[derive(Debug, Clone)]
pub struct NewDiscrepancy<'a> {
    /// In what they differ.
    pub kind: &'a str,
    /// What it is about, such as an attempt's id.
    pub subject: &'a str,
    /// The booking, if it is about one.
    pub booking_id: Option<BookingId>,
    /// What we have.
    pub ours: Value,
    /// What Stripe says.
    pub theirs: Value,
}

/// Opens a discrepancy; `None` if it is open already, or if a person has dismissed it: what was
/// found then was of the same kind, about the same subject, and both sides had the same. There is
/// no other way to open one, so that what is dismissed stays so until the facts change; the sides
/// hold facts alone, and nothing that differs from one time to the next.
pub async fn open(
    db: &mut Connection,
    discrepancy: &NewDiscrepancy<'_>,
    now: DateTime<Utc>,
) -> Result<Option<DiscrepancyId>> {
    let opened = sqlx::query_scalar!(
        r#"insert into discrepancies (id, kind, subject, booking_id, ours, theirs, found_at)
           select $1::uuid, $2::text, $3::text, $4::uuid, $5::json, $6::json, $7::timestamptz
           where not exists (
             select
             from discrepancies
             where subject = $3 and kind = $2 and status = 'dismissed'
               and ours::text = $5::json::text and theirs::text = $6::json::text
           )
           on conflict (kind, subject) where status = 'open' do nothing
           returning id as "id: DiscrepancyId""#,
        DiscrepancyId::new() as _,
        discrepancy.kind,
        discrepancy.subject,
        discrepancy.booking_id as _,
        discrepancy.ours,
        discrepancy.theirs,
        now,
    )
    .fetch_optional(db)
    .await?;
    Ok(opened)
}

/// The discrepancy of this kind about this subject that is open, or else the last that was
/// dismissed. One round trip.
pub async fn find_standing(
    db: &mut Connection,
    kind: &str,
    subject: &str,
) -> Result<Option<DiscrepancyId>> {
    let found = sqlx::query_scalar!(
        r#"select coalesce(
             (select id from discrepancies where kind = $1 and subject = $2 and status = 'open'),
             (select id
              from discrepancies
              where subject = $2 and kind = $1 and status = 'dismissed'
              order by found_at desc, id desc
              limit 1)
           ) as "id: DiscrepancyId""#,
        kind,
        subject,
    );
    Ok(found.fetch_one(db).await?)
}

/// Heals what is open of this kind about these subjects.
pub async fn heal(db: &mut Connection, kind: &str, subjects: &[String]) -> Result<()> {
    sqlx::query!(
        "update discrepancies
         set status = 'healed'
         where kind = $1 and subject = any($2) and status = 'open'",
        kind,
        subjects,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Heals the one of these that was found first, if one is open.
pub async fn heal_oldest(db: &mut Connection, kind: &str, subjects: &[String]) -> Result<()> {
    sqlx::query!(
        "with found as materialized (
           -- By their subjects, of which there are few; not by their ids, until one fits.
           select id
           from discrepancies
           where kind = $1 and subject = any($2) and status = 'open'
         )
         update discrepancies
         set status = 'healed'
         where id = (select id from found order by id limit 1)",
        kind,
        subjects,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// About what discrepancies of this kind are open, those that were found last first, at most
/// `limit`.
pub async fn list_open_subjects(
    db: &mut Connection,
    kind: &str,
    limit: i64,
) -> Result<Vec<String>> {
    let subjects = sqlx::query_scalar!(
        "select subject
         from discrepancies
         where kind = $1 and status = 'open'
         order by found_at desc, subject
         limit $2",
        kind,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(subjects)
}

/// Which discrepancies are listed.
#[derive(Debug, Clone, Copy)]
pub struct Filter {
    /// Only those that stand so.
    pub status: Option<DiscrepancyStatus>,
    /// Only those found before this one.
    pub before: Option<DiscrepancyId>,
}

/// Discrepancies, newest first, at most `limit`. One round trip.
pub async fn list(db: &mut Connection, filter: Filter, limit: i64) -> Result<Vec<Discrepancy>> {
    let found = sqlx::query_as!(
        Discrepancy,
        r#"select id as "id: _", kind, subject, booking_id as "booking_id: _", ours as "ours: _",
                  theirs as "theirs: _", status as "status: _", found_at, dismiss_reason
           from discrepancies
           where ($1::text is null or status = $1)
             and id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
           order by id desc
           limit $3"#,
        filter.status as _,
        filter.before as _,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// Those of the discrepancies that there are, in the order in which they were found.
pub async fn find_all(db: &mut Connection, ids: &[DiscrepancyId]) -> Result<Vec<Discrepancy>> {
    let found = sqlx::query_as!(
        Discrepancy,
        r#"select id as "id: _", kind, subject, booking_id as "booking_id: _", ours as "ours: _",
                  theirs as "theirs: _", status as "status: _", found_at, dismiss_reason
           from discrepancies
           where id = any($1)
           order by id"#,
        ids as _,
    )
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// Dismisses a discrepancy that is open; one that is not is left as it is. How it stands then, if
/// there is such a one. One round trip.
pub async fn dismiss(
    db: &mut Connection,
    id: DiscrepancyId,
    reason: Option<&str>,
) -> Result<Option<Discrepancy>> {
    let dismissed = sqlx::query_as!(
        Discrepancy,
        r#"update discrepancies
           set status = case status when 'open' then 'dismissed' else status end,
               dismiss_reason = case status when 'open' then $2 else dismiss_reason end
           where id = $1
           returning id as "id: _", kind, subject, booking_id as "booking_id: _",
                     ours as "ours: _", theirs as "theirs: _", status as "status: _", found_at,
                     dismiss_reason"#,
        id as _,
        reason,
    )
    .fetch_optional(db)
    .await?;
    Ok(dismissed)
}

/// Dismisses what is open of these kinds about a booking.
pub async fn dismiss_of_booking(
    db: &mut Connection,
    id: BookingId,
    kinds: &[&str],
    reason: &str,
) -> Result<()> {
    sqlx::query!(
        "update discrepancies
         set status = 'dismissed', dismiss_reason = $3
         where booking_id = $1 and kind = any($2) and status = 'open'",
        id as _,
        kinds as _,
        reason,
    )
    .execute(db)
    .await?;
    Ok(())
}
