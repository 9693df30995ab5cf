//! Requests that arrive while others are being served, in line for the next statement or
//! transaction, which they share: most of what one costs the database is not its rows.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, oneshot};

use super::{App, AppState};
use crate::error::{Error, Result, explain};

/// Requests of one batch.
const BATCH_MAX: usize = 256;
/// Beside another a batch is worth while only if it is as large as this: a small one costs Postgres
/// nearly as much.
const BESIDE_MIN: usize = 16;
/// A batch waits for one before it, so that it is large, but not longer than this: what has to wait
/// for a lock must not keep the others.
const TURN_MAX: Duration = Duration::from_millis(100);
/// How long a batch may take: longer than Postgres lets one statement take, and shorter than a
/// request may wait. A connection that has fallen silent must not keep it for ever.
const BATCH_TIME_MAX: Duration = Duration::from_secs(20);

/// What can wait in a line.
pub trait Request: Send + Sync + 'static {
    /// What its caller waits for.
    type Answer: Send + 'static;

    /// What it is about, if it changes anything. Two requests that have something in common are
    /// never under way at once in one process: the second must see what the first has done.
    fn subjects(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The answers to a batch, in its order. An error of the whole means that nothing was done: then
/// each request is served alone, so that none suffers for another.
pub type Serving<'a, R> =
    Pin<Box<dyn Future<Output = Result<Vec<Result<<R as Request>::Answer>>>> + Send + 'a>>;

/// How a batch is served.
pub type Serve<R> = for<'a> fn(&'a App, &'a [R]) -> Serving<'a, R>;

type Answers<R> = Vec<oneshot::Sender<Result<<R as Request>::Answer>>>;

/// The line.
pub struct Line<R: Request> {
    state: Mutex<State<R>>,
    turns: Arc<Semaphore>,
    turns_max: u32,
}

struct State<R: Request> {
    waiting: VecDeque<Waiting<R>>,
    /// What the batches under way are about.
    busy: HashSet<String>,
    /// How many turns are being used. Who has one serves until nobody is left, or another goes on.
    turns: usize,
}

struct Waiting<R: Request> {
    request: R,
    subjects: Vec<String>,
    answer: oneshot::Sender<Result<R::Answer>>,
}

impl<R: Request> Line<R> {
    /// A line in which so many batches may be under way at once.
    pub fn new(turns: u32) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            busy: HashSet::new(),
            turns: 0,
        };
        let permits = usize::try_from(turns).unwrap_or(1);
        Self {
            state: Mutex::new(state),
            turns: Arc::new(Semaphore::new(permits)),
            turns_max: turns,
        }
    }

    /// Puts a request in line and waits for its answer. Once it is in line, it is served even if
    /// the caller goes away.
    pub async fn join(
        self: &Arc<Self>,
        app: &AppState,
        request: R,
        serve: Serve<R>,
    ) -> Result<R::Answer> {
        let mut answer = self.push(request);
        let turn = tokio::select! {
            biased;
            answer = &mut answer => return answer.map_err(lost)?,
            turn = self.turns(1) => turn.map_err(|_| Error::fault("the line is closed"))?,
        };
        tokio::spawn(serve_all(Arc::clone(self), Arc::clone(app), serve, turn));
        answer.await.map_err(lost)?
    }

    /// How many are in line.
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Waits until no batch is under way that others wait for. None begins as long as the permit is
    /// held.
    pub async fn pause(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.turns(self.turns_max).await
    }

    async fn turns(&self, number: u32) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.turns).acquire_many_owned(number).await
    }

    fn push(&self, request: R) -> oneshot::Receiver<Result<R::Answer>> {
        let (answer, receiver) = oneshot::channel();
        let subjects = request.subjects();
        self.state().waiting.push_back(Waiting {
            request,
            subjects,
            answer,
        });
        receiver
    }

    fn begin(&self) {
        let mut state = self.state();
        state.turns = state.turns.saturating_add(1);
    }

    /// Takes those who have waited longest out of the line, except who would meet others with the
    /// same subject. `None` ends the turn: there is nobody else, or they are few, and whoever has
    /// another turn serves them.
    fn take(self: &Arc<Self>) -> Option<Batch<R>> {
        let mut guard = self.state();
        let state = &mut *guard;
        if state.waiting.len() < BESIDE_MIN && state.turns > 1 {
            state.turns = state.turns.saturating_sub(1);
            return None;
        }
        let mut batch = Batch {
            requests: Vec::new(),
            answers: Vec::new(),
            subjects: Vec::new(),
            line: Arc::clone(self),
        };
        let mut left = VecDeque::new();
        while let Some(waiting) = state.waiting.pop_front() {
            if batch.requests.len() == BATCH_MAX
                || waiting
                    .subjects
                    .iter()
                    .any(|subject| state.busy.contains(subject))
            {
                left.push_back(waiting);
            } else {
                state.busy.extend(waiting.subjects.iter().cloned());
                batch.subjects.extend(waiting.subjects);
                batch.requests.push(waiting.request);
                batch.answers.push(waiting.answer);
            }
        }
        state.waiting = left;
        if batch.requests.is_empty() {
            state.turns = state.turns.saturating_sub(1);
        }
        drop(guard);
        (!batch.requests.is_empty()).then_some(batch)
    }

    fn state(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests that are served together. As long as it is there, nobody else with one of their
/// subjects is served.
struct Batch<R: Request> {
    requests: Vec<R>,
    answers: Answers<R>,
    subjects: Vec<String>,
    line: Arc<Line<R>>,
}

impl<R: Request> Drop for Batch<R> {
    fn drop(&mut self) {
        let mut state = self.line.state();
        for subject in &self.subjects {
            state.busy.remove(subject);
        }
    }
}

/// Serves batch after batch, as long as there is anyone in line who can be served.
fn serve_all<R: Request>(
    line: Arc<Line<R>>,
    app: AppState,
    serve: Serve<R>,
    turn: OwnedSemaphorePermit,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        line.begin();
        while let Some(batch) = line.take() {
            let mut served = tokio::spawn(serve_batch(Arc::clone(&app), batch, serve));
            if tokio::time::timeout(TURN_MAX, &mut served).await.is_err() {
                let (line, app) = (Arc::clone(&line), Arc::clone(&app));
                tokio::spawn(async move {
                    drop(served.await);
                    // Somebody may have waited for just this one.
                    if let Ok(turn) = line.turns(1).await {
                        serve_all(line, app, serve, turn).await;
                    }
                });
            }
        }
        drop(turn);
    })
}

