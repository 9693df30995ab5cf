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

pub(super) fn routes() -> OpenApiRouter<AppState> {
    let routes = OpenApiRouter::new()
        .routes(routes!(movies::list_movies))
        .routes(routes!(movies::find_movie))
        .routes(routes!(shows::list_shows))
        .routes(routes!(shows::find_show))
        .routes(routes!(seat_maps::list_seats))
        .routes(routes!(services::list_services))
        .routes(routes!(services::find_service))
        .routes(routes!(services::list_slots));
    AUDIENCE.describe(routes)
}
