//! What an admin may do. Each handler takes an `Admin`, without which it cannot run.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::AppState;
use crate::controllers::admin::{movies, shows};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(movies::create_movie))
        .routes(routes!(shows::create_show))
}
