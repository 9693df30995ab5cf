//! What a signed-in user may do: book, and see to their own bookings. What holds seats, asks Stripe
//! or spends has a limit of its own, whoever calls it.

use axum::middleware::from_fn_with_state;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audience::Audience;
use super::problems::{GENERAL, SIGNED_IN};
use crate::app::AppState;
use crate::controllers::{bookings, cancellation, checkout, me, payments};
use crate::http::rate_limit::{RateLimit, limit_unsafe};

const AUDIENCE: Audience = Audience {
    name: "customer",
    description: "Users with a session token. Another user's resource reads as 404.",
    signs_in: true,
    problems: &[GENERAL, SIGNED_IN],
};

/// `costly` limits what costs more than an answer.
pub(super) fn routes(costly: RateLimit) -> OpenApiRouter<AppState> {
    let limited = OpenApiRouter::new()
        .routes(routes!(bookings::create_booking, bookings::list_bookings))
        .routes(routes!(checkout::reopen_checkout))
        .routes(routes!(cancellation::cancel_booking))
        .routes(routes!(payments::verify_payment))
        .layer(from_fn_with_state(costly, limit_unsafe));
    let routes = OpenApiRouter::new()
        .routes(routes!(bookings::find_booking))
        .routes(routes!(cancellation::preview_cancellation))
        .routes(routes!(payments::list_payments))
        .routes(routes!(me::find_me))
        .merge(limited);
    AUDIENCE.describe(routes)
}