async fn serve_batch<R: Request>(app: AppState, mut batch: Batch<R>, serve: Serve<R>) {
    let answers = std::mem::take(&mut batch.answers);
    let number = answers.len();
    if tokio::time::timeout(
        BATCH_TIME_MAX,
        answer_all(&app, &batch.requests, answers, serve),
    )
    .await
    .is_err()
    {
        tracing::error!(
            "{number} requests were not served within {BATCH_TIME_MAX:?} and must come again"
        );
    }
}

async fn answer_all<R: Request>(app: &App, requests: &[R], answers: Answers<R>, serve: Serve<R>) {
    let error = match serve(app, requests).await {
        Ok(outcomes) => {
            return answers
                .into_iter()
                .zip(outcomes)
                .for_each(|(answer, outcome)| tell(answer, outcome));
        }
        Err(error) => error,
    };
    if let [_] = requests {
        return answers
            .into_iter()
            .zip([Err(error)])
            .for_each(|(answer, outcome)| tell(answer, outcome));
    }
    tracing::warn!(
        "{} requests are served one by one: {}",
        requests.len(),
        explain(&error)
    );
    let alone = requests.iter().zip(answers).map(async |(request, answer)| {
        let outcomes = serve(app, std::slice::from_ref(request)).await;
        tell(
            answer,
            outcomes.and_then(|outcomes| outcomes.into_iter().next().ok_or_else(unanswered)?),
        );
    });
    join_all(alone).await;
}

/// The batch was given up. What it wrote last may be stored or not, as when a connection breaks.
fn lost(_: oneshot::error::RecvError) -> Error {
    sqlx::Error::Io(io::ErrorKind::TimedOut.into()).into()
}

fn unanswered() -> Error {
    Error::fault("a request was served and not answered")
}

/// Tells the caller, if he is still there.
fn tell<A>(answer: oneshot::Sender<Result<A>>, outcome: Result<A>) {
    drop(answer.send(outcome));
}
