//! What anyone may read: the catalogue.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audience::Audience;
use super::problems::GENERAL;
use crate::app::AppState;
use crate::controllers::{movies, seat_maps, services, shows};

const AUDIENCE: Audience = Audience {
    name: "public",
    description: "Anyone.",
    signs_in: false,
    problems: &[GENERAL],
};

/// What is cached for a second: it is the same for everybody.
pub(super) fn cached_routes() -> OpenApiRouter<AppState> {
    let routes = OpenApiRouter::new()
        .routes(routes!(movies::list_movies))
        .routes(routes!(movies::find_movie))
        .routes(routes!(shows::list_shows))
        .routes(routes!(shows::find_show))
        .routes(routes!(services::list_services))
        .routes(routes!(services::find_service))
        .routes(routes!(services::list_slots));
    AUDIENCE.describe(routes)
}

/// What is as it is now, and read together by all who ask at the same time.
pub(super) fn live_routes() -> OpenApiRouter<AppState> {
    AUDIENCE.describe(OpenApiRouter::new().routes(routes!(seat_maps::list_seats)))
}
