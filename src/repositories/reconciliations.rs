//! Reconciliations: how far each has come, and what it has found.

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use crate::connection::Connection;
use crate::domain::ids::{DiscrepancyId, ReconciliationId};
use crate::domain::reconciliation::{
    Findings, Healed, Progress, Reconciliation, ReconciliationState, Sums,
};
use crate::error::Result;

/// What a reconciliation compares.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// What Stripe has made since then.
    pub since: DateTime<Utc>,
    /// Undelivered events since then; all that Stripe keeps, if it is `None`.
    pub events_since: Option<DateTime<Utc>>,
}

/// Begins a reconciliation of this.
pub async fn insert(
    db: &mut Connection,
    stretch: Stretch,
    now: DateTime<Utc>,
) -> Result<ReconciliationId> {
    let id = ReconciliationId::new();
    sqlx::query!(
        "insert into reconciliations (id, since, events_since, progress, created_at)
         values ($1, $2, $3, $4, $5)",
        id as _,
        stretch.since,
        stretch.events_since,
        Json(Progress::Events(None)) as _,
        now,
    )
    .execute(db)
    .await?;
    Ok(id)
}

/// Up to which of Stripe's times undelivered events are decided here, if that is known: of the
/// reconciliations that are past them, the one that has come furthest says so. What lies after
/// `now` is nobody's word.
pub async fn find_decided_to(
    db: &mut Connection,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    let decided_to = sqlx::query_scalar!(
        r#"select events_decided_to as "events_decided_to!"
           from reconciliations
           where events_decided_to <= $1 and progress ->> 'step' <> 'events'
           order by events_decided_to desc
           limit 1"#,
        now,
    );
    Ok(decided_to.fetch_optional(db).await?)
}

/// The reconciliation, if there is one.
pub async fn find(db: &mut Connection, id: ReconciliationId) -> Result<Option<Reconciliation>> {
    let row = sqlx::query!(
        r#"select state as "state: ReconciliationState", since, events_since, events_decided_to,
                  progress as "progress: Json<Progress>", checked,
                  healed as "healed: Json<Vec<Healed>>", healed_more,
                  discrepancy_ids as "discrepancy_ids: Vec<DiscrepancyId>", discrepancies_more,
                  sums as "sums: Json<Vec<Sums>>", without_sums, created_at
           from reconciliations
           where id = $1"#,
        id as _,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Reconciliation {
        id,
        state: row.state,
        since: row.since,
        events_since: row.events_since,
        events_decided_to: row.events_decided_to,
        progress: row.progress.0,
        findings: Findings {
            checked: row.checked,
            healed: row.healed.0,
            healed_more: row.healed_more,
            discrepancies: row.discrepancy_ids,
            discrepancies_more: row.discrepancies_more,
            sums: row.sums.0,
            without_sums: row.without_sums,
        },
        created_at: row.created_at,
    }))
}

/// Which reconciliations keep the next from being begun.
#[derive(Debug, Clone, Copy)]
pub struct Recent {
    /// Any that was begun since then.
    pub begun_since: DateTime<Utc>,
    /// One that was begun since then and is still under way.
    pub running_since: DateTime<Utc>,
}

/// Whether one keeps the next from being begun. One that was begun by a clock that was ahead does
/// not.
pub async fn is_one_recent(
    db: &mut Connection,
    recent: Recent,
    now: DateTime<Utc>,
) -> Result<bool> {
    let is_recent = sqlx::query_scalar!(
        r#"select exists (
             select
             from reconciliations
             where created_at <= $3
               and (created_at > $1 or (state = 'running' and created_at > $2))
           ) as "is_recent!""#,
        recent.begun_since,
        recent.running_since,
        now,
    );
    Ok(is_recent.fetch_one(db).await?)
}

/// Gives up those that were begun before then and are still under way; returns them.
pub async fn give_up(
    db: &mut Connection,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Vec<ReconciliationId>> {
    let given_up = sqlx::query_scalar!(
        r#"update reconciliations
           set state = 'failed', finished_at = $2
           where state = 'running' and created_at < $1
           returning id as "id: ReconciliationId""#,
        before,
        now,
    );
    Ok(given_up.fetch_all(db).await?)
}

/// Stores how far a running one has come, and all that it has found. False if it is not where it
/// was when it was read: another run has gone on with it.
pub async fn save(
    db: &mut Connection,
    before: &Reconciliation,
    after: &Reconciliation,
    now: DateTime<Utc>,
) -> Result<bool> {
    let finished_at = match after.state {
        ReconciliationState::Running => None,
        ReconciliationState::Done | ReconciliationState::Failed => Some(now),
    };
    let saved = sqlx::query!(
        "update reconciliations
         set state = $3, progress = $4, checked = $5, healed = $6, discrepancy_ids = $7, sums = $8,
             finished_at = $9, healed_more = $10, discrepancies_more = $11, without_sums = $12,
             events_decided_to = $13
         where id = $1 and state = 'running' and progress::text = $2::json::text",
        before.id as _,
        Json(&before.progress) as _,
        after.state as _,
        Json(&after.progress) as _,
        after.findings.checked,
        Json(&after.findings.healed) as _,
        &after.findings.discrepancies as _,
        Json(&after.findings.sums) as _,
        finished_at,
        after.findings.healed_more,
        after.findings.discrepancies_more,
        after.findings.without_sums,
        after.events_decided_to,
    )
    .execute(db)
    .await?;
    Ok(saved.rows_affected() == 1)
}

/// Forgets those that were begun before then.
pub async fn forget(db: &mut Connection, before: DateTime<Utc>) -> Result<()> {
    sqlx::query!("delete from reconciliations where created_at < $1", before)
        .execute(db)
        .await?;
    Ok(())
}
