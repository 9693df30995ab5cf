//! Differences between what Stripe reports and our records, for a person to look at.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::connection::Connection;
use crate::domain::ids::{BookingId, DiscrepancyId};
use crate::error::Result;

/// A difference between what Stripe reports and our records.
#[derive(Debug, Clone)]
pub struct Discrepancy<'a> {
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

/// Opens a discrepancy; false if it is open already.
pub async fn open(
    db: &mut Connection,
    discrepancy: &Discrepancy<'_>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let opened = sqlx::query!(
        "insert into discrepancies (id, kind, subject, booking_id, ours, theirs, found_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (kind, subject) where status = 'open' do nothing",
        DiscrepancyId::new() as _,
        discrepancy.kind,
        discrepancy.subject,
        discrepancy.booking_id as _,
        discrepancy.ours,
        discrepancy.theirs,
        now,
    )
    .execute(db)
    .await?;
    Ok(opened.rows_affected() == 1)
}
