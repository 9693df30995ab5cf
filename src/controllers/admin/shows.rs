//! Putting shows on sale.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::AppState;
use crate::connection::Connection;
use crate::controllers::{PolicyStepView, ShowView};
use crate::domain::audit::AdminAction;
use crate::domain::catalogue::{PolicyStep, ShowDraft, Tier};
use crate::domain::ids::MovieId;
use crate::domain::refusal::Refusal;
use crate::domain::seats::SeatRow;
use crate::error::{Error, Result};
use crate::http::acting_admin::ActingAdmin;
use crate::http::idempotency::{Idempotent, Keyed};
use crate::http::reply::Reply;
use crate::repositories::{audit_log, movies, shows};

/// A show to be put on sale. It shows a movie of the catalogue, or something else that has a title.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateShow {
    movie_id: Option<MovieId>,
    title: Option<String>,
    starts_at: DateTime<Utc>,
    timezone: String,
    max_seats_per_booking: Option<u32>,
    /// Held and bought together; null for no limit.
    max_seats_per_user: Option<u32>,
    /// Whether its seats may wait for methods of payment that take days. They are offered as long
    /// as it begins more than 14 days later.
    #[serde(default)]
    delayed_methods: bool,
    tiers: Vec<Tier>,
    rows: Vec<SeatRow>,
    #[serde(default)]
    blocked: Vec<String>,
    cancellation_policy: Option<Vec<PolicyStepView>>,
}

/// Puts a show on sale.
#[utoipa::path(
    post, path = "/api/admin/shows",
    params(Idempotent<CreateShow>), request_body = CreateShow,
    responses(
        (status = 201, body = ShowView, headers(("Location" = String))),
        (status = 404, description = "`not_found`"),
    ),
)]
pub async fn create_show(
    State(app): State<AppState>,
    admin: ActingAdmin,
    Idempotent { body, key }: Idempotent<CreateShow>,
) -> Result<Response> {
    let work = async |keyed: Keyed| {
        let now = app.now();
        let mut tx = app.begin().await?;
        let title = body.title_on_sale(&mut tx).await?;
        let show = body.draft(title).check(now)?;
        shows::insert(&mut tx, &show, now)
            .await
            .map_err(|error| match error.constraint() {
                Some(shows::MOVIE_KEY) => Refusal::NotFound("movie").into(),
                _ => error,
            })?;
        let entry = admin.entry(AdminAction::CreateShow, show.id, None);
        audit_log::append(&mut tx, &entry, now).await?;
        let stored = shows::find(&mut tx, show.id).await?;
        let stored = stored.ok_or_else(|| Error::fault("a new show is not there"))?;
        let location = format!("/api/shows/{}", show.id);
        let reply = Reply::created(location, ShowView::at(stored, now));
        let kept = keyed.keep(&mut tx, reply, now).await?;
        app.commit(tx).await?;
        Ok(kept)
    };
    key.respond(&app, work).await
}

impl CreateShow {
    /// The title of its own, or that of its movie.
    async fn title_on_sale(&self, db: &mut Connection) -> Result<String> {
        match (&self.title, self.movie_id) {
            (Some(title), _) => Ok(title.clone()),
            (None, Some(id)) => {
                let movie = movies::find(db, id).await?;
                Ok(movie.ok_or(Refusal::NotFound("movie"))?.details.title)
            }
            (None, None) => {
                let message = "must be given where there is no movieId";
                Err(Refusal::field("title", message).into())
            }
        }
    }

    fn draft(self, title: String) -> ShowDraft {
        let policy = self.cancellation_policy;
        ShowDraft {
            movie_id: self.movie_id,
            title,
            starts_at: self.starts_at,
            timezone: self.timezone,
            max_seats_per_booking: self.max_seats_per_booking,
            max_seats_per_user: self.max_seats_per_user,
            delayed_methods: self.delayed_methods,
            tiers: self.tiers,
            rows: self.rows,
            blocked: self.blocked,
            cancellation_policy: policy
                .map(|steps| steps.into_iter().map(PolicyStep::from).collect()),
        }
    }
}
