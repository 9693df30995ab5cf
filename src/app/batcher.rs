//! Requests that come while others are being handled share the next batch, and with it a statement
//! or a transaction: most of what one costs the database is not its rows. Knows neither what is
//! asked for nor how it is done.

use std::collections::{HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::yield_now;
use tokio::time::timeout;
use tracing::{Instrument, Span};

use super::database::HANDLED_ALONE_MAX;
use crate::error::{Error, Result, explain, panic_text};

/// Requests of one batch.
const BATCH_MAX: usize = 256;
/// Beside another a batch is worth while only if it is as large as this: a small one costs Postgres
/// nearly as much.
const BESIDE_MIN: usize = 16;
/// A batch waits for one before it, so that it is large, but not longer than this: one that waits
/// for a lock must not keep the others.
const OTHERS_WAIT_MAX: Duration = Duration::from_millis(100);
/// How long a batch may take: longer than Postgres lets one statement take, and shorter than a
/// request may wait. A connection that has fallen silent must not keep it for ever.
const BATCH_TIME_MAX: Duration = Duration::from_secs(20);

/// How a batch is handled. Implemented beside the workflow that does the work.
pub trait BatchHandler: Send + Sync + 'static {
    /// What one caller asks for.
    type Request: Send + Sync + 'static;
    /// What the caller waits for.
    type Answer: Send + 'static;

    /// What a request changes. Two requests with a key in common are never under way at once in one
    /// process: the second must see what the first has done.
    fn conflict_keys(&self, _: &Self::Request) -> Vec<String> {
        Vec::new()
    }

    /// What a request waits its turn for. Requests with the same may share a batch, in the order in
    /// which they came, but are never in two batches at once.
    fn order_key(&self, _: &Self::Request) -> Option<String> {
        None
    }

    /// The answers, in the order of the batch. An error of the whole means that nothing was done,
    /// or what is harmless twice: then each request is handled alone, so that none suffers for
    /// another; one that was alone only if its connection had broken. But [`Error::OutcomeUnknown`]
    /// is the answer to each of them, and so is a fault where the handler panics.
    fn handle<'a>(
        &'a self,
        batch: &'a [Batched<Self::Request>],
    ) -> BoxFuture<'a, Result<Vec<Result<Self::Answer>>>>;
}

/// A request in a batch.
#[derive(Debug)]
pub struct Batched<R> {
    /// What is asked for.
    pub request: R,
    /// The span of the caller. What is logged about this request alone is logged in it.
    pub span: Span,
}

/// How much a batcher does at once, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Batches at once.
    pub concurrency: usize,
    /// How long a batch may take. Then it is given up, and its callers get
    /// [`Error::OutcomeUnknown`].
    pub batch_time_max: Duration,
}

impl BatchLimits {
    /// Where one batch at a time is made, it is larger, and Postgres has less to do.
    pub const USUAL: Self = Self {
        concurrency: 1,
        batch_time_max: BATCH_TIME_MAX,
    };
}

/// Gathers requests into batches.
pub struct Batcher<R, A>(Arc<Shared<R, A>>);

struct Shared<R, A> {
    name: &'static str,
    handler: Box<dyn BatchHandler<Request = R, Answer = A>>,
    limits: BatchLimits,
    state: Mutex<State<R, A>>,
    idle: Notify,
    /// Of failed batches, how many requests are handled alone at once.
    alone: Semaphore,
}

struct State<R, A> {
    waiting: VecDeque<Waiting<R, A>>,
    /// The conflict keys of the batches under way.
    busy_keys: HashSet<String>,
    /// The order keys of the batches under way.
    ordered_keys: HashSet<String>,
    /// Batches under way that others wait for, at most as many as may be at once.
    under_way: usize,
    is_paused: bool,
}

struct Waiting<R, A> {
    batched: Batched<R>,
    conflict_keys: Vec<String>,
    order_key: Option<String>,
    answer: oneshot::Sender<Result<A>>,
}

