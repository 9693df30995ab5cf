//! What operators and their machines ask.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::app::{App, AppState};
use crate::domain::skew::Skew;
use crate::error::{Error, Result, explain};
use crate::http::extract::Json;
use crate::http::problem::Problem;
use crate::repositories::database;

/// How long an issuer without an answer is waited for. Who asks has little patience.
const ISSUER_MAX: Duration = Duration::from_millis(500);

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

/// Something that is missing for the process to be ready.
struct Missing {
    code: &'static str,
    sentence: String,
}

/// 200 when the database, its migrations, the issuer's keys and the clock are usable; else 503 with
/// what is missing.
#[utoipa::path(
    get, path = "/ready",
    responses(
        (status = 200, body = HealthView),
        (
            status = 503,
            description = "`database_unavailable {missing}`, `identity_unavailable {missing}`, \
                           `clock_wrong {missing}`"
        ),
    ),
)]
pub async fn check_readiness(State(app): State<AppState>) -> Result<Json<HealthView>, Problem> {
    let (database, identity) = tokio::join!(missing_of_database(&app), missing_of_identity(&app));
    let stripe = app.stripe_skew.known();
    let stripe = stripe.and_then(|skew| missing_of_clock(skew, "Stripe"));
    let missing: Vec<_> = [database, identity, stripe].into_iter().flatten().collect();
    let Some(Missing { code, .. }) = missing.first() else {
        return Ok(Json(HealthView { status: "ready" }));
    };
    let sentences: Vec<_> = missing
        .iter()
        .map(|missing| missing.sentence.as_str())
        .collect();
    let detail = format!("Not ready: {}.", sentences.join("; "));
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
        .with("missing", json!(sentences))
        .retry_after(1))
}

async fn missing_of_identity(app: &App) -> Option<Missing> {
    let ready = timeout(ISSUER_MAX, app.identity.ready(app.now())).await;
    let silent = |_| {
        Err(Error::IdentityUnavailable(
            "it has not answered yet".to_owned(),
        ))
    };
    let error = ready.unwrap_or_else(silent).err()?;
    tracing::warn!("not ready: {error}");
    let advice = "the issuer's keys cannot be had; check CLERK_ISSUER and CLERK_JWKS_URL";
    Some(Missing {
        code: "identity_unavailable",
        sentence: advice.to_owned(),
    })
}

async fn missing_of_database(app: &App) -> Option<Missing> {
    find_missing_of_database(app).await.unwrap_or_else(|error| {
        tracing::warn!("not ready: {}", explain(&error));
        let advice = database::advice(&error).to_owned();
        Some(Missing::database(advice))
    })
}

async fn find_missing_of_database(app: &App) -> Result<Option<Missing>> {
    let mut db = app.acquire().await?;
    if let Err(obstacle) = database::schema(&mut db).await?.suits() {
        return Ok(Some(Missing::database(obstacle)));
    }
    let skew = app.database_skew(&mut db).await?;
    let mut tx = db.begin().await?;
    database::try_write(&mut *tx, app.now()).await?;
    tx.rollback().await?;
    Ok(missing_of_clock(skew, "Postgres"))
}

fn missing_of_clock(skew: Skew, whose: &str) -> Option<Missing> {
    skew.is_too_large().then(|| Missing {
        code: "clock_wrong",
        sentence: format!("our clock is {skew} that of {whose}; set it right, by NTP for example"),
    })
}

impl Missing {
    fn database(sentence: String) -> Self {
        Self {
            code: "database_unavailable",
            sentence,
        }
    }
}
