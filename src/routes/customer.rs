//! What a signed-in user may do: book, and see to their own bookings.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audience::Audience;
use super::problems::{GENERAL, SIGNED_IN};
use crate::app::AppState;
use crate::controllers::{bookings, cancellation, checkout, me, payments};

const AUDIENCE: Audience = Audience {
    name: "customer",
    description: "Users with a session token. Another user's resource reads as 404.",
    signs_in: true,
    problems: &[GENERAL, SIGNED_IN],
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    let routes = OpenApiRouter::new()
        .routes(routes!(bookings::create_booking, bookings::list_bookings))
        .routes(routes!(bookings::find_booking))
        .routes(routes!(checkout::reopen_checkout))
        .routes(routes!(cancellation::preview_cancellation))
        .routes(routes!(cancellation::cancel_booking))
        .routes(routes!(payments::verify_payment))
        .routes(routes!(payments::list_payments))
        .routes(routes!(me::find_me));
    AUDIENCE.describe(routes)
}
