//! Misbehaviour by chance: of requests and the clock, of deliveries, and of banks.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;

use super::account::{Account, Cause};
use super::api_request::ApiRequest;
use super::bank_decision::BankDecision;
use super::chances::{Chances, Setting};
use super::clock::{Clock, real_milliseconds};
use super::fault::{Fault, FaultKind};
use super::mishap::{Mishap, OF_REQUESTS};

/// What endpoints of another age are sent.
const OLD_VERSION: &str = "2023-10-16";

#[derive(Debug)]
pub(super) struct Chaos {
    chances: Chances,
    decisions: Vec<BankDecision>,
}

/// How an event fares on its way to one endpoint. Of two copies, it is the second that comes late
/// or gets lost at first.
#[derive(Debug, Default)]
pub(super) struct Fate {
    pub(super) lost: bool,
    pub(super) first: bool,
    pub(super) copies_more: usize,
    pub(super) dropped: bool,
    /// The real time of its delivery, in Unix milliseconds.
    pub(super) due: Option<u64>,
    pub(super) version: Option<String>,
}

impl Chaos {
    pub(super) fn new(setting: Setting) -> Self {
        Self {
            chances: Chances::new(setting),
            decisions: Vec::new(),
        }
    }

    /// What has gone wrong so far.
    pub(super) fn report(&self) -> Value {
        self.chances.report()
    }

    /// What happens to a request; the clock may go wrong with it.
    pub(super) fn fault(
        &mut self,
        account: &Account,
        clock: &mut Clock,
        request: &ApiRequest,
    ) -> Option<Fault> {
        let chances = &mut self.chances;
        let about = chances.about_request(account, request);
        if chances.happens(Mishap::ClockJump, &about) {
            let most = chances.setting.clock_seconds.saturating_mul(1_000);
            let either_way = chances.draw(Mishap::ClockJump, &about, most.saturating_mul(2));
            let milliseconds = i64::try_from(either_way)
                .unwrap_or_default()
                .saturating_sub_unsigned(most);
            clock.go_astray(TimeDelta::try_milliseconds(milliseconds).unwrap_or_default());
        }
        let mishap = OF_REQUESTS
            .into_iter()
            .find(|mishap| chances.happens(*mishap, &about))?;
        fault(chances, mishap, &about)
    }

    /// Whether the request is answered after its events.
    pub(super) fn is_early(&mut self, account: &Account, request: &ApiRequest) -> bool {
        let about = self.chances.about_request(account, request);
        self.chances.happens(Mishap::Early, &about)
    }

    pub(super) fn fate(&mut self, account: &Account, event: &str) -> Fate {
        let Some(event) = account.events.get(event) else {
            return Fate::default();
        };
        let chances = &mut self.chances;
        let about = Chances::about_event(account, event);
        let spared = chances.setting.spares(&event.kind);
        let late = chances.happens(Mishap::Late, &about);
        let lateness = chances.milliseconds(Mishap::Late, &about, chances.setting.late_seconds);
        Fate {
            lost: !spared && chances.happens(Mishap::Lose, &about),
            first: chances.happens(Mishap::Reorder, &about),
            copies_more: chances.happens(Mishap::Double, &about).into(),
            dropped: chances.happens(Mishap::Drop, &about),
            due: late.then(|| real_milliseconds().saturating_add(lateness)),
            version: chances
                .happens(Mishap::OldVersion, &about)
                .then(|| OLD_VERSION.to_owned()),
        }
    }

    /// A bank makes up its mind about what has just happened.
    pub(super) fn observe(&mut self, account: &mut Account, event: &str) {
        let decision = BankDecision::draw(&mut self.chances, account, event);
        self.decisions.extend(decision);
    }

    /// Whether a bank has something to say.
    pub(super) fn is_due(&self, now_milliseconds: u64) -> bool {
        let mut decisions = self.decisions.iter();
        decisions.any(|decision| decision.is_due(now_milliseconds))
    }

    /// The banks say what they have decided.
    pub(super) fn settle(&mut self, account: &mut Account, cause: &Cause, now_milliseconds: u64) {
        let due = |decision: &mut BankDecision| decision.is_due(now_milliseconds);
        for decision in self.decisions.extract_if(.., due) {
            decision.apply(account, cause);
        }
    }
}

/// The fault that a mishap of a request comes to.
fn fault(chances: &Chances, mishap: Mishap, about: &str) -> Option<Fault> {
    let (kind, status) = match mishap {
        Mishap::LostAnswer => (FaultKind::LostAnswer, None),
        Mishap::Reset => (FaultKind::Reset, None),
        Mishap::SlowRequest | Mishap::SlowAnswer => (FaultKind::Delay, None),
        Mishap::RateLimit => (FaultKind::Status, Some(429)),
        Mishap::Unavailable => (FaultKind::Status, Some(503)),
        Mishap::Error | Mishap::StoredError => (FaultKind::Status, Some(500)),
        Mishap::Reorder
        | Mishap::Double
        | Mishap::Late
        | Mishap::Drop
        | Mishap::Lose
        | Mishap::OldVersion
        | Mishap::Early
        | Mishap::DelayedFails
        | Mishap::RefundWaits
        | Mishap::RefundFails
        | Mishap::ClockJump => return None,
    };
    let mut fault = Fault::by_chance(kind);
    fault.status = status;
    fault.stored = mishap == Mishap::StoredError;
    let executed = chances.draw(mishap, about, 1) == 1;
    fault.after = mishap == Mishap::SlowAnswer || (mishap == Mishap::StoredError && executed);
    let slow = chances.milliseconds(mishap, about, chances.setting.slow_seconds);
    fault.seconds = Duration::from_millis(slow).as_secs_f64();
    Some(fault)
}
