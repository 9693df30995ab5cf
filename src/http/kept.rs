//! Answers that are the same for everybody, made once a second however many ask.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

use super::problem::Problem;
use crate::app::Clock;
use crate::error::Error;

/// How long an answer is given again. With [`PUBLIC`] a reader sees what is two seconds old at
/// most.
const AGE_MAX: TimeDelta = TimeDelta::seconds(1);
/// Whoever stands between us and the reader may keep it as long.
const PUBLIC: HeaderValue = HeaderValue::from_static("public, max-age=1");
/// Beyond so many answers, or bytes of them, all are forgotten: a stranger can ask for as many
/// different ones as they like.
const ANSWERS_MAX: usize = 1_000;
const BYTES_MAX: usize = 32 << 20;

/// The answers of some routes.
#[derive(Clone)]
pub struct KeptAnswers(Arc<Inner>);

struct Inner {
    clock: Clock,
    differ_by_query: bool,
    answers: StdMutex<Answers>,
}

#[derive(Default)]
struct Answers {
    by_target: HashMap<String, Arc<KeptAnswer>>,
    /// How many bytes have been made since all were forgotten.
    bytes: usize,
}

/// One answer. Who makes it has the lock, and the others wait for it.
#[derive(Default)]
struct KeptAnswer {
    last: Mutex<Option<Made>>,
    /// How often it was made.
    count: AtomicU64,
}

struct Made {
    at: DateTime<Utc>,
    answer: Answer,
}

#[derive(Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    problem: Option<Problem>,
}

impl KeptAnswers {
    /// Of routes whose answers differ by path and query.
    pub fn by_query(clock: Clock) -> Self {
        Self::new(clock, true)
    }

    /// Of routes that read no query.
    pub fn by_path(clock: Clock) -> Self {
        Self::new(clock, false)
    }

    fn new(clock: Clock, differ_by_query: bool) -> Self {
        Self(Arc::new(Inner {
            clock,
            differ_by_query,
            answers: StdMutex::default(),
        }))
    }

    /// What is asked for from now on is made anew.
    fn forget(&self) {
        *self.answers() = Answers::default();
    }

    /// The place of the answer to a request.
    fn find(&self, request: &Request) -> Arc<KeptAnswer> {
        let uri = request.uri();
        let query = uri.query().filter(|_| self.0.differ_by_query);
        let target = format!(
            "{} {}?{}",
            request.method(),
            uri.path(),
            query.unwrap_or("")
        );
        let mut answers = self.answers();
        if answers.by_target.len() >= ANSWERS_MAX {
            *answers = Answers::default();
        }
        Arc::clone(answers.by_target.entry(target).or_default())
    }

    fn count_bytes(&self, made: usize) {
        let mut answers = self.answers();
        answers.bytes = answers.bytes.saturating_add(made);
        if answers.bytes > BYTES_MAX {
            *answers = Answers::default();
        }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        let answers = &self.0.answers;
        answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the answer of less than a second ago, or makes one: one at a time, for all who ask for the
/// same. That we have failed is told to those who have waited for it, and the next one tries again.
pub async fn keep(State(kept): State<KeptAnswers>, request: Request, next: Next) -> Response {
    let place = kept.find(&request);
    let asked_at = place.count.load(Ordering::Relaxed);
    let mut last = place.last.lock().await;
    let was_waited_for = place.count.load(Ordering::Relaxed) != asked_at;
    if let Some(made) = &*last
        && (made.is_fresh(kept.0.clock.now()) || was_waited_for)
    {
        return made.answer.clone().into_response();
    }
    let answer = match Answer::of(next.run(request).await).await {
        Ok(answer) => answer,
        Err(error) => return error.into_response(),
    };
    kept.count_bytes(answer.body.len());
    place.count.fetch_add(1, Ordering::Relaxed);
    *last = Some(Made {
        at: kept.0.clock.now(),
        answer: answer.clone(),
    });
    drop(last);
    answer.into_response()
}

/// Says that whoever is in between may keep a success as long as we do.
pub async fn may_be_kept(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status().is_success() {
        response.headers_mut().insert(CACHE_CONTROL, PUBLIC);
    }
    response
}

/// Forgets what may differ after a request that has changed something: who has made it finds it.
pub async fn forget(State(kept): State<KeptAnswers>, request: Request, next: Next) -> Response {
    let is_safe = request.method().is_safe();
    let response = next.run(request).await;
    if !is_safe && response.status().is_success() {
        kept.forget();
    }
    response
}

impl Made {
    /// Whether it is given again. After a clock was set back, nothing is.
    fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        let age = now.signed_duration_since(self.at);
        let is_recent = (TimeDelta::zero()..AGE_MAX).contains(&age);
        is_recent && !self.answer.status.is_server_error()
    }
}

impl Answer {
    async fn of(response: Response) -> Result<Self, Error> {
        let (mut parts, body) = response.into_parts();
        let unread = |error| Error::fault(format!("an answer cannot be kept: {error}"));
        Ok(Self {
            status: parts.status,
            headers: parts.headers,
            body: to_bytes(body, usize::MAX).await.map_err(unread)?,
            problem: parts.extensions.remove(),
        })
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        if let Some(problem) = self.problem {
            response.extensions_mut().insert(problem);
        }
        response
    }
}
