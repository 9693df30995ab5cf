//! One response of Stripe's, read to its end, and what it means.

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::breaker::RateLimited;
use super::error::{StripeError, Unanswered};
use crate::domain::odd_json::simplify;

/// The largest body that is read. A session has a few kilobytes.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Stripe's code for an amount that it does not charge. <https://docs.stripe.com/error-codes>
const AMOUNT_TOO_SMALL: &str = "amount_too_small";
/// Stripe's code for a 429 that is about an object which another call is changing, and not about
/// how many calls there are. <https://docs.stripe.com/rate-limits#object-lock-timeouts>
const LOCK_TIMEOUT: &str = "lock_timeout";

pub(super) struct StripeResponse {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// One try that has failed.
pub(super) struct Failure {
    pub(super) error: StripeError,
    pub(super) is_retryable: bool,
    /// Stripe has had too many calls.
    pub(super) limited: Option<RateLimited>,
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
    message: Option<String>,
}

impl ErrorDetail {
    /// Stripe's code, or its type of error.
    fn code(&self) -> &str {
        let code = self.code.as_ref().or(self.kind.as_ref());
        code.map(String::as_str).unwrap_or_default()
    }
}

impl StripeResponse {
    pub(super) async fn to(request: RequestBuilder) -> Result<Self, StripeError> {
        Self::read(request)
            .await
            .map_err(|error| StripeError::Unavailable(Unanswered::Sent(describe(&error))))
    }

    async fn read(request: RequestBuilder) -> reqwest::Result<Self> {
        let mut response = request.send().await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > BODY_BYTES_MAX {
                break;
            }
        }
        Ok(Self {
            status: response.status(),
            headers: response.headers().clone(),
            body,
        })
    }

    /// What was asked for, if this is a success. <https://docs.stripe.com/error-low-level>
    pub(super) fn object<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        if self.status.is_success() {
            return self.read_object().map_err(|error| self.unreadable(&error));
        }
        let status = self.status.as_u16();
        let is_retryable = match self.header("stripe-should-retry") {
            "true" => true,
            "false" => false,
            _ => is_transient(status),
        };
        let replayed = self.header("idempotent-replayed") == "true";
        if self.status.is_server_error() && replayed {
            let request_id = self.request_id().to_owned();
            return Err(Failure {
                error: StripeError::ReplayedFailure(request_id),
                is_retryable: false,
                limited: None,
            });
        }
        let error = if is_transient(status) {
            let what = format!("{status} (request {})", self.request_id());
            StripeError::Unavailable(Unanswered::Sent(what))
        } else {
            self.refusal()
        };
        Err(Failure {
            error,
            is_retryable,
            limited: self.limited(),
        })
    }

    fn limited(&self) -> Option<RateLimited> {
        let is_limited =
            self.status == StatusCode::TOO_MANY_REQUESTS && self.error().code() != LOCK_TIMEOUT;
        // In seconds; a date, which Stripe does not send, says nothing.
        let retry_after_seconds = self.header(RETRY_AFTER.as_str()).parse().ok();
        is_limited.then_some(RateLimited {
            retry_after_seconds,
        })
    }

    /// The body as it is, else simplified: what is odd in a member that nobody reads must not hide
    /// the others.
    fn read_object<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body).or_else(|_| {
            let simple = simplify(&String::from_utf8_lossy(&self.body));
            serde_json::from_str::<Value>(&simple).and_then(serde_json::from_value)
        })
    }

    /// What was asked for may have happened all the same: ask again, with the same key.
    fn unreadable(&self, error: &serde_json::Error) -> Failure {
        let request_id = self.request_id().to_owned();
        tracing::warn!("an answer of Stripe's cannot be read: {error} (request {request_id})");
        Failure {
            error: StripeError::Unusable {
                what: "it cannot be read",
                request_id,
            },
            is_retryable: true,
            limited: None,
        }
    }

    fn refusal(&self) -> StripeError {
        let error = self.error();
        let code = error.code().to_owned();
        StripeError::Refused {
            status: self.status.as_u16(),
            sentence: error.message.filter(|_| code == AMOUNT_TOO_SMALL),
            code,
            param: error.param.unwrap_or_default(),
            request_id: self.request_id().to_owned(),
        }
    }

    fn error(&self) -> ErrorDetail {
        let body: ErrorBody = serde_json::from_slice(&self.body).unwrap_or_default();
        body.error
    }

    pub(super) fn request_id(&self) -> &str {
        self.header("request-id")
    }

    /// The time at Stripe when it answered, if it said so.
    pub(super) fn date(&self) -> Option<DateTime<Utc>> {
        let date = DateTime::parse_from_rfc2822(self.header(DATE.as_str())).ok()?;
        Some(date.with_timezone(&Utc))
    }

    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

fn is_transient(status: u16) -> bool {
    matches!(status, 409 | 424 | 429 | 500..=599)
}

/// What went wrong on the way, without the URL.
fn describe(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "no response in time"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_odd_in_a_member_that_nobody_reads_hides_no_other() {
        for body in [
            r#"{"status":"complete","name":"\ud83d"}"#,
            r#"{"status":"complete","amount":1e999}"#,
            r#"{"name":"a","name":"b","status":"complete"}"#,
        ] {
            let response = StripeResponse {
                status: StatusCode::OK,
                headers: HeaderMap::new(),
                body: body.as_bytes().to_vec(),
            };

            let read: Value = response.object().ok().unwrap();

            assert_eq!(read["status"], "complete", "{body}");
        }
    }
}
