//! What anyone may read: the catalogue.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::AppState;
use crate::controllers::{catalogue, seat_maps};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(catalogue::list_movies))
        .routes(routes!(catalogue::find_movie))
        .routes(routes!(catalogue::list_shows))
        .routes(routes!(catalogue::find_show))
        .routes(routes!(seat_maps::list_seats))
}
