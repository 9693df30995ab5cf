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

/// How many bytes a second a client takes of its answers in the long run, if it is not to fall
/// behind: fewer than any network gives that a browser is used on.
const ANSWER_PACE_MIN: u32 = 4 << 10;

/// How far one connection has come. HTTP/1 has one request at a time.
pub(super) struct Progress {
    state: Mutex<State>,
    ended: Notify,
}

struct State {
    phase: Phase,
    reading: Reading,
    /// Since when the server stops.
    stopping_since: Option<Instant>,
}

/// How the client takes what is written.
struct Reading {
    /// Since when it has taken nothing …
    unread_since: Option<Instant>,
    /// … and since when it has, else.
    read_since: Instant,
    /// How far it was behind then: for how long it had taken nothing, and not made up for it.
    behind: Duration,
}

/// What the connection does, and since when, where that is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is open, and nothing has come yet.
    Silent(Instant),
    /// Its last request was answered.
    Idle(Instant),
    /// A request has begun.
    Head(Instant),
    /// The head is whole, and the body is not.
    Body,
    /// The request is whole, and its answer under way.
    Answer,
}

impl Progress {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                phase: Phase::Silent(now),
                reading: Reading {
                    unread_since: None,
                    read_since: now,
                    behind: Duration::ZERO,
                },
                stopping_since: None,
            }),
            ended: Notify::new(),
        }
    }

    /// Bytes have come. What follows an answer is the head of the next request.
    pub(super) fn received(&self) {
        let mut state = self.state();
        if matches!(state.phase, Phase::Silent(_) | Phase::Idle(_)) {
            state.phase = Phase::Head(Instant::now());
        }
    }

    /// The head of a request is whole; without a body, so is the request.
    pub(super) fn head_ended(&self, has_body: bool) {
        self.state().phase = if has_body { Phase::Body } else { Phase::Answer };
    }

    /// The body of the request is whole.
    pub(super) fn body_ended(&self) {
        let mut state = self.state();
        if state.phase == Phase::Body {
            state.phase = Phase::Answer;
        }
    }

    /// The client takes nothing more of what is written, having taken so many bytes since it last
    /// did not.
    pub(super) fn stalled(&self, taken: usize) {
        self.state().reading.stall(taken, Instant::now());
    }

    /// The client takes what is written again.
    pub(super) fn unstalled(&self) {
        self.state().reading.go_on(Instant::now());
    }

    /// Whether the client does not take what was written.
    pub(super) fn is_unread(&self) -> bool {
        self.state().reading.unread_since.is_some()
    }

    /// Since when it has no request under way, and whether it never had one.
    pub(super) fn idle_since(&self) -> Option<(Instant, bool)> {
        let state = self.state();
        match state.phase {
            Phase::Silent(since) | Phase::Head(since) => Some((since, true)),
            Phase::Idle(since) if state.reading.unread_since.is_none() => Some((since, false)),
            Phase::Idle(_) | Phase::Body | Phase::Answer => None,
        }
    }

    /// The server stops: from now on a body, and who does not read, has little time. Whether an
    /// answer is under way.
    pub(super) fn stop(&self) -> bool {
        let mut state = self.state();
        state.stopping_since = Some(Instant::now());
        match state.phase {
            Phase::Silent(_) | Phase::Head(_) => false,
            Phase::Idle(_) => state.reading.unread_since.is_some(),
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
    /// Until when it may take. What handlers take is bounded by themselves.
    fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let of_phase = match self.phase {
            Phase::Silent(since) | Phase::Idle(since) => after(since, limits.idle_wait_max),
            Phase::Head(since) => after(since, limits.head_wait_max),
            Phase::Body => self
                .stopping_since
                .and_then(|since| after(since, limits.stop_wait_max)),
            Phase::Answer => None,
        };
        let of_answer = self.reading.deadline(limits);
        let unread_at_stop = || Some(self.stopping_since?.max(self.reading.unread_since?));
        let of_stop = unread_at_stop().and_then(|since| after(since, limits.stop_wait_max));
        [of_phase, of_answer, of_stop].into_iter().flatten().min()
    }
}

impl Reading {
    /// It has taken so many bytes, and takes no more. What it was behind it makes up for in time,
    /// and by what it takes.
    fn stall(&mut self, taken: usize, now: Instant) {
        let taken = u64::try_from(taken).map_or(Duration::MAX, Duration::from_secs);
        let at_pace = taken.checked_div(ANSWER_PACE_MIN).unwrap_or_default();
        let time = now.saturating_duration_since(self.read_since);
        self.behind = self.behind.saturating_sub(at_pace.saturating_add(time));
        self.unread_since = Some(now);
    }

    fn go_on(&mut self, now: Instant) {
        if let Some(since) = self.unread_since.take() {
            let waited = now.saturating_duration_since(since);
            self.behind = self.behind.saturating_add(waited);
        }
        self.read_since = now;
    }

    /// Until when it has to take something.
    fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let left = limits.answer_wait_max.saturating_sub(self.behind);
        after(self.unread_since?, left)
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
        self.progress.state().phase = Phase::Idle(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::arithmetic_side_effects,
        reason = "an overflow is a failed test"
    )]

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A client that takes so many bytes, and then nothing for so long, again and again; after how
    /// long in all it is ended, at the latest after an hour.
    fn ended_after(bytes: usize, pause: Duration) -> Option<Duration> {
        let limits = Limits::default();
        let begun = Instant::now();
        let mut now = begun;
        let mut reading = Reading {
            unread_since: None,
            read_since: begun,
            behind: Duration::ZERO,
        };
        while now < begun + SECOND * 3_600 {
            reading.stall(bytes, now);
            now += pause;
            let deadline = reading.deadline(&limits).unwrap();
            if deadline < now {
                return Some(deadline - begun);
            }
            reading.go_on(now);
        }
        None
    }

    #[test]
    fn who_takes_an_answer_drop_by_drop_is_ended_as_who_takes_nothing() {
        let max = Limits::default().answer_wait_max;

        assert_eq!(ended_after(0, SECOND * 3_600), Some(max));
        for pause in [1, 10, 29] {
            let ended = ended_after(1, SECOND * pause).unwrap();
            assert!((max..max + SECOND).contains(&ended), "{pause}: {ended:?}");
        }
    }

    #[test]
    fn who_takes_four_kib_a_second_is_not() {
        assert_eq!(ended_after(4 << 10, SECOND), None);
        assert_eq!(ended_after(25 * (4 << 10), SECOND * 25), None);
        assert!(ended_after(3 << 10, SECOND).is_some());
    }

    #[test]
    fn who_was_out_of_reach_may_be_so_again_after_as_long() {
        let begun = Instant::now();
        let mut reading = Reading {
            unread_since: None,
            read_since: begun,
            behind: Duration::ZERO,
        };
        reading.stall(0, begun);
        reading.go_on(begun + SECOND * 20);

        let soon = begun + SECOND * 25;
        reading.stall(0, soon);
        let limits = Limits::default();
        assert_eq!(reading.deadline(&limits), Some(soon + SECOND * 15));

        reading.go_on(soon);
        let later = begun + SECOND * 60;
        reading.stall(0, later);
        let max = limits.answer_wait_max;
        assert_eq!(reading.deadline(&limits), Some(later + max));
    }
}
