//! `Idempotency-Key`: a request that is sent again gets the first response again, for 24 hours.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::extract::json_body;
use super::idempotency_key::{self, request_hash};
use super::identity::CurrentUser;
use super::json::parse_json;
use super::problem::Problem;
use super::reply::{Reply, response_of, stored_problem};
use crate::app::{App, AppState};
use crate::connection::Connection;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ids::BookingId;
use crate::domain::refusal::Refusal;
use crate::error::{Error, Result};
use crate::repositories::idempotency_keys::{self, Claim, Entry, Known, StoredResponse};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A JSON body together with the idempotency key that the request may bear.
#[derive(Debug, Clone)]
pub struct Idempotent<T> {
    /// The body.
    pub body: T,
    /// The key, to respond with.
    pub key: Idempotency,
}

/// The idempotency key of a request, if it bears one.
#[derive(Debug, Clone)]
pub struct Idempotency(Option<IdempotencyKey>);

/// What the work is given of the key that it is done under.
#[derive(Debug, Clone, Default)]
pub struct Keyed {
    /// To be claimed in the transaction that does the work.
    pub key: Option<IdempotencyKey>,
    /// The booking that the same request had made before it was cut short: go on with it.
    pub begun: Option<BookingId>,
}

/// A reply whose key has been claimed, if the request bears one: work cannot forget to.
#[derive(Debug)]
pub struct Kept<T> {
    reply: Reply<T>,
    is_stored: bool,
}

impl<T> utoipa::IntoParams for Idempotent<T> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![idempotency_key::parameter()]
    }
}

impl<T: DeserializeOwned> FromRequest<AppState> for Idempotent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let CurrentUser(user) = CurrentUser::from_request_parts(&mut parts, app).await?;
        let value = idempotency_key::value(&parts.headers)?;
        let target = format!("{} {}", parts.method, parts.uri.path());
        let body = json_body(Request::from_parts(parts, body)).await?;
        let parsed = parse_json(&body)?;
        let key = value.map(|value| IdempotencyKey {
            caller: user.id.0,
            value,
            request_hash: request_hash(&target, &body),
        });
        Ok(Self {
            body: parsed,
            key: Idempotency(key),
        })
    }
}

impl Idempotency {
    /// The first response again, if there is one; else what `work` replies or refuses, stored for
    /// good. Faults are never stored: the next request with the key goes on where this one stopped.
    pub async fn respond<T, F>(self, app: &App, work: impl FnOnce(Keyed) -> F) -> Result<Response>
    where
        T: Serialize,
        F: Future<Output = Result<Kept<T>>>,
    {
        let Some(key) = self.0 else {
            let kept = work(Keyed::default()).await?;
            return response_of(&kept.reply.to_stored()?);
        };
        let begun = match look_up(app, &key).await? {
            Found::Response(response) => return replay(&response),
            Found::TooMany(until) => return Ok(too_many(until, app.now()).into_response()),
            Found::Begun(booking_id) => booking_id,
        };
        let keyed = Keyed {
            key: Some(key.clone()),
            begun,
        };
        store(app, &key, work(keyed).await).await
    }
}

/// What a request with a key goes on from.
enum Found {
    /// Its first response.
    Response(StoredResponse),
    /// What a first request left when it was cut short, if there was one.
    Begun(Option<BookingId>),
    /// It would be one key more than its caller may use, until then.
    TooMany(DateTime<Utc>),
}

async fn look_up(app: &App, key: &IdempotencyKey) -> Result<Found> {
    let now = app.now();
    let known = idempotency_keys::find(&mut app.acquire().await?, key, now).await?;
    match known {
        Known::Nothing => Ok(Found::Begun(None)),
        Known::TooMany(until) => Ok(Found::TooMany(until)),
        Known::Entry(entry) if entry.request_hash != key.request_hash => {
            Err(Refusal::IdempotencyKeyReused.into())
        }
        Known::Entry(Entry {
            response: Some(response),
            ..
        }) => Ok(Found::Response(response)),
        Known::Entry(entry) if entry.is_locked(now) => Err(Refusal::IdempotencyInProgress.into()),
        Known::Entry(entry) => Ok(Found::Begun(entry.booking_id)),
    }
}

fn too_many(until: DateTime<Utc>, now: DateTime<Utc>) -> Problem {
    let wait = until.signed_duration_since(now).num_seconds();
    let seconds = u64::try_from(wait).unwrap_or_default().saturating_add(1);
    let detail = format!("Too many idempotency keys; use another in {seconds} seconds.");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(seconds)
}

/// Stores what the work replied or refused, and makes the response of it.
async fn store<T: Serialize>(
    app: &App,
    key: &IdempotencyKey,
    result: Result<Kept<T>>,
) -> Result<Response> {
    match result {
        Ok(kept) => {
            let response = kept.reply.to_stored()?;
            if !kept.is_stored {
                idempotency_keys::store(&mut app.acquire().await?, key, &response).await?;
            }
            response_of(&response)
        }
        // Another request has the key, and its response is the one that counts; or the caller is
        // told to come again, and then gets another answer.
        Err(Error::Refusal(
            refusal @ (Refusal::IdempotencyInProgress | Refusal::HoldsLapsed { .. }),
        )) => Err(refusal.into()),
        Err(Error::Refusal(refusal)) => {
            store_refusal(app, key, &refusal).await?;
            Err(refusal.into())
        }
        Err(fault) => {
            idempotency_keys::unlock(&mut app.acquire().await?, key, app.now()).await?;
            Err(fault)
        }
    }
}

/// A refusal has committed no claim of its key, so it claims the key now. Where another request
/// with the key has been faster, this one may have been refused what the other has got, and the
/// response of the other counts.
async fn store_refusal(app: &App, key: &IdempotencyKey, refusal: &Refusal) -> Result<()> {
    let mut db = app.acquire().await?;
    claim(&mut db, key, app.now()).await?;
    idempotency_keys::store(&mut db, key, &stored_problem(refusal)?).await
}

async fn claim(db: &mut Connection, key: &IdempotencyKey, now: DateTime<Utc>) -> Result<()> {
    let booking_id = None;
    let claimed = idempotency_keys::claim(db, &[Claim { key, booking_id }], now).await?;
    if claimed == [true] {
        Ok(())
    } else {
        Err(Refusal::IdempotencyInProgress.into())
    }
}

impl Keyed {
    /// Claims the key and stores the reply in the transaction that does the work: once that is
    /// committed, every later request with the key gets the reply. Refuses with
    /// `idempotency_in_progress` if another request with the same key is at it.
    pub async fn keep<T: Serialize>(
        &self,
        tx: &mut Connection,
        reply: Reply<T>,
        now: DateTime<Utc>,
    ) -> Result<Kept<T>> {
        if let Some(key) = &self.key {
            claim(tx, key, now).await?;
            idempotency_keys::store(tx, key, &reply.to_stored()?).await?;
        }
        let is_stored = true;
        Ok(Kept { reply, is_stored })
    }
}

impl<T> Kept<T> {
    /// The transaction that did the work has claimed [`Keyed::key`], and the reply is still to be
    /// stored. For work that goes on after that transaction: a request that finds the key claimed
    /// and no reply goes on with what was begun.
    pub fn claimed(reply: Reply<T>) -> Self {
        let is_stored = false;
        Self { reply, is_stored }
    }
}

fn replay(stored: &StoredResponse) -> Result<Response> {
    let mut response = response_of(stored)?;
    let replayed = HeaderValue::from_static("true");
    response.headers_mut().insert(REPLAYED, replayed);
    Ok(response)
}
