//! The audit log: appended to in the transaction of what is done, and read.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::connection::Connection;
use crate::domain::audit::{AuditEntry, ChainEnd, NewAuditEntry};
use crate::error::Result;

/// Serialises those who append: each has to know the entry before. Released by the end of the
/// transaction.
const APPENDING: i64 = 0x6175_6469_746c_6f67;

/// Appends what an admin does. The caller's transaction holds up all others who append until it
/// ends.
pub async fn append(db: &mut Connection, new: &NewAuditEntry, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!("select pg_advisory_xact_lock($1)", APPENDING)
        .execute(&mut *db)
        .await?;
    // In a statement of its own, which sees what was committed while the lock was waited for.
    let end = sqlx::query_as!(
        ChainEnd,
        "select number, hash from audit_log order by number desc limit 1"
    )
    .fetch_optional(&mut *db)
    .await?;
    let entry = end.unwrap_or_default().append(new, now);
    sqlx::query!(
        "insert into audit_log (number, at, actor, action, subject, reason, request_id,
                                previous_hash, hash)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        entry.number,
        entry.at,
        entry.actor,
        entry.action,
        entry.subject,
        entry.reason,
        entry.request_id,
        entry.previous_hash,
        entry.hash,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Which entries are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those of this admin.
    pub actor: Option<String>,
    /// Only those about this.
    pub subject: Option<String>,
    /// Only those before this one.
    pub before: Option<i64>,
}

/// Entries, newest first, at most `limit`. One round trip.
pub async fn list(db: &mut Connection, filter: &Filter, limit: i64) -> Result<Vec<AuditEntry>> {
    let entries = sqlx::query_as!(
        AuditEntry,
        "select number, at, actor, action, subject, reason, request_id, previous_hash, hash
         from audit_log
         where ($1::text is null or actor = $1)
           and ($2::text is null or subject = $2)
           and ($3::bigint is null or number < $3)
         order by number desc
         limit $4",
        filter.actor,
        filter.subject,
        filter.before,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(entries)
}

/// The entries that follow a place in the log, in order, at most `limit`. One round trip.
pub async fn list_after(
    db: impl PgExecutor<'_>,
    number: i64,
    limit: i64,
) -> Result<Vec<AuditEntry>> {
    let entries = sqlx::query_as!(
        AuditEntry,
        "select number, at, actor, action, subject, reason, request_id, previous_hash, hash
         from audit_log
         where number > $1
         order by number
         limit $2",
        number,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(entries)
}

/// The hash of an entry, if it is there.
pub async fn find_hash(db: impl PgExecutor<'_>, number: i64) -> Result<Option<Vec<u8>>> {
    let hash = sqlx::query_scalar!("select hash from audit_log where number = $1", number);
    Ok(hash.fetch_optional(db).await?)
}
