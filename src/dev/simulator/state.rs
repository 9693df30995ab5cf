//! What the simulator knows, and the one lock around it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use super::account::{Account, Cause};
use super::api_request::ApiRequest;
use super::chaos::{Chaos, Fate};
use super::clock::Clock;
use super::delivery::DeliveryPlan;
use super::fault::{self, Fault};
use super::journal::{DeliveryRecord, Journal, RequestRecord};
use super::settings::Endpoint;
use super::store::Store;

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
    pub(super) store: Option<Store>,
}

#[derive(Debug)]
pub(super) struct SharedState(Mutex<State>);

impl SharedState {
    pub(super) fn new(state: State) -> Self {
        Self(Mutex::new(state))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    /// Writes the account to its file, if it has one.
    pub(super) fn save(&mut self) {
        let Self { store, account, .. } = self;
        let saved = store.as_mut().map_or(Ok(()), |store| store.save(account));
        if let Err(error) = saved {
            tracing::warn!(%error, "the simulator could not write its data file");
        }
    }

    /// The fault that a test has injected into this request, or that chance has drawn for it.
    pub(super) fn take_fault(&mut self, request: &ApiRequest) -> Option<Fault> {
        let injected = fault::take(&mut self.faults, &request.method, &request.path);
        injected.or_else(|| {
            let chaos = self.chaos.as_mut()?;
            chaos.fault(&self.account, &mut self.clock, request)
        })
    }

    /// Whether the request is answered after its events were delivered.
    pub(super) fn is_answered_late(&mut self, request: &ApiRequest) -> bool {
        let by_chance = |chaos: &mut Chaos| chaos.is_early(&self.account, request);
        self.plan.before_answer || self.chaos.as_mut().is_some_and(by_chance)
    }

    pub(super) fn fate(&mut self, event: &str) -> Fate {
        let chaos = self.chaos.as_mut();
        chaos.map_or_else(Fate::default, |chaos| chaos.fate(&self.account, event))
    }

    /// A bank may decide something about what has just happened.
    pub(super) fn observe(&mut self, event: &str) {
        if let Some(chaos) = &mut self.chaos {
            chaos.observe(&mut self.account, event);
        }
    }

    /// Whether a bank has something to say.
    pub(super) fn has_decision_due(&self, now_milliseconds: u64) -> bool {
        let chaos = self.chaos.as_ref();
        chaos.is_some_and(|chaos| chaos.is_due(now_milliseconds))
    }

    /// The banks say what they have decided by now.
    pub(super) fn settle_decisions(&mut self, now_milliseconds: u64) {
        let cause = self.cause();
        if let Some(chaos) = &mut self.chaos {
            chaos.settle(&mut self.account, &cause, now_milliseconds);
        }
    }

    /// From now on it is so; or all is well again: what banks have decided is said at once, and the
    /// clock goes right.
    pub(super) fn set_chaos(&mut self, chaos: Option<Chaos>) {
        self.settle_decisions(u64::MAX);
        self.clock.go_astray(TimeDelta::zero());
        self.chaos = chaos;
    }
}
