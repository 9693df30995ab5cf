//! What providers post: raw bytes with a signature. No session and no rate limit; a delivery is
//! never refused for being one too many.

use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audience::Audience;
use super::problems::SIGNED;
use crate::app::AppState;
use crate::controllers::stripe_webhook;

/// The largest event that is read. Stripe's have a few kilobytes, with expanded objects some
/// hundred.
const EVENT_BYTES_MAX: usize = 1 << 20;

const AUDIENCE: Audience = Audience {
    name: "webhooks",
    description: "Providers, which sign what they post.",
    signs_in: false,
    problems: &[SIGNED],
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    let routes = OpenApiRouter::new()
        .routes(routes!(stripe_webhook::receive_stripe_event))
        // The same, as it is easily typed or made by a proxy; one path is enough to describe.
        .route("/api/stripe/", post(stripe_webhook::receive_stripe_event))
        .layer(DefaultBodyLimit::max(EVENT_BYTES_MAX));
    AUDIENCE.describe(routes)
}
