//! The transport to Stripe: pooled connections, time limits, a limit on the rate, and retries
//! around one key.
//!
//! The client of async-stripe is not used: it opens a connection for each call and hides
//! `Request-Id`.

use std::num::NonZeroU32;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use chrono::{DateTime, Utc};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use stripe_client_core::{RequestBuilder, StripeMethod, VERSION};

use super::error::{ID_INVALID, StripeError, UNNAMED};
use super::response::{Failure, StripeResponse};
use crate::config::{Secret, StripeConfig};
use crate::error::Error;

/// How long it may take to connect.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How long one call waits for its response.
const CALL_MAX: Duration = Duration::from_secs(10);
/// How long all tries of one request may take together: a buyer is waiting.
const TRIES_MAX: Duration = Duration::from_secs(20);
/// Tries after the first.
const RETRIES_MAX: usize = 6;
/// The pause before the second try; it doubles, with jitter.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause between two tries.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(4);
/// What Stripe allows an account per second: 25 in a sandbox, 100 live.
/// <https://docs.stripe.com/rate-limits>
const CALLS_PER_SECOND_TEST: NonZeroU32 = NonZeroU32::new(25).unwrap();
const CALLS_PER_SECOND_LIVE: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// A simulator has no such limit, and this one is out of reach.
const CALLS_PER_SECOND_SIMULATED: NonZeroU32 = NonZeroU32::new(100_000).unwrap();

/// A client of Stripe's API.
pub struct Stripe {
    http: reqwest::Client,
    base: String,
    key: Secret,
    limiter: DefaultDirectRateLimiter,
}

/// What a cheap question to Stripe shows of the connection.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The time at Stripe when it answered, if it said so.
    pub stripe_time: Option<DateTime<Utc>>,
    /// Whether Stripe accepts the key. A restricted key without the right to read the balance
    /// counts as accepted.
    pub key_works: bool,
}

impl Stripe {
    /// A client for the account of `config`; nothing is connected yet.
    pub fn new(config: &StripeConfig) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_MAX)
            .timeout(CALL_MAX)
            .redirect(reqwest::redirect::Policy::none())
            // The key goes nowhere but to Stripe, whatever the environment says of proxies.
            .no_proxy()
            .user_agent(concat!("holdfast/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::fault(format!("no HTTP client: {error}")))?;
        let per_second = match (config.simulated(), config.livemode()) {
            (true, _) => CALLS_PER_SECOND_SIMULATED,
            (false, true) => CALLS_PER_SECOND_LIVE,
            (false, false) => CALLS_PER_SECOND_TEST,
        };
        Ok(Self {
            http,
            base: config.api_base.clone(),
            key: config.secret_key.clone(),
            limiter: RateLimiter::direct(Quota::per_second(per_second)),
        })
    }

    /// Sends `request` until it has a final response, under one idempotency key, for at most
    /// [`TRIES_MAX`].
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        key: Option<&str>,
    ) -> Result<T, StripeError> {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(RETRY_PAUSE_MIN)
            .with_max_delay(RETRY_PAUSE_MAX)
            .with_max_times(RETRIES_MAX)
            .with_jitter();
        let tries = (|| self.try_once(&request, key))
            .retry(backoff)
            .when(|failure: &Failure| failure.is_retryable)
            .notify(|failure, pause| {
                tracing::warn!("asking Stripe again in {pause:?}: {}", failure.error);
            });
        match tokio::time::timeout(TRIES_MAX, tries).await {
            Ok(Ok(object)) => Ok(object),
            Ok(Err(failure)) => Err(failure.error),
            Err(_) => {
                let message = format!("no response within {TRIES_MAX:?}");
                Err(StripeError::Unavailable(message))
            }
        }
    }

    /// Asks one cheap question, to learn whether the key works and what time it is at Stripe: the
    /// balance is what every key may be asked for.
    pub async fn probe(&self) -> Result<Probe, StripeError> {
        let request = RequestBuilder::new(StripeMethod::Get, "/balance");
        let response = self.send(&request, None).await?;
        let status = response.status;
        // What stands between us and Stripe may answer in its place, with a clock of its own.
        let is_stripes = !response.request_id().is_empty() && !status.is_server_error();
        Ok(Probe {
            stripe_time: response.date().filter(|_| is_stripes),
            key_works: status.is_success() || status == StatusCode::FORBIDDEN,
        })
    }

    async fn try_once<T: DeserializeOwned>(
        &self,
        request: &RequestBuilder,
        key: Option<&str>,
    ) -> Result<T, Failure> {
        self.limiter.until_ready().await;
        let response = self.send(request, key).await.map_err(|error| Failure {
            error,
            is_retryable: true,
        })?;
        tracing::info!(
            stripe.request_id = response.request_id(),
            stripe.path = request.path,
            "Stripe answered {}",
            response.status
        );
        response.object()
    }

    async fn send(
        &self,
        request: &RequestBuilder,
        key: Option<&str>,
    ) -> Result<StripeResponse, StripeError> {
        let method = match request.method {
            StripeMethod::Get => Method::GET,
            StripeMethod::Post => Method::POST,
            StripeMethod::Delete => Method::DELETE,
        };
        let query = request.query.as_deref().filter(|query| !query.is_empty());
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let url = format!("{}/v1{}{query}", self.base, request.path);
        let mut call = self
            .http
            .request(method, url)
            .header(AUTHORIZATION, format!("Bearer {}", self.key.reveal()))
            .header("stripe-version", VERSION.as_str());
        if let Some(key) = key {
            call = call.header("idempotency-key", key);
        }
        if let Some(body) = &request.body {
            call = call
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body.clone());
        }
        StripeResponse::to(call).await
    }
}

/// `id` if it can be part of a path as it is: async-stripe does not escape.
pub(super) fn path_id(id: &str) -> Result<&str, StripeError> {
    let plain = id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain && !id.is_empty() {
        Ok(id)
    } else {
        Err(StripeError::Refused {
            status: 400,
            code: ID_INVALID.to_owned(),
            param: "id".to_owned(),
            sentence: None,
            request_id: UNNAMED.to_owned(),
        })
    }
}
