//! What admins have done.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::AppState;
use crate::domain::audit::AuditEntry;
use crate::error::Result;
use crate::http::extract::{Json, Query};
use crate::http::identity::Admin;
use crate::http::paging::{Limit, Page, read_cursor};
use crate::repositories::audit_log::{self, Filter};

/// Who did what to what, when, and in which request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntryView {
    /// Its place in the log, from 1 and without gaps.
    number: i64,
    at: DateTime<Utc>,
    /// The id of the admin.
    actor: String,
    /// Such as `dismissDiscrepancy`.
    action: String,
    /// What it was done to, such as a booking's id.
    subject: String,
    reason: Option<String>,
    request_id: Option<String>,
    /// SHA-256 of this entry and the hash of the one before it, in hex.
    hash: String,
}

impl From<AuditEntry> for AuditEntryView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            number: entry.number,
            at: entry.at,
            actor: entry.actor,
            action: entry.action,
            subject: entry.subject,
            reason: entry.reason,
            request_id: entry.request_id,
            hash: hex::encode(entry.hash),
        }
    }
}

/// Which entries are listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListAuditEntries {
    actor: Option<String>,
    subject: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// What admins have done, newest first.
#[utoipa::path(
    get, path = "/api/admin/audit", params(ListAuditEntries),
    responses((status = 200, body = Page<AuditEntryView>)),
)]
pub async fn list_audit_entries(
    State(app): State<AppState>,
    _: Admin,
    Query(query): Query<ListAuditEntries>,
) -> Result<Json<Page<AuditEntryView>>> {
    let limit = Limit::of(query.limit)?;
    let filter = Filter {
        actor: query.actor,
        subject: query.subject,
        before: read_cursor(query.cursor.as_deref(), |text| text.parse().ok())?,
    };
    let mut db = app.pools.reporting.acquire().await?;
    let found = audit_log::list(&mut db, &filter, limit.fetch()).await?;
    let page = limit.page(found, |entry| entry.number.to_string());
    Ok(Json(page.map(AuditEntryView::from)))
}
