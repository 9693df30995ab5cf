//! What a signed-in user may do: his own bookings.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::AppState;
use crate::controllers::bookings;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(bookings::create_booking, bookings::list_bookings))
        .routes(routes!(bookings::find_booking))
        .routes(routes!(bookings::reopen_checkout))
        .routes(routes!(bookings::cancel_booking))
        .routes(routes!(bookings::verify_payment))
}
