//! Selling services.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::controllers::{PolicyStepView, ServiceView};
use crate::domain::audit::AdminAction;
use crate::domain::catalogue::{PolicyStep, ServiceDraft};
use crate::domain::money::Money;
use crate::domain::refusal::Refusal;
use crate::error::Result;
use crate::http::acting_admin::ActingAdmin;
use crate::http::idempotency::{Idempotent, Keyed};
use crate::http::reply::Reply;
use crate::repositories::{audit_log, services};

/// A service to be sold by the hour.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateService {
    slug: String,
    title: String,
    description: Option<String>,
    timezone: String,
    price_per_hour: Money,
    deposit_percent: u32,
    min_hours: u32,
    max_hours: u32,
    buffer_minutes: Option<u32>,
    lead_minutes: Option<u32>,
    horizon_days: Option<u32>,
    opens_at: String,
    closes_at: String,
    resources: Vec<String>,
    cancellation_policy: Option<Vec<PolicyStepView>>,
}

/// Adds a service.
#[utoipa::path(
    post, path = "/api/admin/services",
    params(Idempotent<CreateService>), request_body = CreateService,
    responses((status = 201, body = ServiceView, headers(("Location" = String)))),
)]
pub async fn create_service(
    State(app): State<AppState>,
    admin: ActingAdmin,
    Idempotent { body, key }: Idempotent<CreateService>,
) -> Result<Response> {
    let work = async |keyed: Keyed| {
        let now = app.now();
        let service = body.draft().check()?;
        let mut tx = app.begin().await?;
        services::insert(&mut tx, &service, now)
            .await
            .map_err(|error| match error.constraint() {
                Some(services::SLUG_KEY) => {
                    Refusal::field("slug", "is that of another service").into()
                }
                _ => error,
            })?;
        let entry = admin.entry(AdminAction::CreateService, service.id, None);
        audit_log::append(&mut tx, &entry, now).await?;
        let location = format!("/api/services/{}", service.slug);
        let reply = Reply::created(location, ServiceView::from(service));
        let kept = keyed.keep(&mut tx, reply, now).await?;
        app.commit(tx).await?;
        Ok(kept)
    };
    key.respond(&app, work).await
}

impl CreateService {
    fn draft(self) -> ServiceDraft {
        let policy = self.cancellation_policy;
        ServiceDraft {
            slug: self.slug,
            title: self.title,
            description: self.description,
            timezone: self.timezone,
            price_per_hour: self.price_per_hour,
            deposit_percent: self.deposit_percent,
            min_hours: self.min_hours,
            max_hours: self.max_hours,
            buffer_minutes: self.buffer_minutes,
            lead_minutes: self.lead_minutes,
            horizon_days: self.horizon_days,
            opens_at: self.opens_at,
            closes_at: self.closes_at,
            resources: self.resources,
            cancellation_policy: policy
                .map(|steps| steps.into_iter().map(PolicyStep::from).collect()),
        }
    }
}
