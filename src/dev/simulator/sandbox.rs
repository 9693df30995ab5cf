//! The running simulator: its state, the tasks it spawned, and the courier of its events.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::account::Account;
use super::checkout_lifecycle;
use super::clock::{Clock, real_milliseconds};
use super::courier::Courier;
use super::delivery::DeliveryPlan;
use super::journal::Journal;
use super::outbox::{self, Batch};
use super::settings::Options;
use super::state::{SharedState, State};
use super::store::Store;

const TICK: Duration = Duration::from_millis(500);

/// Resolves when the deliveries that one change caused have been attempted.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Attempted(Vec<oneshot::Receiver<()>>);

impl Attempted {
    pub(super) async fn wait(self) {
        for batch in self.0 {
            // A batch whose task was cut off will not be attempted any more.
            let _: Result<(), oneshot::error::RecvError> = batch.await;
        }
    }
}

#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) base_url: String,
    state: Arc<SharedState>,
    courier: Arc<Courier>,
    tasks: Mutex<JoinSet<()>>,
    closing: watch::Sender<bool>,
}

impl Sandbox {
    pub(super) fn open(options: Options, base_url: String) -> std::io::Result<Arc<Self>> {
        let state = Arc::new(SharedState::new(open_state(options)?));
        let courier = Courier::new(Arc::clone(&state)).map_err(std::io::Error::other)?;
        Ok(Arc::new(Self {
            base_url,
            state,
            courier: Arc::new(courier),
            tasks: Mutex::new(JoinSet::new()),
            closing: watch::Sender::new(false),
        }))
    }

    /// Looks at or changes what needs no time, no events and no file.
    pub(super) fn peek<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        look(&mut self.state.lock())
    }

    /// Changes the state as of now: what is due expires first, and the events of the change are on
    /// their way after.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> (R, Attempted) {
        let (result, batches) = {
            let mut state = self.state.lock();
            let now = state.now();
            checkout_lifecycle::expire_due(&mut state.account, now);
            let result = change(&mut state);
            let batches = outbox::collect(&mut state);
            state.save();
            (result, batches)
        };
        (result, self.launch(batches))
    }

    /// Changes the state without waiting for the deliveries of the change.
    pub(super) fn apply<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let (result, attempted) = self.change(change);
        drop(attempted);
        result
    }

    /// Starts the batches; they run on when nobody waits for them.
    pub(super) fn launch(&self, batches: Vec<Batch>) -> Attempted {
        let attempted = batches
            .into_iter()
            .map(|batch| {
                let (done, attempted) = oneshot::channel();
                let delivery = Arc::clone(&self.courier).deliver(batch);
                self.spawn(async move {
                    delivery.await;
                    // Nobody waits when the events came from outside an API call.
                    let _: Result<(), ()> = done.send(());
                });
                attempted
            })
            .collect();
        Attempted(attempted)
    }

    /// Runs `task` until it ends or the simulator is dropped.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Lets time pass: expires sessions and makes the deliveries that are due.
    pub(super) async fn tick(self: Arc<Self>) {
        let mut interval = tokio::time::interval(TICK);
        loop {
            interval.tick().await;
            let now = real_milliseconds();
            let batches = self.peek(|state| outbox::due(state, now));
            drop(self.launch(batches));
            let is_due = self.peek(|state| {
                state.now() >= state.account.quiet_until || state.has_decision_due(now)
            });
            if is_due {
                self.apply(|state| state.settle_decisions(now));
            }
        }
    }

    /// Resolves when no delivery is being made or due now.
    pub(super) async fn settled(&self) {
        self.until_delivered(|state| outbox::is_quiet(state, real_milliseconds()))
            .await;
    }

    /// Resolves as soon as deliveries have made this so.
    pub(super) async fn until_delivered(&self, is_so: impl Fn(&State) -> bool) {
        self.courier.until(is_so).await;
    }

    /// Forgets everything, and wakes those who wait for deliveries.
    pub(super) fn reset(&self) {
        self.apply(State::reset);
        self.courier.wake();
    }

    /// Ends every task and connection.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .abort_all();
    }

    pub(super) async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        // The sender lives in `self`, so it cannot have been dropped.
        let _: Result<_, _> = closing.wait_for(|closing| *closing).await;
    }
}

fn open_state(options: Options) -> std::io::Result<State> {
    let store = options.data_file.map(Store::new);
    let account = store
        .as_ref()
        .map_or_else(|| Ok(Account::default()), Store::load)?;
    let last_delivery = account.deliveries.iter().map(|delivery| delivery.id).max();
    Ok(State {
        last_delivery: last_delivery.unwrap_or(0),
        account,
        clock: Clock::new(options.now),
        started_at: options.now,
        endpoints: options.endpoints,
        plan: DeliveryPlan::default(),
        faults: Vec::new(),
        chaos: None,
        requests: Journal::default(),
        delivered: Journal::default(),
        store,
    })
}