impl<R: Send + Sync + 'static, A: Send + 'static> Batcher<R, A> {
    /// A batcher for what `handler` does; `name` says in the log what that is.
    pub fn new(
        name: &'static str,
        limits: BatchLimits,
        handler: impl BatchHandler<Request = R, Answer = A>,
    ) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            busy_keys: HashSet::new(),
            ordered_keys: HashSet::new(),
            under_way: 0,
            is_paused: false,
        };
        Self(Arc::new(Shared {
            name,
            handler: Box::new(handler),
            limits,
            state: Mutex::new(state),
            idle: Notify::new(),
            alone: Semaphore::new(HANDLED_ALONE_MAX),
        }))
    }

    /// Puts a request into the next batch and waits for its answer. From then on it is handled even
    /// if the caller goes away.
    pub async fn submit(&self, request: R) -> Result<A> {
        let answer = self.0.push(request);
        self.0.start();
        answer
            .await
            .map_err(|_| Error::OutcomeUnknown("a batch was given up".to_owned()))?
    }

    /// How many requests wait for the next batch.
    pub fn waiting(&self) -> usize {
        self.0.state().waiting.len()
    }

    /// Waits until no batch is under way that others wait for. None begins as long as the pause is
    /// held.
    pub async fn pause(&self) -> Pause<'_, R, A> {
        let pause = Pause(self);
        self.0.state().is_paused = true;
        loop {
            let idle = self.0.idle.notified();
            if self.0.state().under_way == 0 {
                return pause;
            }
            idle.await;
        }
    }
}

/// A pause of a batcher; it ends when this is dropped.
pub struct Pause<'a, R: Send + Sync + 'static, A: Send + 'static>(&'a Batcher<R, A>);

impl<R: Send + Sync + 'static, A: Send + 'static> Drop for Pause<'_, R, A> {
    fn drop(&mut self) {
        let Batcher(shared) = self.0;
        shared.state().is_paused = false;
        shared.start();
    }
}

impl<R, A> State<R, A> {
    /// Whether a request would meet another that it must not meet.
    fn must_wait(&self, waiting: &Waiting<R, A>) -> bool {
        waiting
            .conflict_keys
            .iter()
            .any(|key| self.busy_keys.contains(key))
            || waiting
                .order_key
                .as_ref()
                .is_some_and(|key| self.ordered_keys.contains(key))
    }
}

impl<R: Send + Sync + 'static, A: Send + 'static> Shared<R, A> {
    fn push(&self, request: R) -> oneshot::Receiver<Result<A>> {
        let (answer, receiver) = oneshot::channel();
        let conflict_keys = self.handler.conflict_keys(&request);
        let order_key = self.handler.order_key(&request);
        self.state().waiting.push_back(Waiting {
            batched: Batched {
                request,
                span: Span::current(),
            },
            conflict_keys,
            order_key,
            answer,
        });
        receiver
    }

    /// Begins a batch, unless those under way will see to all who wait.
    fn start(self: &Arc<Self>) {
        let mut state = self.state();
        let is_beside = state.under_way > 0;
        if state.is_paused
            || state.waiting.is_empty()
            || state.under_way >= self.limits.concurrency
            || (is_beside && state.waiting.len() < BESIDE_MIN)
        {
            return;
        }
        state.under_way = state.under_way.saturating_add(1);
        drop(state);
        tokio::spawn(Arc::clone(self).work());
    }

    /// Handles batch after batch, as long as there is one to be made.
    async fn work(self: Arc<Self>) {
        loop {
            // Whoever has just been answered, or just asks, comes first: so batches are larger, and
            // the whole flow is a tenth faster.
            yield_now().await;
            let Some(batch) = self.take() else { return };
            let shared = Arc::clone(&self);
            let handled = tokio::spawn(async move {
                shared.handle(batch).await;
                // Somebody may have waited for just this one.
                shared.start();
            });
            // However that ends, the others wait no longer.
            drop(timeout(OTHERS_WAIT_MAX, handled).await);
        }
    }

    /// Takes those who have waited longest, except who would meet others with the same conflict
    /// key. `None` where there is nobody, or there are few and another batch under way: the next
    /// after that one takes them.
    fn take(self: &Arc<Self>) -> Option<Batch<R, A>> {
        let mut guard = self.state();
        let state = &mut *guard;
        let mut batch = Batch {
            requests: Vec::new(),
            answers: Vec::new(),
            conflict_keys: Vec::new(),
            order_keys: HashSet::new(),
            shared: Arc::clone(self),
        };
        if state.under_way == 1 || state.waiting.len() >= BESIDE_MIN {
            let mut left = VecDeque::new();
            while let Some(waiting) = state.waiting.pop_front() {
                if batch.requests.len() == BATCH_MAX || state.must_wait(&waiting) {
                    left.push_back(waiting);
                } else {
                    state
                        .busy_keys
                        .extend(waiting.conflict_keys.iter().cloned());
                    batch.conflict_keys.extend(waiting.conflict_keys);
                    batch.order_keys.extend(waiting.order_key);
                    batch.requests.push(waiting.batched);
                    batch.answers.push(waiting.answer);
                }
            }
            state.waiting = left;
            state.ordered_keys.extend(batch.order_keys.iter().cloned());
        }
        let is_over = batch.requests.is_empty();
        if is_over {
            state.under_way = state.under_way.saturating_sub(1);
            self.idle.notify_waiters();
        }
        drop(guard);
        (!is_over).then_some(batch)
    }

