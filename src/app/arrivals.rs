//! Events that arrive while others are being settled, in line for the next transaction, which they share.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, oneshot};

use crate::domain::settlement::Outcome;
use crate::error::Result;
use crate::gateways::stripe::webhook::Event;

/// Batches under way at once in one process: while one commits, the other is decided.
const BATCHES_AT_ONCE: usize = 2;
/// Events of one batch.
const BATCH_MAX: usize = 64;

/// An event and the caller who waits for its outcome.
pub struct Arrival {
    /// What it says.
    pub event: Event,
    /// Its body as it came.
    pub payload: String,
    answer: oneshot::Sender<Result<Outcome>>,
}

impl Arrival {
    /// Tells the caller, if he is still there.
    pub fn answer(self, outcome: Result<Outcome>) {
        drop(self.answer.send(outcome));
    }

    /// What it is about, as far as can be told without the database.
    fn subject(&self) -> String {
        let subject = &self.event.subject;
        let attempt_id = subject.attempt_id.map(|id| id.to_string());
        let known = attempt_id.or_else(|| subject.session_id.clone()).or_else(|| subject.payment_intent_id.clone());
        known.unwrap_or_else(|| self.event.id.clone())
    }
}

/// The line.
pub struct Arrivals {
    waiting: Mutex<VecDeque<Arrival>>,
    turns: Arc<Semaphore>,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { waiting: Mutex::default(), turns: Arc::new(Semaphore::new(BATCHES_AT_ONCE)) }
    }
}

impl Arrivals {
    /// Puts an event in line. Its outcome comes from whoever takes it; dropping the receiver does not take it out.
    pub fn push(&self, event: Event, payload: String) -> oneshot::Receiver<Result<Outcome>> {
        let (answer, outcome) = oneshot::channel();
        let arrival = Arrival { event, payload, answer };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(arrival);
        outcome
    }

    /// How many are in line.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until a batch may begin; it lasts as long as the permit is held.
    pub async fn turn(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.turns).acquire_owned().await
    }

    /// Takes those who have waited longest out of the line. Two about the same attempt do not go together: the second must
    /// see what the first has done.
    pub fn take(&self) -> Vec<Arrival> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut subjects = HashSet::new();
        let (taken, left) = std::mem::take(&mut *waiting)
            .into_iter()
            .partition::<Vec<_>, _>(|arrival| subjects.len() < BATCH_MAX && subjects.insert(arrival.subject()));
        waiting.extend(left);
        taken
    }
}
