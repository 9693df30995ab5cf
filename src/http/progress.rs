//! How far a connection has come with its request, and until when it may take for what comes next.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

use super::limits::Limits;

/// How far one connection has come. HTTP/1 has one request at a time.
pub(super) struct Progress {
    state: Mutex<State>,
    ended: Notify,
}

struct State {
    phase: Phase,
    since: Instant,
    /// Since when the client has taken nothing of what was written.
    unread_since: Option<Instant>,
    /// Since when the server stops.
    stopping_since: Option<Instant>,
}

/// What the connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is open, and nothing has come yet.
    Silent,
    /// Its last request was answered.
    Idle,
    /// A request has begun.
    Head,
    /// The head is whole, and the body is not.
    Body,
    /// The request is whole, and its answer under way.
    Answer,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::Silent,
                since: Instant::now(),
                unread_since: None,
                stopping_since: None,
            }),
            ended: Notify::new(),
        }
    }

    /// Bytes have come. What follows an answer is the head of the next request.
    pub(super) fn received(&self) {
        let mut state = self.state();
        if matches!(state.phase, Phase::Silent | Phase::Idle) {
            state.enter(Phase::Head);
        }
    }

    /// The head of a request is whole.
    pub(super) fn head_ended(&self) {
        self.state().enter(Phase::Body);
    }

    /// The body of the request is whole.
    pub(super) fn body_ended(&self) {
        let mut state = self.state();
        if state.phase == Phase::Body {
            state.enter(Phase::Answer);
        }
    }

    /// The client takes what is written, or does not for now.
    pub(super) fn written(&self, is_taken: bool) {
        self.state().unread_since = (!is_taken).then(Instant::now);
    }

    /// Whether the client does not take what was written.
    pub(super) fn is_unread(&self) -> bool {
        self.state().unread_since.is_some()
    }

    /// Since when it has no request under way, and whether it never had one.
    pub(super) fn idle_since(&self) -> Option<(Instant, bool)> {
        let state = self.state();
        match state.phase {
            Phase::Silent | Phase::Head => Some((state.since, true)),
            Phase::Idle if state.unread_since.is_none() => Some((state.since, false)),
            Phase::Idle | Phase::Body | Phase::Answer => None,
        }
    }

    /// The server stops: from now on a body has little time. Whether an answer is under way.
    pub(super) fn stop(&self) -> bool {
        let mut state = self.state();
        state.stopping_since = Some(Instant::now());
        match state.phase {
            Phase::Silent | Phase::Head => false,
            Phase::Idle => state.unread_since.is_some(),
            Phase::Body | Phase::Answer => true,
        }
    }

    /// Ends the connection, to make room for another.
    pub(super) fn end(&self) {
        self.ended.notify_one();
    }

    /// Returns when the connection is to make room.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Ready when the connection has taken longer than `limits` allow. To be polled after the
    /// connection, whose progress it goes by; `timer` wakes the task if there is none. It is set
    /// anew only where it would come too late, as most connections go on long before.
    pub(super) fn poll_overdue(
        &self,
        limits: &Limits,
        mut timer: Pin<&mut Sleep>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(deadline) = self.state().deadline(limits) else {
            return Poll::Pending;
        };
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(context).is_ready() {
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }

    /// Until when it may take. What handlers take is bounded by themselves.
    fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let of_phase = match self.phase {
            Phase::Silent | Phase::Idle => after(self.since, limits.idle_wait_max),
            Phase::Head => after(self.since, limits.head_wait_max),
            Phase::Body => self
                .stopping_since
                .and_then(|since| after(since, limits.stop_wait_max)),
            Phase::Answer => None,
        };
        let of_answer = self
            .unread_since
            .and_then(|since| after(since, limits.answer_wait_max));
        of_phase.into_iter().chain(of_answer).min()
    }
}

fn after(since: Instant, wait: Duration) -> Option<Instant> {
    since.checked_add(wait)
}

/// The body of an answer. When it is dropped, all of it has been handed on, and the connection is
/// idle.
pub(super) struct AnswerBody {
    body: Body,
    progress: Arc<Progress>,
}

impl AnswerBody {
    pub(super) fn new(body: Body, progress: Arc<Progress>) -> Self {
        Self { body, progress }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.progress.state().enter(Phase::Idle);
    }
}
