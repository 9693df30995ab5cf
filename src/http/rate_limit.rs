//! A limit on requests per minute and caller: the user, or the address where there is none.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::identity::Identified;
use super::problem::Problem;
use crate::domain::user::UserId;

/// What holds seats, asks Stripe or spends may be this part of all requests of a caller …
const COSTLY_PART: u32 = 10;
/// … and at least so many in a minute: a buyer who tries a few seats needs them.
const COSTLY_MIN: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// Beyond this many callers, those who have been quiet for a while are forgotten.
const CALLERS_KEPT: usize = 10_000;

/// Whose requests are counted together.
pub(super) enum Caller<'a> {
    /// A user's, from wherever.
    User(&'a UserId),
    /// Those without credentials from one address; from all that are not known.
    Address(Option<IpAddr>),
    /// Those whose credentials do not stand, from one address.
    Refused(Option<IpAddr>),
}

impl fmt::Display for Caller<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(formatter, "user {}", id.as_str()),
            Self::Address(address) => write!(formatter, "address {address:?}"),
            Self::Refused(address) => write!(formatter, "refused {address:?}"),
        }
    }
}

/// Counts the requests of each caller.
#[derive(Clone)]
pub struct RateLimit(Option<Arc<DefaultKeyedRateLimiter<String>>>);

impl RateLimit {
    /// At most `per_minute` requests of each caller, or no limit.
    pub fn new(per_minute: Option<NonZeroU32>) -> Self {
        Self(per_minute.map(|limit| Arc::new(RateLimiter::keyed(Quota::per_minute(limit)))))
    }

    /// A tenth of `per_minute`, and at least ten, for what holds seats, asks Stripe or spends; or
    /// no limit. The routes that share it are given clones of one.
    pub fn of_costly(per_minute: Option<NonZeroU32>) -> Self {
        let part = |limit: NonZeroU32| NonZeroU32::new(limit.get().div_euclid(COSTLY_PART));
        Self::new(per_minute.map(|limit| part(limit).unwrap_or(COSTLY_MIN).max(COSTLY_MIN)))
    }

    /// How long `caller` has to wait, if they may not go on now.
    fn wait(&self, caller: &Caller<'_>) -> Option<Duration> {
        let limiter = self.0.as_ref()?;
        if limiter.len() > CALLERS_KEPT {
            limiter.retain_recent();
        }
        let refused = limiter.check_key(&caller.to_string()).err()?;
        Some(refused.wait_time_from(DefaultClock::default().now()))
    }

    /// The refusal of a caller who asks too often: 429 and `Retry-After`.
    pub(super) fn refuse(&self, caller: &Caller<'_>) -> Option<Response> {
        let seconds = self.wait(caller)?.as_secs().saturating_add(1);
        let detail = format!("Too many requests; go on in {seconds} seconds.");
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
        Some(problem.retry_after(seconds).into_response())
    }
}

/// Refuses users who do too often what more than reads, with 429 and `Retry-After`. Comes after
/// [`super::admission::admit_user`]; who is no user is refused by the handler.
pub async fn limit_unsafe(
    State(limit): State<RateLimit>,
    request: Request,
    next: Next,
) -> Response {
    let user = match request.extensions().get::<Identified>() {
        Some(Identified(Ok(user))) if !request.method().is_safe() => Some(user),
        _ => None,
    };
    match user.and_then(|user| limit.refuse(&Caller::User(&user.id))) {
        Some(refused) => refused,
        None => next.run(request).await,
    }
}
