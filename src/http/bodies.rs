//! Bodies of requests: how much of them is in memory at once, and how long each may take.
//!
//! A body that is whole with the first bytes that are read of it, as nearly all are, lies where its
//! connection reads and costs nothing else. All others together have a bound, and where it is met,
//! the one that began first is ended: nobody waits for what others do not send. Whoever sends has
//! done so in milliseconds; to be in their way, strangers would have to send as much as there is
//! room for in that time.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::iter::successors;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::RequestExt;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::limits::Limits;
use super::problem::Problem;
use super::throttled_log::ThrottledLog;
use crate::domain::refusal::Refusal;

/// How long a body may take, and where it finds room.
pub(super) struct BodyLimits {
    wait_max: Duration,
    /// For those who have signed in.
    callers: Arc<BodyRoom>,
    /// For those who may be Stripe, or anybody.
    unsigned: Arc<BodyRoom>,
}

/// Room for bodies that have begun and are not whole.
struct BodyRoom {
    bytes_max: usize,
    state: Mutex<State>,
    ended: ThrottledLog,
}

#[derive(Default)]
struct State {
    bytes: usize,
    /// The one that began first is the first.
    bodies: BTreeMap<u64, Unfinished>,
    next: u64,
}

struct Unfinished {
    bytes: usize,
    ended: Arc<Notify>,
}

/// A body in its room, until it is dropped.
struct UnfinishedBody {
    id: u64,
    room: Arc<BodyRoom>,
    ended: Arc<Notify>,
}

impl BodyLimits {
    pub(super) fn new(limits: &Limits) -> Self {
        // A half for each.
        let room = || Arc::new(BodyRoom::new(limits.body_bytes_max >> 1));
        Self {
            wait_max: limits.body_wait_max,
            callers: room(),
            unsigned: room(),
        }
    }
}

/// The bytes of a body, up to the limit of the route, and as long as the server waits for one.
pub async fn read_body(request: Request) -> Result<Bytes, Problem> {
    read(request, |limits| &limits.callers).await
}

/// The same for a body that anybody may have sent.
pub async fn read_unsigned_body(request: Request) -> Result<Bytes, Problem> {
    read(request, |limits| &limits.unsigned).await
}

async fn read(
    mut request: Request,
    room: fn(&BodyLimits) -> &Arc<BodyRoom>,
) -> Result<Bytes, Problem> {
    let limits = request.extensions_mut().remove::<Arc<BodyLimits>>();
    // Who calls the router without the server has room of their own.
    let limits = limits.unwrap_or_else(|| Arc::new(BodyLimits::new(&Limits::default())));
    let body = request.into_limited_body();
    let read = timeout(limits.wait_max, collect(body, room(&limits))).await;
    read.unwrap_or_else(|_| Err(too_late()))
}

async fn collect(mut body: Body, room: &Arc<BodyRoom>) -> Result<Bytes, Problem> {
    match next(&mut body).await? {
        // In a box, as it is seldom needed.
        Some(first) if !body.is_end_stream() => Box::pin(collect_in_room(first, body, room)).await,
        whole => Ok(whole.unwrap_or_default()),
    }
}

async fn collect_in_room(first: Bytes, body: Body, room: &Arc<BodyRoom>) -> Result<Bytes, Problem> {
    let unfinished = room.begin();
    tokio::select! {
        biased;
        () = unfinished.ended.notified() => Err(too_late()),
        whole = collect_rest(first, body, &unfinished) => whole,
    }
}

async fn collect_rest(
    first: Bytes,
    mut body: Body,
    unfinished: &UnfinishedBody,
) -> Result<Bytes, Problem> {
    let mut bytes = Vec::new();
    let mut came = Some(first);
    while let Some(chunk) = came {
        unfinished.grow(chunk.len());
        bytes.extend_from_slice(&chunk);
        // Not kept while the next is waited for: it lies in a buffer that may be much larger.
        drop(chunk);
        if body.is_end_stream() {
            break;
        }
        came = next(&mut body).await?;
    }
    Ok(bytes.into())
}

/// The next bytes of a body, unless that was all.
async fn next(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        if let Ok(chunk) = frame.map_err(refusal)?.into_data() {
            return Ok(Some(chunk));
        }
    }
    Ok(None)
}

fn too_late() -> Problem {
    Problem::of_status(StatusCode::REQUEST_TIMEOUT)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that `map_err` takes"
)]
fn refusal(error: axum::Error) -> Problem {
    let error: &(dyn StdError + 'static) = &error;
    let mut causes = successors(Some(error), |&error| error.source());
    if causes.any(<dyn StdError>::is::<LengthLimitError>) {
        return Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let detail = "The body of the request did not arrive whole.".to_owned();
    Problem::from(Refusal::MalformedRequest(detail))
}

impl BodyRoom {
    fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            state: Mutex::default(),
            ended: ThrottledLog::default(),
        }
    }

    fn begin(self: &Arc<Self>) -> UnfinishedBody {
        let ended = Arc::<Notify>::default();
        let mut state = self.state();
        let id = state.next;
        state.next = id.wrapping_add(1);
        let unfinished = Unfinished {
            bytes: 0,
            ended: Arc::clone(&ended),
        };
        state.bodies.insert(id, unfinished);
        UnfinishedBody {
            id,
            room: Arc::clone(self),
            ended,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn grow(&mut self, id: u64, bytes: usize) {
        if let Some(body) = self.bodies.get_mut(&id) {
            body.bytes = body.bytes.saturating_add(bytes);
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }

    fn release(&mut self, body: &Unfinished) {
        self.bytes = self.bytes.saturating_sub(body.bytes);
    }
}

impl UnfinishedBody {
    /// More of it has come. Where all together are too much, those that began first are ended.
    fn grow(&self, bytes: usize) {
        let mut state = self.room.state();
        state.grow(self.id, bytes);
        let mut said = None;
        while state.bytes > self.room.bytes_max
            && let Some((_, oldest)) = state.bodies.pop_first()
        {
            state.release(&oldest);
            oldest.ended.notify_one();
            said = self.room.ended.count().or(said);
        }
        drop(state);
        if let Some(count) = said {
            tracing::warn!(
                bodies.ended = count,
                "of the bodies that did not come whole, {count} made room for others"
            );
        }
    }
}

impl Drop for UnfinishedBody {
    fn drop(&mut self) {
        let mut state = self.room.state();
        if let Some(body) = state.bodies.remove(&self.id) {
            state.release(&body);
        }
    }
}