    async fn handle(&self, mut batch: Batch<R, A>) {
        let answers = std::mem::take(&mut batch.answers);
        let limit = self.limits.batch_time_max;
        let handled = self.answer(&batch.requests, answers);
        // Whoever has no answer by then gets none: that is how the callers learn of it.
        if timeout(limit, handled).await.is_err() {
            tracing::error!(
                "a batch of {} {} was given up after {limit:?}",
                batch.requests.len(),
                self.name
            );
        }
    }

    async fn answer(&self, batch: &[Batched<R>], answers: Vec<oneshot::Sender<Result<A>>>) {
        let error = match (self.call(batch).await, batch) {
            (Ok(outcomes), _) => return respond(answers, outcomes),
            (Err(error), [_]) if !error.is_connection_broken() => {
                return respond(answers, vec![Err(error)]);
            }
            (Err(error), _) => error,
        };
        tracing::warn!(
            "{} {} are handled one by one: {}",
            batch.len(),
            self.name,
            explain(&error)
        );
        let alone = batch.iter().zip(answers).map(async |(batched, answer)| {
            // It is never closed.
            let _turn = self.alone.acquire().await;
            let outcomes = self.call(std::slice::from_ref(batched)).await;
            respond(
                vec![answer],
                outcomes.unwrap_or_else(|error| vec![Err(error)]),
            );
        });
        join_all(alone).await;
    }

    /// As many outcomes as there are requests, or an error where nothing was done.
    async fn call(&self, batch: &[Batched<R>]) -> Result<Vec<Result<A>>> {
        let work = async { self.handler.handle(batch).await };
        let work = AssertUnwindSafe(work.instrument(self.span(batch)));
        let all = |error: fn(String) -> Error, why: &str| {
            batch.iter().map(|_| Err(error(why.to_owned()))).collect()
        };
        match work.catch_unwind().await {
            Ok(Ok(outcomes)) if outcomes.len() == batch.len() => Ok(outcomes),
            Ok(Ok(_)) => Ok(all(Error::Fault, "a batch was handled and not answered")),
            Ok(Err(Error::OutcomeUnknown(why))) => Ok(all(Error::OutcomeUnknown, &why)),
            Ok(Err(error)) => Err(error),
            Err(panic) => {
                let text = panic_text(&*panic);
                tracing::error!("a batch of {} {} panicked: {text}", batch.len(), self.name);
                Ok(all(Error::Fault, "the handler of a batch panicked"))
            }
        }
    }

    /// One who is alone is handled in the caller's own span.
    fn span(&self, batch: &[Batched<R>]) -> Span {
        if let [alone] = batch {
            return alone.span.clone();
        }
        let (of, size) = (self.name, batch.len());
        let span = tracing::info_span!(parent: None, "batch", batch.of = of, batch.size = size);
        for batched in batch {
            span.follows_from(&batched.span);
        }
        span
    }

    fn state(&self) -> MutexGuard<'_, State<R, A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests that are handled together. As long as it is there, nobody else with one of their
/// conflict keys is handled.
struct Batch<R: Send + Sync + 'static, A: Send + 'static> {
    requests: Vec<Batched<R>>,
    answers: Vec<oneshot::Sender<Result<A>>>,
    conflict_keys: Vec<String>,
    order_keys: HashSet<String>,
    shared: Arc<Shared<R, A>>,
}

impl<R: Send + Sync + 'static, A: Send + 'static> Drop for Batch<R, A> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        for key in &self.conflict_keys {
            state.busy_keys.remove(key);
        }
        for key in &self.order_keys {
            state.ordered_keys.remove(key);
        }
    }
}

/// Answers the callers that are still there.
fn respond<A>(answers: Vec<oneshot::Sender<Result<A>>>, outcomes: Vec<Result<A>>) {
    for (answer, outcome) in answers.into_iter().zip(outcomes) {
        drop(answer.send(outcome));
    }
}
