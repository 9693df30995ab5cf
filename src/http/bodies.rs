//! Bodies of requests: how much of them is in memory at once, and how long each may take.
//!
//! A body that would be too much waits, and its client with it: what is not read is kept by the
//! network. So nobody is refused for what others send, and whoever goes on has room in ten seconds
//! at the latest, when those before have taken too long.

use std::error::Error as StdError;
use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;

use axum::RequestExt;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::limits::Limits;
use super::problem::Problem;
use crate::domain::refusal::Refusal;
use crate::error::Error;

/// Room for the bodies of all requests together.
struct BodyRoom {
    /// Of those who have signed in, whose bodies have at most 64 KiB: a half.
    callers: Arc<Semaphore>,
    /// Of those who may be Stripe, or anybody. The first bytes of each have a quarter, in which a
    /// thousand fit, as whole events mostly do …
    unsigned: Arc<Semaphore>,
    /// … and what goes beyond them has the last, so that strangers with large bodies have only each
    /// other in their way.
    large: Arc<Semaphore>,
}

/// How long a body may take, and where it finds room.
pub(super) struct BodyLimits {
    wait_max: Duration,
    room: BodyRoom,
}

/// The first bytes of an unsigned body: most of Stripe's events have a few thousand.
const FIRST_BYTES: usize = 16 << 10;
/// The most that finds room in one go, far below what there is.
const RESERVED_BYTES_MAX: usize = 16 << 10;

/// Who sends a body.
#[derive(Clone, Copy)]
enum Sender {
    Caller,
    Unsigned,
}

impl BodyLimits {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            wait_max: limits.body_wait_max,
            room: BodyRoom::new(limits.body_bytes_max),
        }
    }
}

impl BodyRoom {
    fn new(bytes_max: usize) -> Self {
        let room = |bytes: usize| Arc::new(Semaphore::new(bytes.max(RESERVED_BYTES_MAX)));
        Self {
            callers: room(bytes_max >> 1),
            unsigned: room(bytes_max >> 2),
            large: room(bytes_max >> 2),
        }
    }

    /// Where the byte with this number finds room, and how many after it may do so in one go.
    fn at(&self, sender: Sender, number: usize) -> (&Arc<Semaphore>, usize) {
        match (sender, FIRST_BYTES.checked_sub(number)) {
            (Sender::Caller, _) => (&self.callers, RESERVED_BYTES_MAX),
            (Sender::Unsigned, None | Some(0)) => (&self.large, RESERVED_BYTES_MAX),
            (Sender::Unsigned, Some(left)) => (&self.unsigned, left),
        }
    }
}

/// The bytes of a body, up to the limit of the route, and as long as the server waits for one.
pub async fn read_body(request: Request) -> Result<Bytes, Problem> {
    read(request, Sender::Caller).await
}

/// The same for a body that anybody may have sent.
pub async fn read_unsigned_body(request: Request) -> Result<Bytes, Problem> {
    read(request, Sender::Unsigned).await
}

async fn read(mut request: Request, sender: Sender) -> Result<Bytes, Problem> {
    let limits = request.extensions_mut().remove::<Arc<BodyLimits>>();
    // Who calls the router without the server has room of their own.
    let limits = limits.unwrap_or_else(|| Arc::new(BodyLimits::new(&Limits::default())));
    let body = request.into_limited_body();
    let read = timeout(limits.wait_max, collect(body, &limits.room, sender)).await;
    read.unwrap_or_else(|_| Err(Problem::of_status(StatusCode::REQUEST_TIMEOUT)))
}

/// A body, and the room that it takes as long as anybody has it.
struct Kept {
    bytes: Vec<u8>,
    _room: Vec<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What has come of a body keeps its room while more of it comes.
async fn collect(mut body: Body, room: &BodyRoom, sender: Sender) -> Result<Bytes, Problem> {
    let mut bytes = Vec::new();
    let mut reserved = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(mut chunk) = frame.map_err(refusal)?.into_data() else {
            continue;
        };
        while !chunk.is_empty() {
            let (room, most) = room.at(sender, bytes.len());
            let part = chunk.split_to(chunk.len().min(most));
            reserved.push(reserve(room, part.len()).await?);
            bytes.extend_from_slice(&part);
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(Bytes::from_owner(Kept {
        bytes,
        _room: reserved,
    }))
}

/// Waits for room for so many bytes.
async fn reserve(room: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
    let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
    let reserved = Arc::clone(room).acquire_many_owned(permits).await;
    reserved.map_err(|closed| Problem::from(Error::fault(format!("no room for a body: {closed}"))))
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
