//! `Idempotency-Key`: a request that is sent again gets the first answer again, for 24 hours.

use std::future::Future;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::extract::{Created, json_body, parse_json};
use super::identity::CurrentUser;
use super::problem::Problem;
use crate::app::{App, AppState};
use crate::domain::booking_request::IdempotencyKey;
use crate::domain::ids::BookingId;
use crate::domain::refusal::Refusal;
use crate::error::{Error, Result};
use crate::repositories::idempotency_keys::{self, Answer, Entry};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const KEY_LENGTH_MAX: usize = 255;

/// A JSON body together with the idempotency key that the request may bear.
#[derive(Debug, Clone)]
pub struct Idempotent<T> {
    /// The body.
    pub body: T,
    /// The key.
    pub key: Idempotency,
}

/// The idempotency key of a request, if it bears one.
#[derive(Debug, Clone)]
pub struct Idempotency(Option<IdempotencyKey>);

/// What the work is told about its key.
#[derive(Debug, Clone)]
pub struct Keyed {
    /// To be claimed in the transaction that does the work.
    pub using: Option<IdempotencyKey>,
    /// The booking that the same request had made before it was cut short: go on with it.
    pub begun: Option<BookingId>,
}

impl Keyed {
    /// Claims the key in the transaction that does the work. Refuses with `idempotency_in_progress`
    /// if another request with the same key is at it.
    pub async fn claim(&self, tx: &mut PgConnection, now: DateTime<Utc>) -> Result<()> {
        match &self.using {
            Some(using)
                if idempotency_keys::claim(tx, &[(using, None)], now)
                    .await?
                    .is_empty() =>
            {
                Err(Refusal::IdempotencyInProgress.into())
            }
            _ => Ok(()),
        }
    }
}

impl<T: DeserializeOwned> FromRequest<AppState> for Idempotent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let CurrentUser(user) = CurrentUser::from_request_parts(&mut parts, app).await?;
        let key = key_of(&parts.headers).map_err(|refusal| Problem::from(&refusal))?;
        let target = format!("{} {}", parts.method, parts.uri.path());
        let body = json_body(Request::from_parts(parts, body), app).await?;
        let parsed = parse_json(&body).map_err(|refusal| Problem::from(&refusal))?;
        let using = key.map(|key| IdempotencyKey {
            caller: user.id.as_str().to_owned(),
            key,
            request_hash: request_hash(&target, &body),
        });
        Ok(Self {
            body: parsed,
            key: Idempotency(using),
        })
    }
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(KEY) else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
    match key {
        Some(key) if (1..=KEY_LENGTH_MAX).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Refusal::field(
            "Idempotency-Key",
            format!("must be 1 to {KEY_LENGTH_MAX} visible ASCII characters"),
        )),
    }
}

/// Two bodies are the same request if they are the same JSON, whatever their spaces and order.
fn request_hash(target: &str, body: &Bytes) -> Vec<u8> {
    let canonical = serde_json::from_slice::<Value>(body)
        .map(|value| value.to_string())
        .unwrap_or_default();
    Sha256::new()
        .chain_update(target)
        .chain_update(b"\n")
        .chain_update(canonical)
        .finalize()
        .to_vec()
}

impl Idempotency {
    /// The first answer again, if there is one; else what `work` makes, kept if it is an answer for
    /// good. Faults are never kept: the next request with the key goes on where this one stopped.
    pub async fn answer<T, F>(self, app: &App, work: impl FnOnce(Keyed) -> F) -> Result<Response>
    where
        T: Serialize,
        F: Future<Output = Result<Created<T>>>,
    {
        let Some(using) = self.0 else {
            return Ok(work(Keyed {
                using: None,
                begun: None,
            })
            .await?
            .into_response());
        };
        let now = app.now();
        let entry = {
            let mut db = app.acquire().await?;
            idempotency_keys::find(&mut db, &using, now).await?
        };
        let begun = match entry {
            Some(entry) if entry.request_hash != using.request_hash => {
                return Err(Refusal::IdempotencyKeyReused.into());
            }
            Some(Entry {
                answer: Some(answer),
                ..
            }) => return replay(&answer),
            Some(entry) if entry.locked_until > now => {
                return Err(Refusal::IdempotencyInProgress.into());
            }
            Some(entry) => entry.booking_id,
            None => None,
        };
        let result = work(Keyed {
            using: Some(using.clone()),
            begun,
        })
        .await;
        keep(app, &using, result).await
    }
}

/// Keeps an answer for good. A refusal has made no claim of its key that was committed, so it
/// claims the key now; where another request with the key has been faster, what it was refused may
/// be what the other has, and that one's answer counts.
async fn keep<T: Serialize>(
    app: &App,
    using: &IdempotencyKey,
    result: Result<Created<T>>,
) -> Result<Response> {
    if let Err(Error::Refusal(Refusal::IdempotencyInProgress)) = &result {
        return Ok(result?.into_response());
    }
    let now = app.now();
    let mut db = app.acquire().await?;
    match &result {
        Ok(created) => {
            let (status, location) = (StatusCode::CREATED.as_u16(), Some(created.location.clone()));
            let answer = Answer {
                status,
                location,
                body: json(&created.resource)?,
            };
            idempotency_keys::finish(&mut db, using, &answer).await?;
        }
        Err(Error::Refusal(refusal)) => {
            let problem = Problem::from(refusal);
            let answer = Answer {
                status: problem.status,
                location: None,
                body: json(&problem)?,
            };
            if idempotency_keys::claim(&mut db, &[(using, None)], now)
                .await?
                .is_empty()
            {
                return Err(Refusal::IdempotencyInProgress.into());
            }
            idempotency_keys::finish(&mut db, using, &answer).await?;
        }
        Err(_) => idempotency_keys::unlock(&mut db, using, now).await?,
    }
    drop(db);
    Ok(result?.into_response())
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::fault(format!("an answer cannot be kept: {error}")))
}

fn replay(answer: &Answer) -> Result<Response> {
    let unreadable = |what: String| Error::fault(format!("a kept answer is unreadable: {what}"));
    let mut response = if let Some(location) = &answer.location {
        let status =
            StatusCode::from_u16(answer.status).map_err(|error| unreadable(error.to_string()))?;
        let location =
            HeaderValue::from_str(location).map_err(|error| unreadable(error.to_string()))?;
        let content_type = HeaderValue::from_static("application/json");
        (
            status,
            [(LOCATION, location), (CONTENT_TYPE, content_type)],
            answer.body.clone(),
        )
            .into_response()
    } else {
        let problem: Problem =
            serde_json::from_str(&answer.body).map_err(|error| unreadable(error.to_string()))?;
        problem.into_response()
    };
    response
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}
