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
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use stripe_client_core::{RequestBuilder, StripeMethod, VERSION};

use super::Probe;
use crate::config::{Secret, StripeConfig};
use crate::error::Error;

/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How long one call waits for its answer.
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
/// A simulator has no such limit: this one is out of reach.
const CALLS_PER_SECOND_SIMULATED: NonZeroU32 = NonZeroU32::new(100_000).unwrap();
/// The largest answer that is read. A session has a few kilobytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A client of Stripe's API.
pub struct Stripe {
    http: reqwest::Client,
    base: String,
    key: Secret,
    limiter: DefaultDirectRateLimiter,
}

/// Why Stripe did not do what it was asked. Never contains what was sent.
#[derive(Debug, thiserror::Error)]
pub enum StripeError {
    /// Stripe said no; nothing happened.
    #[error("{status} {code} {param} (request {request_id})")]
    Refused {
        /// The HTTP status, 4xx.
        status: u16,
        /// Stripe's code, or its type of error.
        code: String,
        /// The parameter that Stripe objects to. Its sentence is not kept: it repeats what was
        /// sent.
        param: String,
        /// Stripe's id of the request.
        request_id: String,
    },
    /// No usable answer in time. What was asked may have happened: ask again with the same key.
    #[error("{0}")]
    Unavailable(String),
    /// Stripe keeps answering this key with a failure it has stored: only a new key can go on.
    /// <https://docs.stripe.com/api/idempotent_requests>
    #[error("Stripe replays a stored failure for this key (request {0})")]
    ReplayedFailure(String),
}

impl StripeError {
    /// Whether Stripe has judged the request itself, so that what it asked for did not happen under
    /// its key and never will. A refused API key (401, 403) says nothing about an earlier try: it
    /// is looked at before the idempotency key; and an idempotency error means that something did
    /// happen under the key.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Refused { status: 400 | 402 | 404, code, .. } if code != "idempotency_error")
    }
}

impl From<StripeError> for Error {
    fn from(error: StripeError) -> Self {
        match error {
            StripeError::Refused { .. } => Self::ProviderRefused(error.to_string()),
            StripeError::Unavailable(_) | StripeError::ReplayedFailure(_) => {
                Self::ProviderUnavailable(error.to_string())
            }
        }
    }
}

/// One try, failed.
struct Failure {
    error: StripeError,
    again: bool,
}

/// One answer, read to its end.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Stripe {
    /// A client for the account of `config`; nothing is connected yet.
    pub fn new(config: &StripeConfig) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_MAX)
            .timeout(CALL_MAX)
            .redirect(reqwest::redirect::Policy::none())
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

    /// Sends `request` until it is answered for good, under one idempotency key, for at most
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
            .when(|failure: &Failure| failure.again)
            .notify(|failure, pause| {
                tracing::warn!("asking Stripe again in {pause:?}: {}", failure.error)
            });
        match tokio::time::timeout(TRIES_MAX, tries).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failure)) => Err(failure.error),
            Err(_) => Err(StripeError::Unavailable(format!(
                "no answer within {TRIES_MAX:?}"
            ))),
        }
    }

    /// The balance is the cheapest thing that every key may be asked for.
    pub(super) async fn ask_balance(&self) -> Result<Probe, StripeError> {
        let request = RequestBuilder::new(StripeMethod::Get, "/balance");
        let answer = self.send(&request, None).await?;
        let date = answer
            .headers
            .get(DATE)
            .and_then(|value| value.to_str().ok());
        Ok(Probe {
            stripe_time: date
                .and_then(|text| DateTime::parse_from_rfc2822(text).ok())
                .map(|time| time.with_timezone(&Utc)),
            key_works: answer.status.is_success() || answer.status == StatusCode::FORBIDDEN,
        })
    }

    async fn try_once<T: DeserializeOwned>(
        &self,
        request: &RequestBuilder,
        key: Option<&str>,
    ) -> Result<T, Failure> {
        self.limiter.until_ready().await;
        let answer = self
            .send(request, key)
            .await
            .map_err(|error| Failure { error, again: true })?;
        let request_id = header(&answer.headers, "request-id");
        tracing::info!(
            stripe.request_id = request_id,
            stripe.path = request.path,
            "Stripe answered {}",
            answer.status
        );
        if answer.status.is_success() {
            // It may have happened although the answer is unreadable: ask again, with the same key.
            return serde_json::from_slice(&answer.body).map_err(|error| Failure {
                error: StripeError::Unavailable(format!(
                    "unreadable answer: {error} (request {request_id})"
                )),
                again: true,
            });
        }
        Err(answer.failure(request_id))
    }

    async fn send(
        &self,
        request: &RequestBuilder,
        key: Option<&str>,
    ) -> Result<Answer, StripeError> {
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
        read(call)
            .await
            .map_err(|error| StripeError::Unavailable(describe(&error)))
    }
}

async fn read(call: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let mut response = call.send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            break;
        }
    }
    Ok(Answer {
        status: response.status(),
        headers: response.headers().clone(),
        body,
    })
}

impl Answer {
    /// What an answer that is no success means. <https://docs.stripe.com/error-low-level>
    fn failure(&self, request_id: &str) -> Failure {
        let status = self.status.as_u16();
        let replayed = header(&self.headers, "idempotent-replayed") == "true";
        if self.status.is_server_error() && replayed {
            let error = StripeError::ReplayedFailure(request_id.to_owned());
            return Failure {
                error,
                again: false,
            };
        }
        let again = match header(&self.headers, "stripe-should-retry") {
            "true" => true,
            "false" => false,
            _ => matches!(status, 409 | 424 | 429 | 500..=599),
        };
        let error = if matches!(status, 409 | 424 | 429 | 500..=599) {
            StripeError::Unavailable(format!("{status} (request {request_id})"))
        } else {
            self.refusal(request_id)
        };
        Failure { error, again }
    }

    fn refusal(&self, request_id: &str) -> StripeError {
        let body: ErrorBody = serde_json::from_slice(&self.body).unwrap_or_default();
        let code = body.error.code.or(body.error.kind).unwrap_or_default();
        StripeError::Refused {
            status: self.status.as_u16(),
            code,
            param: body.error.param.unwrap_or_default(),
            request_id: request_id.to_owned(),
        }
    }
}

#[derive(Deserialize, Default)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Deserialize, Default)]
struct ErrorDetail {
    code: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    param: Option<String>,
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// What went wrong on the way, without the URL.
fn describe(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    let cause = std::error::Error::source(error)
        .map(|cause| format!(": {cause}"))
        .unwrap_or_default();
    format!("{what}{cause}")
}

/// `id` if it can stand in a path as it is: async-stripe does not escape.
pub(super) fn path_id(id: &str) -> Result<&str, StripeError> {
    let plain = id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain && !id.is_empty() {
        Ok(id)
    } else {
        Err(StripeError::Refused {
            status: 400,
            code: "id_invalid".to_owned(),
            param: "id".to_owned(),
            request_id: "none".to_owned(),
        })
    }
}
