//! Whole shows that are cancelled, and how far that has come.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::AppState;
use crate::domain::audit::AdminAction;
use crate::domain::ids::{BookingId, RunId, ShowId};
use crate::domain::refusal::Refusal;
use crate::domain::run::{Run, RunFailure, RunState};
use crate::error::Result;
use crate::http::acting_admin::ActingAdmin;
use crate::http::extract::{Json, Path};
use crate::http::idempotency::{Idempotent, Keyed};
use crate::http::identity::Admin;
use crate::http::reply::Reply;
use crate::repositories::audit_log;
use crate::workflows::cancellation;

/// Why a show does not take place.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelShow {
    /// 1 to 500 characters.
    reason: String,
}

/// The cancellation of a show. What is neither `done` nor `failed` of `total` is still open, and
/// goes on by itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    id: RunId,
    /// `done` when nothing is open, a minute after the show was cancelled at the earliest. A refund
    /// that Stripe puts off leaves it `running`, for days perhaps.
    state: RunState,
    /// Bookings that had what they reserve when the show was cancelled. Rarely a few come to it in
    /// the first minute: they were being made.
    total: i64,
    /// Bookings that have ended, and whose money is back or has left for it.
    done: i64,
    /// Bookings that a person has to look at.
    failed: i64,
    /// The first hundred of these.
    failures: Vec<RunFailureView>,
}

/// A booking that a person has to look at.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RunFailureView {
    booking_id: BookingId,
    /// Why, in a sentence.
    error: String,
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        let failures = run.failures.into_iter();
        Self {
            id: run.id,
            state: run.state,
            total: run.total,
            done: run.done,
            failed: run.failed,
            failures: failures.map(RunFailureView::from).collect(),
        }
    }
}

impl From<RunFailure> for RunFailureView {
    fn from(failure: RunFailure) -> Self {
        Self {
            booking_id: failure.booking_id,
            error: failure.error,
        }
    }
}

/// Cancels a show, for good: nothing of it is sold any more, and a run ends its bookings in the
/// background and gives all that was paid back, whatever their policies say. A show that is
/// cancelled already answers with its run, and what has failed in that is tried again.
#[utoipa::path(
    post, path = "/api/admin/shows/{id}/cancel",
    params(("id" = ShowId, Path), Idempotent<CancelShow>), request_body = CancelShow,
    responses(
        (status = 202, body = RunView, headers(("Location" = String))),
        (status = 404, description = "`not_found`"),
    ),
)]
pub async fn cancel_show(
    State(app): State<AppState>,
    admin: ActingAdmin,
    Path(id): Path<ShowId>,
    Idempotent { body, key }: Idempotent<CancelShow>,
) -> Result<Response> {
    let work = async |keyed: Keyed| {
        super::check_reason(&body.reason)?;
        let now = app.now();
        let mut tx = app.begin().await?;
        let run = cancellation::begin_run(&mut tx, id, &body.reason, now).await?;
        let entry = admin.entry(AdminAction::CancelShow, id, Some(body.reason.clone()));
        audit_log::append(&mut tx, &entry, now).await?;
        let location = format!("/api/admin/runs/{}", run.id);
        let reply = Reply::accepted(location, RunView::from(run));
        let kept = keyed.keep(&mut tx, reply, now).await?;
        app.commit(tx).await?;
        Ok(kept)
    };
    key.respond(&app, work).await
}

/// How far the cancellation of a show has come.
#[utoipa::path(
    get, path = "/api/admin/runs/{id}", params(("id" = RunId, Path)),
    responses((status = 200, body = RunView), (status = 404, description = "`not_found`")),
)]
pub async fn find_run(
    State(app): State<AppState>,
    _: Admin,
    Path(id): Path<RunId>,
) -> Result<Json<RunView>> {
    let run = cancellation::find_run(&mut app.acquire().await?, id).await?;
    let run = run.ok_or(Refusal::NotFound("run"))?;
    Ok(Json(RunView::from(run)))
}
