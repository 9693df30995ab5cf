//! What a signed-in user may do: book, and see to their own bookings.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::AppState;
use crate::controllers::{bookings, cancellation, checkout, payments};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(bookings::create_booking, bookings::list_bookings))
        .routes(routes!(bookings::find_booking))
        .routes(routes!(checkout::reopen_checkout))
        .routes(routes!(cancellation::cancel_booking))
        .routes(routes!(payments::verify_payment))
}
