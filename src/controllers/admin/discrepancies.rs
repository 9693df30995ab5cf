//! Differences between what Stripe reports and our records.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Reasoned;
use crate::app::AppState;
use crate::domain::audit::AdminAction;
use crate::domain::discrepancy::{Discrepancy, DiscrepancyStatus};
use crate::domain::ids::{BookingId, DiscrepancyId};
use crate::domain::refusal::Refusal;
use crate::error::Result;
use crate::http::acting_admin::ActingAdmin;
use crate::http::extract::{Json, Path, Query};
use crate::http::identity::Admin;
use crate::http::paging::{Limit, Page, read_cursor};
use crate::repositories::audit_log;
use crate::repositories::discrepancies::{self, Filter};

/// A difference between what Stripe reports and our records.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiscrepancyView {
    id: DiscrepancyId,
    /// Such as `amount_mismatch`.
    kind: String,
    /// What it is about, such as an attempt's id.
    subject: String,
    booking_id: Option<BookingId>,
    ours: Value,
    theirs: Value,
    status: DiscrepancyStatus,
    found_at: DateTime<Utc>,
    /// Why it was dismissed, if that was said.
    dismiss_reason: Option<String>,
}

impl From<Discrepancy> for DiscrepancyView {
    fn from(discrepancy: Discrepancy) -> Self {
        Self {
            id: discrepancy.id,
            kind: discrepancy.kind,
            subject: discrepancy.subject,
            booking_id: discrepancy.booking_id,
            ours: discrepancy.ours,
            theirs: discrepancy.theirs,
            status: discrepancy.status,
            found_at: discrepancy.found_at,
            dismiss_reason: discrepancy.dismiss_reason,
        }
    }
}

/// Which discrepancies are listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListDiscrepancies {
    status: Option<DiscrepancyStatus>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// Discrepancies, newest first.
#[utoipa::path(
    get, path = "/api/admin/discrepancies", params(ListDiscrepancies),
    responses((status = 200, body = Page<DiscrepancyView>)),
)]
pub async fn list_discrepancies(
    State(app): State<AppState>,
    _: Admin,
    Query(query): Query<ListDiscrepancies>,
) -> Result<Json<Page<DiscrepancyView>>> {
    let limit = Limit::of(query.limit)?;
    let filter = Filter {
        status: query.status,
        before: read_cursor(query.cursor.as_deref(), |text| text.parse().ok())?,
    };
    let mut db = app.pools.reporting.acquire().await?;
    let found = discrepancies::list(&mut db, filter, limit.fetch()).await?;
    let page = limit.page(found, |discrepancy| discrepancy.id.to_string());
    Ok(Json(page.map(DiscrepancyView::from)))
}

/// Dismisses a discrepancy that is open; one that is not stays as it is.
#[utoipa::path(
    post, path = "/api/admin/discrepancies/{id}/dismiss", params(("id" = DiscrepancyId, Path)),
    request_body = Reasoned,
    responses((status = 200, body = DiscrepancyView), (status = 404, description = "`not_found`")),
)]
pub async fn dismiss_discrepancy(
    State(app): State<AppState>,
    admin: ActingAdmin,
    Path(id): Path<DiscrepancyId>,
    Json(body): Json<Reasoned>,
) -> Result<Json<DiscrepancyView>> {
    let entry = admin.entry(AdminAction::DismissDiscrepancy, id, body.into_reason()?);
    let mut tx = app.begin().await?;
    let dismissed = discrepancies::dismiss(&mut tx, id, entry.reason.as_deref()).await?;
    let discrepancy = dismissed.ok_or(Refusal::NotFound("discrepancy"))?;
    audit_log::append(&mut tx, &entry, app.now()).await?;
    app.commit(tx).await?;
    Ok(Json(DiscrepancyView::from(discrepancy)))
}
