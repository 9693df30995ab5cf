//! The transport to Stripe: pooled connections, time limits, lanes in which calls wait for their
//! turn, and retries around one key.
//!
//! The client of async-stripe is not used: it opens a connection for each call and hides
//! `Request-Id`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use stripe_client_core::{RequestBuilder, StripeMethod, VERSION};

use super::error::{ID_INVALID, StripeError, UNNAMED, Unanswered};
use super::lane::Lane;
use super::lanes::Lanes;
use super::response::{Failure, StripeResponse};
use super::retry_budget::RetryBudget;
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
/// The longest pause between two tries. Where Stripe wants a longer one, the call is over.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(4);
/// The shortest pause after a 429: Stripe counts by the second.
const LIMITED_PAUSE_MIN: Duration = Duration::from_millis(500);
/// Tries after a 429, so that no call that Stripe has too many of is made more than three times.
const LIMITED_RETRIES_MAX: usize = 2;

/// A client of Stripe's API.
pub struct Stripe {
    http: reqwest::Client,
    base: String,
    key: Secret,
    app_name: String,
    lanes: Lanes,
    retries: Mutex<RetryBudget>,
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
        Ok(Self {
            http,
            base: config.api_base.clone(),
            key: config.secret_key.clone(),
            app_name: config.app_name.clone(),
            lanes: Lanes::new(config.limits),
            retries: Mutex::new(RetryBudget::new(config.limits, Instant::now())),
        })
    }

    /// How what we make names us.
    pub(super) fn app_name(&self) -> &str {
        &self.app_name
    }

    /// Sends `request` until it has a final response, under one idempotency key, for at most
    /// [`TRIES_MAX`], the time in its lane included. Where Stripe answers 429 or fails many calls,
    /// there are few further tries, or none: whoever calls comes back later.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        lane: Lane,
        request: RequestBuilder,
        key: Option<&str>,
    ) -> Result<T, StripeError> {
        let tries = self.try_until_final(lane, &request, key);
        let ended = tokio::time::timeout(TRIES_MAX, tries).await;
        ended.unwrap_or_else(|_| {
            let message = format!("no response within {TRIES_MAX:?}");
            Err(StripeError::Unavailable(Unanswered::Sent(message)))
        })
    }

    async fn try_until_final<T: DeserializeOwned>(
        &self,
        lane: Lane,
        request: &RequestBuilder,
        key: Option<&str>,
    ) -> Result<T, StripeError> {
        let mut retries = Retries::default();
        let mut before = None;
        self.with_retries(RetryBudget::note_call);
        loop {
            // What was sent before may have happened, though this try is not sent.
            let entered = self.lanes.enter(lane).await;
            entered.map_err(|error| before.take().unwrap_or(error))?;
            let failure = match self.try_once(request, key).await {
                Ok(object) => return Ok(object),
                Err(failure) => failure,
            };
            let Some(pause) = retries.next(&failure).filter(|_| self.may_retry(&failure)) else {
                return Err(failure.error);
            };
            tracing::warn!("asking Stripe again in {pause:?}: {}", failure.error);
            before = Some(failure.error);
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether others leave room for another try.
    fn may_retry(&self, failure: &Failure) -> bool {
        let has_had_enough = failure.limited.is_some() && self.lanes.is_paused();
        !has_had_enough && self.with_retries(|budget| budget.take(Instant::now()))
    }

    fn with_retries<T>(&self, act: impl FnOnce(&mut RetryBudget) -> T) -> T {
        act(&mut self.retries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks one cheap question, to learn whether the key works and what time it is at Stripe: the
    /// balance is what every key may be asked for.
    pub async fn probe(&self) -> Result<Probe, StripeError> {
        let request = RequestBuilder::new(StripeMethod::Get, "/balance");
        self.lanes.enter(Lane::Background).await?;
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
        let response = self.send(request, key).await.map_err(|error| Failure {
            error,
            is_retryable: true,
            limited: None,
        })?;
        tracing::info!(
            stripe.request_id = response.request_id(),
            stripe.path = request.path,
            "Stripe answered {}",
            response.status
        );
        let answer = response.object();
        match answer.as_ref().err().and_then(|failure| failure.limited) {
            Some(limited) => self.lanes.note_limited(limited),
            None => self.lanes.note_taken(),
        }
        answer
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

/// The pauses between the tries of one call.
struct Retries {
    pauses: ExponentialBackoff,
    limited: usize,
}

impl Default for Retries {
    fn default() -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(RETRY_PAUSE_MIN)
            .with_max_delay(RETRY_PAUSE_MAX)
            .with_max_times(RETRIES_MAX)
            .with_jitter();
        Self {
            pauses: pauses.build(),
            limited: 0,
        }
    }
}

impl Retries {
    /// The pause before the next try, if there may be one.
    fn next(&mut self, failure: &Failure) -> Option<Duration> {
        let pause = self.pauses.next().filter(|_| failure.is_retryable)?;
        let Some(limited) = failure.limited else {
            return Some(pause);
        };
        self.limited = self.limited.saturating_add(1);
        let wanted = limited.retry_after().unwrap_or(LIMITED_PAUSE_MIN);
        let is_over = self.limited > LIMITED_RETRIES_MAX || wanted > RETRY_PAUSE_MAX;
        (!is_over).then(|| pause.max(wanted))
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
