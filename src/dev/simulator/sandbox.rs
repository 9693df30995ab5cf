//! The running simulator: the one lock around its state, the tasks it spawned, and the post office
//! for its events.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;

use super::account::{Account, Cause};
use super::chaos::{self, Chaos};
use super::checkout_lifecycle;
use super::clock::Clock;
use super::delivery::DeliveryPlan;
use super::fault::Fault;
use super::journal::{DeliveryRecord, Journal, RequestRecord};
use super::post::{self, Batch};
use super::store::Store;
use super::{Endpoint, Options};

const TICK: Duration = Duration::from_millis(500);
/// Stripe does not publish how long it waits for an endpoint; others report 20 to 30 seconds.
const ENDPOINT_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct State {
    pub(super) account: Account,
    pub(super) clock: Clock,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) plan: DeliveryPlan,
    pub(super) faults: Vec<Fault>,
    pub(super) chaos: Option<Chaos>,
    pub(super) requests: Journal<RequestRecord>,
    pub(super) delivered: Journal<DeliveryRecord>,
    pub(super) last_delivery: u64,
    store: Option<Store>,
}

impl State {
    pub(super) fn now(&self) -> i64 {
        self.clock.now().timestamp()
    }

    /// A cause without an API request.
    pub(super) fn cause(&self) -> Cause {
        Cause::at(self.now())
    }

    /// As after a first start: endpoints stay, everything else is forgotten.
    pub(super) fn reset(&mut self) {
        self.account = Account::default();
        self.clock = Clock::new(self.started_at);
        self.plan = DeliveryPlan::default();
        self.faults.clear();
        self.chaos = None;
        self.requests = Journal::default();
        self.delivered = Journal::default();
    }
}

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
    state: Mutex<State>,
    tasks: Mutex<JoinSet<()>>,
    pub(super) base_url: String,
    pub(super) client: reqwest::Client,
    /// Told after every attempt to deliver.
    pub(super) attempted: Notify,
    pub(super) closing: watch::Sender<bool>,
}

impl Sandbox {
    pub(super) fn open(options: Options, base_url: String) -> std::io::Result<Arc<Self>> {
        let store = options.data_file.map(Store::new);
        let account = store
            .as_ref()
            .map_or_else(|| Ok(Account::default()), Store::load)?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ENDPOINT_TIMEOUT)
            // Endpoints are on this machine, without TLS; loading the system's roots would slow
            // every start.
            .tls_certs_only([])
            .build()
            .map_err(std::io::Error::other)?;
        let last_delivery = account.deliveries.iter().map(|delivery| delivery.id).max();
        let state = State {
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
        };
        Ok(Arc::new(Self {
            state: Mutex::new(state),
            tasks: Mutex::new(JoinSet::new()),
            base_url,
            client,
            attempted: Notify::new(),
            closing: watch::Sender::new(false),
        }))
    }

    /// Looks at or changes what needs no time, no events and no file.
    pub(super) fn peek<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        look(&mut self.lock())
    }

    /// Changes the state as of now: what is due expires first, and the events of the change are on
    /// their way after.
    pub(super) fn change<R>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut State) -> R,
    ) -> (R, Attempted) {
        let (result, batches) = {
            let mut state = self.lock();
            let now = state.now();
            checkout_lifecycle::expire_due(&mut state.account, now);
            let result = change(&mut state);
            let batches = post::collect(&mut state);
            save(&mut state);
            (result, batches)
        };
        (result, self.launch(batches))
    }

    /// Changes the state without waiting for the deliveries of the change.
    pub(super) fn apply<R>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> R) -> R {
        let (result, attempted) = self.change(change);
        drop(attempted);
        result
    }

    /// Starts the batches; they run on when nobody waits for them.
    pub(super) fn launch(self: &Arc<Self>, batches: Vec<Batch>) -> Attempted {
        let attempted = batches
            .into_iter()
            .map(|batch| {
                let (done, attempted) = oneshot::channel();
                let sandbox = Arc::clone(self);
                self.spawn(async move {
                    post::deliver(&sandbox, batch).await;
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
            let batches = self.peek(|state| post::due(state, real_milliseconds()));
            drop(self.launch(batches));
            let now = real_milliseconds();
            if self
                .peek(|state| state.now() >= state.account.quiet_until || chaos::is_due(state, now))
            {
                self.apply(|state| chaos::settle(state, now));
            }
        }
    }

    /// Resolves when no delivery is being made or due now.
    pub(super) async fn settled(&self) {
        loop {
            let attempted = self.attempted.notified();
            if self.peek(|state| post::is_quiet(state, real_milliseconds())) {
                return;
            }
            attempted.await;
        }
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Real time: deliveries are retried while the simulated clock stands still.
pub(super) fn real_milliseconds() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn save(state: &mut State) {
    let State { store, account, .. } = state;
    let saved = store.as_mut().map_or(Ok(()), |store| store.save(account));
    if let Err(error) = saved {
        tracing::warn!(%error, "the simulator could not write its data file");
    }
}
