//! What operators and their machines ask. No base path and no rate limit.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audience::Audience;
use crate::app::AppState;
use crate::controllers::operations;

const AUDIENCE: Audience = Audience {
    name: "operations",
    description: "Operators and their machines.",
    signs_in: false,
    problems: &[],
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    AUDIENCE.describe(OpenApiRouter::new().routes(routes!(operations::check_health)))
}

/// What asks the database and the issuer, each time.
pub(super) fn costly_routes() -> OpenApiRouter<AppState> {
    AUDIENCE.describe(OpenApiRouter::new().routes(routes!(operations::check_readiness)))
}
