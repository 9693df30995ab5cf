//! A cache of answers that are the same for everybody: each is made once a second, however many
//! ask.

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
/// Beyond so many answers, or bytes of them and of what was asked for, all are forgotten: a
/// stranger can ask for as many different ones as they like.
const ENTRIES_MAX: usize = 1_000;
const BYTES_MAX: usize = 32 << 20;

/// The answers of some routes, by path and query.
#[derive(Clone)]
pub struct ResponseCache(Arc<Inner>);

struct Inner {
    clock: Clock,
    entries: StdMutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_target: HashMap<String, Arc<Entry>>,
    /// How many bytes have come since all were forgotten.
    bytes: usize,
}

/// One answer. Who makes it has the lock, and the others wait for it.
#[derive(Default)]
struct Entry {
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

impl ResponseCache {
    /// An empty one.
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Inner {
            clock,
            entries: StdMutex::default(),
        }))
    }

    /// What is asked for from now on is made anew.
    fn clear(&self) {
        *self.entries() = Entries::default();
    }

    /// The entry of the answer to a request.
    fn find(&self, request: &Request) -> Arc<Entry> {
        let target = format!("{} {}", request.method(), request.uri());
        let mut entries = self.entries();
        if let Some(entry) = entries.by_target.get(&target) {
            return Arc::clone(entry);
        }
        if entries.by_target.len() >= ENTRIES_MAX {
            *entries = Entries::default();
        }
        entries.count(target.len());
        Arc::clone(entries.by_target.entry(target).or_default())
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        let entries = &self.0.entries;
        entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > BYTES_MAX {
            *self = Self::default();
        }
    }
}

/// Gives the answer of less than a second ago, or makes one: one at a time, for all who ask for the
/// same. That we have failed is told to those who have waited for it, and the next one tries again.
pub async fn cached(State(cache): State<ResponseCache>, request: Request, next: Next) -> Response {
    let entry = cache.find(&request);
    let asked_at = entry.count.load(Ordering::Relaxed);
    let mut last = entry.last.lock().await;
    let was_waited_for = entry.count.load(Ordering::Relaxed) != asked_at;
    if let Some(made) = &*last
        && (made.is_fresh(cache.0.clock.now()) || was_waited_for)
    {
        return made.answer.clone().into_response();
    }
    let answer = match Answer::of(next.run(request).await).await {
        Ok(answer) => answer,
        Err(error) => return error.into_response(),
    };
    cache.entries().count(answer.bytes());
    entry.count.fetch_add(1, Ordering::Relaxed);
    *last = Some(Made {
        at: cache.0.clock.now(),
        answer: answer.clone(),
    });
    drop(last);
    answer.into_response()
}

/// Takes the query away, of routes that read none: it makes no other answer.
pub async fn without_query(mut request: Request) -> Request {
    if let Ok(path) = request.uri().path().parse() {
        *request.uri_mut() = path;
    }
    request
}

/// Says that whoever is in between may keep a success as long as we do.
pub async fn cacheable_by_others(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status().is_success() {
        response.headers_mut().insert(CACHE_CONTROL, PUBLIC);
    }
    response
}

/// Forgets what may differ after a request that has changed something: who has made it finds it.
pub async fn invalidate(
    State(cache): State<ResponseCache>,
    request: Request,
    next: Next,
) -> Response {
    let is_safe = request.method().is_safe();
    let response = next.run(request).await;
    if !is_safe && response.status().is_success() {
        cache.clear();
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

    /// How many it takes to keep, but for its headers.
    fn bytes(&self) -> usize {
        let problem = self.problem.as_ref();
        let problem = problem.map_or(0, |problem| problem.body("").len());
        self.body.len().saturating_add(problem)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(target: &str) -> Request {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = target.parse().unwrap();
        request
    }

    #[test]
    fn what_was_asked_for_counts_as_what_was_answered() {
        let cache = ResponseCache::new(Clock::system());
        let path = format!("/{}", "x".repeat(32 << 10));
        let of = |number: usize| asked(&format!("{path}?{number}"));

        (0..ENTRIES_MAX).for_each(|number| drop(cache.find(&of(number))));

        let bytes: usize = cache.entries().by_target.keys().map(String::len).sum();
        assert!(bytes <= BYTES_MAX, "{bytes}");
        assert_eq!(cache.entries().bytes, bytes);
    }

    #[test]
    fn there_are_no_more_answers_than_a_thousand() {
        let cache = ResponseCache::new(Clock::system());

        (0..=ENTRIES_MAX).for_each(|number| drop(cache.find(&asked(&format!("/{number}")))));

        assert_eq!(cache.entries().by_target.len(), 1);
    }
}
