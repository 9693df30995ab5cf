//! What providers post: raw bytes with a signature. No session and no rate limit; a delivery is
//! never refused for being one too many.

use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::AppState;
use crate::controllers::stripe_webhook;

/// The largest event that is read. Stripe's have a few kilobytes, with expanded objects some
/// hundred.
const EVENT_BYTES_MAX: usize = 1 << 20;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(stripe_webhook::receive_stripe_event))
        .layer(DefaultBodyLimit::max(EVENT_BYTES_MAX))
}
