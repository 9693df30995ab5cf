//! What operators and their machines ask.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::app::{App, AppState};
use crate::error::{Result, explain};
use crate::http::extract::Json;
use crate::http::problem::Problem;
use crate::repositories::database::{self, Schema};

/// A process that is well.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthView {
    status: &'static str,
}

/// 200 while the process lives. It asks nothing of the world.
#[utoipa::path(get, path = "/health", responses((status = 200, body = HealthView)))]
pub async fn check_health() -> Json<HealthView> {
    Json(HealthView { status: "ok" })
}

/// 200 when the database, its migrations and the issuer's keys are usable; else 503 with what is
/// missing.
#[utoipa::path(
    get, path = "/ready",
    responses(
        (status = 200, body = HealthView),
        (
            status = 503,
            description = "`database_unavailable {missing}`, `identity_unavailable {missing}`"
        ),
    ),
)]
pub async fn check_readiness(State(app): State<AppState>) -> Result<Json<HealthView>, Problem> {
    let (database, identity) = tokio::join!(missing_of_database(&app), missing_of_identity(&app));
    let code = match (&database, &identity) {
        (None, None) => return Ok(Json(HealthView { status: "ready" })),
        (Some(_), _) => "database_unavailable",
        (None, Some(_)) => "identity_unavailable",
    };
    let missing: Vec<String> = database.into_iter().chain(identity).collect();
    let detail = format!("Not ready: {}.", missing.join("; "));
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
        .with("missing", json!(missing))
        .retry_after(1))
}

async fn missing_of_identity(app: &App) -> Option<String> {
    let error = app.identity.ready(app.now()).await.err()?;
    tracing::warn!("not ready: {error}");
    let advice = "the issuer's keys cannot be had; check CLERK_ISSUER and CLERK_JWKS_URL";
    Some(advice.to_owned())
}

async fn missing_of_database(app: &App) -> Option<String> {
    match usable(app).await {
        Ok(schema) => schema.suits().err(),
        Err(error) => {
            tracing::warn!("not ready: {}", explain(&error));
            Some(database::advice(&error).to_owned())
        }
    }
}

/// How the schema of a database stands that takes writes.
async fn usable(app: &App) -> Result<Schema> {
    let mut db = app.acquire().await?;
    let schema = database::schema(&mut db).await?;
    if schema.suits().is_ok() {
        database::try_write(&mut db, app.now()).await?;
    }
    Ok(schema)
}
