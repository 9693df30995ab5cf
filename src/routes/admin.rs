//! What an admin may do. Each handler takes an `Admin`, without which it cannot run.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::AppState;
use crate::controllers::catalogue;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(catalogue::create_movie))
        .routes(routes!(catalogue::create_show))
}
