//! Who forwards requests and is not believed.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::error::Result;

/// Notes that this one does, at `now`.
pub async fn note(db: impl PgExecutor<'_>, address: IpAddr, now: DateTime<Utc>) -> Result<()> {
    let noted = sqlx::query!(
        "insert into untrusted_forwarders (address, seen_at) values ($1, $2)
         on conflict (address) do update set seen_at = excluded.seen_at",
        address.to_string(),
        now,
    );
    noted.execute(db).await?;
    Ok(())
}

/// Those that have been noted since then, the last one first; a hundred at most.
pub async fn list(db: impl PgExecutor<'_>, since: DateTime<Utc>) -> Result<Vec<String>> {
    let forwarders = sqlx::query_scalar!(
        "select address from untrusted_forwarders where seen_at >= $1
         order by seen_at desc, address limit 100",
        since,
    );
    Ok(forwarders.fetch_all(db).await?)
}
