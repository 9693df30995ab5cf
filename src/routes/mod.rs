//! Who may call what, under which limits: one file per audience, and the layers around them all.

mod admin;
mod audience;
mod customer;
mod operations;
mod problems;
mod public;
mod webhooks;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{from_fn, from_fn_with_state, map_request};
use ipnet::IpNet;
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;
use tower_http::trace::{DefaultOnResponse, TraceLayer};
use tower_http::validate_request::ValidateRequestHeaderLayer;
use tracing::Level;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::app::AppState;
use crate::controllers::stripe_webhook::refuse_unknown_path;
use crate::http::admission::{Admission, admit_anyone, admit_user};
use crate::http::files::raise_limit;
use crate::http::middleware::{REQUEST_ID, on_panic, one_host, request_id, span, time_limit};
use crate::http::problem::ProblemView;
use crate::http::rate_limit::RateLimit;
use crate::http::response_cache::{
    ResponseCache, cacheable_by_others, cached, invalidate, without_query,
};
use crate::http::server::{self, Limits};

/// The largest body of a request: the largest show that can be described fits several times.
const BODY_BYTES_MAX: usize = 64 << 10;

/// How long a browser may keep the response to a preflight.
const PREFLIGHT_KEPT: Duration = Duration::from_hours(1);

const DESCRIPTION: &str = "Bookings, paid through Stripe Checkout. An unknown path answers \
    404 `not_found`, a method that a path does not take 405 `method_not_allowed`.\n\n\
    What no route can take is answered too, and then the connection is closed: what is no HTTP/1 \
    request with 400, a URL of 32 KiB with 414, headers of 32 KiB or more than 100 of them with \
    431 (all `malformed_request`), a length that no body has with 413 `body_too_large`, and a \
    head that takes longer than 10 s with 408 `request_timeout`. The request id is ours, also \
    where the client sent one, and a browser may not read these answers, as their origin is not \
    known. Who ends the connection within the head, or sends nothing, gets no answer.\n\n\
    A request of HTTP/1.1 that does not name one host gets 400 `malformed_request`, and a body \
    that takes longer than 10 s 408 `request_timeout`; sooner, where bodies that others do not \
    end take all the room and it began first.\n\n\
    An answer that comes before a large body was read closes the connection as well. What the \
    client still sends is read for up to 16 MiB and 5 s; beyond that the answer may be lost.";

/// The description of the API; paths come from the controllers.
#[derive(OpenApi)]
#[openapi(
    info(title = "Holdfast", description = DESCRIPTION),
    components(schemas(ProblemView)),
)]
struct ApiDoc;

/// Serves these routes, as [`router`] has them, until `stop` is ready, on as many files as the
/// process may have; ends when the requests under way have their answers. Many callers may be
/// behind an address of `proxies`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    proxies: &[IpNet],
    stop: impl Future<Output = ()>,
) {
    raise_limit();
    server::serve(listener, router, Limits::behind(proxies), stop).await;
}

/// The whole API over `app`.
pub fn router(app: AppState) -> Router {
    let admission = Admission::new(AppState::clone(&app));
    let public = ResponseCache::new(app.clock.clone());
    let invalidating = from_fn_with_state(public.clone(), invalidate);
    let anyones = public::cached_routes()
        .layer(from_fn_with_state(public, cached))
        .merge(public::live_routes())
        .layer(from_fn(cacheable_by_others))
        .layer(from_fn_with_state(
            Admission::clone(&admission),
            admit_anyone,
        ));
    let costly = RateLimit::of_costly(app.config.rate_limit_per_minute);
    let users = customer::routes(costly)
        .merge(admin::routes().layer(invalidating))
        .layer(from_fn_with_state(admission, admit_user));
    let readiness = ResponseCache::new(app.clock.clone());
    let operations = operations::costly_routes()
        .layer(from_fn_with_state(readiness, cached))
        .layer(map_request(without_query));
    let (router, _) = described(anyones.merge(users), operations)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .split_for_parts();
    // What fails is logged where it is handled, and as an error only if somebody has to act.
    let trace = TraceLayer::new_for_http()
        .make_span_with(span)
        .on_failure(());
    // One layer, as every single one costs an allocation and a copy of those below it per request.
    let every_request = (
        from_fn(request_id),
        trace.on_response(DefaultOnResponse::new().level(Level::INFO)),
        CatchPanicLayer::custom(on_panic),
        cors(&app.config.app_origins),
        ValidateRequestHeaderLayer::custom(one_host),
        from_fn(time_limit),
    );
    router
        .fallback(refuse_unknown_path)
        .layer(every_request)
        .with_state(app)
}

/// The description of every route, as OpenAPI 3.1.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let public = public::cached_routes().merge(public::live_routes());
    let users = customer::routes(RateLimit::new(None)).merge(admin::routes());
    described(public.merge(users), operations::costly_routes()).into_openapi()
}

fn described(
    callers: OpenApiRouter<AppState>,
    costly_operations: OpenApiRouter<AppState>,
) -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(ApiDoc::openapi())
        .merge(callers)
        .merge(webhooks::routes())
        .merge(operations::routes())
        .merge(costly_operations)
}

/// Browsers let only our front ends read the responses, with cookies or without.
fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(origins.collect::<Vec<_>>())
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            HeaderName::from_static("idempotency-key"),
            REQUEST_ID,
        ])
        .expose_headers([
            LOCATION,
            RETRY_AFTER,
            HeaderName::from_static("idempotent-replayed"),
            REQUEST_ID,
        ])
        .max_age(PREFLIGHT_KEPT)
}
