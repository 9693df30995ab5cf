//! Whether the audit log is as it was written.

use sqlx::PgConnection;

pub use crate::domain::audit::ChainEnd;
use crate::error::Result;
use crate::repositories::audit_log;

/// Entries that are read in one go.
const PAGE: i64 = 1_000;

/// What has become of the chain of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// The entries follow each other as they were written, until this end.
    Holds(ChainEnd),
    /// This entry does not follow, or is not as it was written.
    BreaksAt(i64),
}

/// Follows the chain from its beginning to its end.
pub async fn follow_chain(db: &mut PgConnection) -> Result<Chain> {
    let mut end = ChainEnd::default();
    loop {
        let entries = audit_log::list_after(&mut *db, end.number, PAGE).await?;
        if entries.is_empty() {
            return Ok(Chain::Holds(end));
        }
        for entry in entries {
            let Some(next) = end.followed_by(&entry) else {
                return Ok(Chain::BreaksAt(entry.number));
            };
            end = next;
        }
    }
}

/// Whether the log, whose chain holds, has once ended so. What was cut off at its end, or was
/// written anew from the beginning, breaks no chain; who has noted where the log ended sees it.
pub async fn has_ended_so(db: &mut PgConnection, noted: &ChainEnd) -> Result<bool> {
    if noted.number == 0 {
        return Ok(*noted == ChainEnd::default());
    }
    let hash = audit_log::find_hash(db, noted.number).await?;
    Ok(hash.as_ref() == Some(&noted.hash))
}
