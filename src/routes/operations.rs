//! What operators and their machines ask. No base path and no rate limit.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::AppState;
use crate::controllers::operations;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(operations::check_health))
        .routes(routes!(operations::check_readiness))
}
