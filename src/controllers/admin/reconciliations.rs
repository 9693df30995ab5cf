//! Comparisons of all that Stripe has with our records.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::discrepancies::DiscrepancyView;
use crate::app::{App, AppState};
use crate::domain::audit::AdminAction;
use crate::domain::ids::ReconciliationId;
use crate::domain::money::Money;
use crate::domain::reconciliation::{Healed, Reconciliation, ReconciliationState, Sums};
use crate::domain::refusal::Refusal;
use crate::error::Result;
use crate::http::acting_admin::ActingAdmin;
use crate::http::extract::{Json, Path};
use crate::http::idempotency::{Idempotent, Keyed};
use crate::http::identity::Admin;
use crate::http::reply::Reply;
use crate::repositories::{audit_log, discrepancies, reconciliations};
use crate::workflows::reconciliation::{self, LOOK_BACK_MAX};

/// What is to be compared.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BeginReconciliation {
    /// What Stripe has made since then: at most 30 days ago; a day ago if it is absent.
    since: Option<DateTime<Utc>>,
}

/// A comparison of all that Stripe has of a stretch of time with our records.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReconciliationView {
    id: ReconciliationId,
    state: ReconciliationState,
    since: DateTime<Utc>,
    /// Objects of Stripe's that were compared.
    checked: i64,
    /// What was put right.
    healed: Vec<Healed>,
    /// What a person has to look at.
    discrepancies: Vec<DiscrepancyView>,
    /// Whether our money equals Stripe's, for each currency.
    sums: Vec<SumsView>,
}

/// What was captured and given back in one currency.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SumsView {
    currency: String,
    captured: Money,
    refunded: Money,
    disputed: Money,
    stripe_captured: Money,
    stripe_refunded: Money,
}

impl From<Sums> for SumsView {
    fn from(sums: Sums) -> Self {
        let money = |amount_minor| Money::new(amount_minor, sums.currency);
        Self {
            currency: sums.currency.to_string(),
            captured: money(sums.captured),
            refunded: money(sums.refunded),
            disputed: money(sums.disputed),
            stripe_captured: money(sums.stripe_captured),
            stripe_refunded: money(sums.stripe_refunded),
        }
    }
}

/// Begins to compare, in the background.
#[utoipa::path(
    post, path = "/api/admin/reconciliations",
    params(Idempotent<BeginReconciliation>), request_body = BeginReconciliation,
    responses((status = 202, body = ReconciliationView, headers(("Location" = String)))),
)]
pub async fn begin_reconciliation(
    State(app): State<AppState>,
    admin: ActingAdmin,
    Idempotent { body, key }: Idempotent<BeginReconciliation>,
) -> Result<Response> {
    let work = async |keyed: Keyed| {
        let now = app.now();
        if body
            .since
            .is_some_and(|since| since > now || since < now - LOOK_BACK_MAX)
        {
            let message = "must be in the last 30 days: Stripe keeps events for so long";
            return Err(Refusal::field("since", message).into());
        }
        let mut tx = app.begin().await?;
        let begun = reconciliation::begin(&mut tx, body.since, now).await?;
        let entry = admin.entry(AdminAction::BeginReconciliation, begun.id, None);
        audit_log::append(&mut tx, &entry, now).await?;
        let location = format!("/api/admin/reconciliations/{}", begun.id);
        let reply = Reply::accepted(location, view(&app, begun).await?);
        let kept = keyed.keep(&mut tx, reply, now).await?;
        app.commit(tx).await?;
        Ok(kept)
    };
    key.respond(&app, work).await
}

/// How far a comparison has come, and what it has found.
#[utoipa::path(
    get, path = "/api/admin/reconciliations/{id}", params(("id" = ReconciliationId, Path)),
    responses(
        (status = 200, body = ReconciliationView),
        (status = 404, description = "`not_found`"),
    ),
)]
pub async fn find_reconciliation(
    State(app): State<AppState>,
    _: Admin,
    Path(id): Path<ReconciliationId>,
) -> Result<Json<ReconciliationView>> {
    let found = reconciliations::find(&mut app.acquire().await?, id).await?;
    let found = found.ok_or(Refusal::NotFound("reconciliation"))?;
    Ok(Json(view(&app, found).await?))
}

async fn view(app: &App, reconciliation: Reconciliation) -> Result<ReconciliationView> {
    let findings = reconciliation.findings;
    let found = if findings.discrepancies.is_empty() {
        Vec::new()
    } else {
        discrepancies::find_all(&mut app.acquire().await?, &findings.discrepancies).await?
    };
    let mut healed = findings.healed;
    if let (more @ 1.., Some(last)) = (findings.healed_more, healed.last_mut()) {
        last.what = format!(
            "{}; {more} more were put right, and are not listed",
            last.what
        );
    }
    Ok(ReconciliationView {
        id: reconciliation.id,
        state: reconciliation.state,
        since: reconciliation.since,
        checked: findings.checked,
        healed,
        discrepancies: found.into_iter().map(DiscrepancyView::from).collect(),
        sums: findings.sums.into_iter().map(SumsView::from).collect(),
    })
}
