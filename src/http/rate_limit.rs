//! A limit on requests per minute and caller: the user, or the address where there is none.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::identity::{Identified, Recognised};
use super::problem::Problem;

/// Beyond this many callers, those who have been quiet for a while are forgotten.
const CALLERS_KEPT: usize = 10_000;

/// Counts the requests of each caller.
#[derive(Clone)]
pub struct RateLimit(Option<Arc<DefaultKeyedRateLimiter<String>>>);

impl RateLimit {
    /// At most `per_minute` requests of each caller, or no limit.
    pub fn new(per_minute: Option<NonZeroU32>) -> Self {
        Self(per_minute.map(|limit| Arc::new(RateLimiter::keyed(Quota::per_minute(limit)))))
    }

    /// How long `caller` has to wait, if they may not go on now.
    fn wait(&self, caller: &str) -> Option<Duration> {
        let limiter = self.0.as_ref()?;
        if limiter.len() > CALLERS_KEPT {
            limiter.retain_recent();
        }
        let refused = limiter.check_key(&caller.to_owned()).err()?;
        Some(refused.wait_time_from(DefaultClock::default().now()))
    }
}

/// Refuses callers who ask too often, with 429 and `Retry-After`. Comes after
/// [`super::identity::identify`] or [`super::identity::recognise`].
pub async fn limit(State(limit): State<RateLimit>, request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let identified = extensions.get::<Identified>();
    let identified = identified.and_then(|Identified(user)| user.as_ref().ok());
    let recognised = extensions.get::<Recognised>().map(|Recognised(user)| user);
    let user = identified.or(recognised);
    let address = extensions.get::<ConnectInfo<SocketAddr>>();
    let caller = match (user, address) {
        (Some(user), _) => format!("user {}", user.id.as_str()),
        (None, Some(ConnectInfo(address))) => address.ip().to_string(),
        (None, None) => "unknown".to_owned(),
    };
    match limit.wait(&caller) {
        None => next.run(request).await,
        Some(wait) => {
            let seconds = wait.as_secs().saturating_add(1);
            let detail = format!("Too many requests; go on in {seconds} seconds.");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
                .retry_after(seconds)
                .into_response()
        }
    }
}
