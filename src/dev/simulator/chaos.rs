//! Misbehaviour by chance, and the same again from the same seed.
//!
//! Each draw is a hash of the seed, of what may go wrong, of what it would happen to, and of how
//! often that was asked before. Objects and requests are known by the number of their Checkout
//! Session, or of their idempotency key, so that the fate of one does not depend on what happens
//! beside it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::account::Account;
use super::event::Event;
use super::fault::{Fault, FaultKind};
use super::intake::Incoming;
use super::journal::Journal;
use super::payment;
use super::payment_method::{Behaviour, Decline};
use super::refund::{self, RefundStatus};
use super::sandbox::{State, real_milliseconds};

/// What endpoints of another age are sent.
const OLD_VERSION: &str = "2023-10-16";

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mishap {
    /// An event is delivered before those that its cause made earlier.
    Reorder,
    /// An event is delivered twice.
    Double,
    /// An event is delivered after up to `lateSeconds`.
    Late,
    /// The first delivery of an event gets lost; the next comes as after any that has failed.
    Drop,
    /// An event is never delivered, unless it is asked for.
    Lose,
    /// An event is labelled with a version of the API that is years old.
    OldVersion,
    /// A request is answered after its events were delivered.
    Early,
    /// A request is executed after up to `slowSeconds`.
    SlowRequest,
    /// A request is answered up to `slowSeconds` after it was executed.
    SlowAnswer,
    /// A request is executed and its connection closes.
    LostAnswer,
    /// A connection closes and nothing is executed.
    Reset,
    /// 429, and nothing is executed.
    RateLimit,
    /// 500, and nothing is executed.
    Error,
    /// 500, and the key answers so from then on; in every second case the request was executed all
    /// the same.
    StoredError,
    /// 503, and nothing is executed.
    Unavailable,
    /// A delayed payment fails, up to `bankSeconds` after it began; all others come.
    DelayedFails,
    /// Refunds of a payment by card are pending for up to `bankSeconds`.
    RefundWaits,
    /// A refund fails up to `bankSeconds` after it was made.
    RefundFails,
    /// At a request, the clock goes wrong by up to `clockSeconds`, either way.
    ClockJump,
}

/// At most one of these happens to a request: the first that is drawn.
const OF_REQUESTS: [Mishap; 8] = [
    Mishap::StoredError,
    Mishap::LostAnswer,
    Mishap::Reset,
    Mishap::RateLimit,
    Mishap::Error,
    Mishap::Unavailable,
    Mishap::SlowRequest,
    Mishap::SlowAnswer,
];

impl Mishap {
    /// How often it happens unless it is said, in a hundred cases.
    fn usual_percent(self) -> u64 {
        match self {
            Self::Reorder | Self::Late | Self::RefundWaits => 20,
            Self::Double | Self::Drop | Self::OldVersion | Self::Early => 10,
            Self::DelayedFails => 30,
            Self::SlowRequest | Self::SlowAnswer | Self::RefundFails => 5,
            Self::Lose
            | Self::LostAnswer
            | Self::Reset
            | Self::RateLimit
            | Self::Error
            | Self::Unavailable => 3,
            Self::StoredError | Self::ClockJump => 1,
        }
    }
}

/// How bad it is: `{"seed": 42}` is the usual; nothing, or `{}`, ends it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Setting {
    seed: u64,
    /// How often each happens in a hundred cases, such as `{"lose": 10}`; what is not named, as
    /// often as usual …
    #[serde(default)]
    percent: BTreeMap<Mishap, u64>,
    /// … or never.
    #[serde(default)]
    only: bool,
    /// Types of events that are never lost, by how they begin.
    #[serde(default)]
    spare: Vec<String>,
    #[serde(default = "three")]
    late_seconds: u64,
    #[serde(default = "three")]
    slow_seconds: u64,
    #[serde(default = "ten")]
    bank_seconds: u64,
    /// Endpoints tolerate five minutes.
    #[serde(default = "two_minutes")]
    clock_seconds: u64,
}

fn three() -> u64 {
    3
}

fn ten() -> u64 {
    10
}

fn two_minutes() -> u64 {
    120
}

#[derive(Debug, Clone, Serialize)]
struct Happened {
    mishap: Mishap,
    about: String,
}

/// What a bank has decided and not told yet.
#[derive(Debug)]
enum Verdict {
    Payment { session: String, fails: bool },
    Refund { id: String, status: RefundStatus },
}

/// The chances of one seed, and what has come of them.
#[derive(Debug)]
pub(super) struct Chaos {
    setting: Setting,
    /// How often each has been drawn about each.
    draws: HashMap<(Mishap, String), u64>,
    /// Idempotency keys, numbered as they were first seen.
    keys: HashMap<String, usize>,
    /// Due at these real times in Unix milliseconds.
    verdicts: Vec<(u64, Verdict)>,
    happened: Journal<Happened>,
    counts: BTreeMap<Mishap, u64>,
}

impl Chaos {
    pub(super) fn new(setting: Setting) -> Self {
        Self {
            setting,
            draws: HashMap::new(),
            keys: HashMap::new(),
            verdicts: Vec::new(),
            happened: Journal::default(),
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn usual(seed: u64) -> Self {
        Self::new(Setting {
            seed,
            percent: BTreeMap::new(),
            only: false,
            spare: Vec::new(),
            late_seconds: three(),
            slow_seconds: three(),
            bank_seconds: ten(),
            clock_seconds: two_minutes(),
        })
    }

    /// The newest mishaps, oldest first, and how many there were of each.
    pub(super) fn report(&self) -> Value {
        json!({ "seed": self.setting.seed, "happened": self.happened.records(), "counts": self.counts })
    }

    /// Draws, and notes what happens.
    fn happens(&mut self, mishap: Mishap, about: &str) -> bool {
        let unnamed = if self.setting.only {
            0
        } else {
            mishap.usual_percent()
        };
        let percent = self
            .setting
            .percent
            .get(&mishap)
            .copied()
            .unwrap_or(unnamed);
        let draws = self.draws.entry((mishap, about.to_owned())).or_default();
        *draws = draws.saturating_add(1);
        let happens = self.draw(mishap, about, 99) < percent;
        if happens {
            self.happened.push(Happened {
                mishap,
                about: about.to_owned(),
            });
            let count = self.counts.entry(mishap).or_default();
            *count = count.saturating_add(1);
        }
        happens
    }

    /// How long, if it happens.
    fn milliseconds(&self, mishap: Mishap, about: &str, seconds_max: u64) -> u64 {
        self.draw(mishap, about, seconds_max.saturating_mul(1_000))
    }

    /// From 0 to `most`; another number for each time that this was drawn, and for each `most`.
    fn draw(&self, mishap: Mishap, about: &str, most: u64) -> u64 {
        let times = self
            .draws
            .get(&(mishap, about.to_owned()))
            .copied()
            .unwrap_or_default();
        let digest = Sha256::digest(format!(
            "{} {mishap:?} {about} {times} {most}",
            self.setting.seed
        ));
        let number = digest
            .iter()
            .take(8)
            .fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        number
            .checked_rem(most.saturating_add(1))
            .unwrap_or_default()
    }

    fn about_event(account: &Account, event: &Event) -> String {
        let text = |name: &str| event.object.get(name).and_then(Value::as_str);
        let ids = [text("id"), text("payment_intent")];
        let session = ids
            .into_iter()
            .flatten()
            .find_map(|id| session_of(account, id));
        let session = session.map_or_else(|| "none".to_owned(), |number| number.to_string());
        format!("{} of session {session}", event.kind)
    }

    fn about_request(&mut self, account: &Account, incoming: &Incoming) -> String {
        let mut session = None;
        let mut route = incoming.method.clone();
        for segment in incoming.path.split('/').skip(2) {
            let number = session_of(account, segment);
            session = session.or(number);
            route.push(if route == incoming.method { ' ' } else { '/' });
            route.push_str(number.map_or(segment, |_| "*"));
        }
        let intent = incoming
            .pairs()
            .into_iter()
            .find(|(name, _)| name == "payment_intent");
        let session = session.or_else(|| session_of(account, &intent?.1));
        match (session, incoming.idempotency_key()) {
            (Some(number), _) => format!("{route} of session {number}"),
            (None, Some(key)) => {
                let next = self.keys.len();
                let number = *self.keys.entry(key.to_owned()).or_insert(next);
                format!("{route} of key {number}")
            }
            (None, None) => route,
        }
    }

    fn pronounce(&mut self, mishap: Mishap, about: &str, verdict: Verdict) {
        let due = real_milliseconds().saturating_add(self.milliseconds(
            mishap,
            about,
            self.setting.bank_seconds,
        ));
        self.verdicts.push((due, verdict));
    }
}

/// The number of the session that the object is about.
fn session_of(account: &Account, id: &str) -> Option<usize> {
    match id.split_once('_')?.0 {
        "cs" => account.sessions.place(id),
        "pi" => account.sessions.place(&account.intents.get(id)?.session),
        "ch" => session_of(account, &account.charges.get(id)?.payment_intent),
        "re" => session_of(account, &account.refunds.get(id)?.payment_intent),
        _ => None,
    }
}

/// What happens to a request, and to the clock with it.
pub(super) fn fault(state: &mut State, incoming: &Incoming) -> Option<Fault> {
    let State {
        chaos: Some(chaos),
        account,
        clock,
        ..
    } = state
    else {
        return None;
    };
    let about = chaos.about_request(account, incoming);
    if chaos.happens(Mishap::ClockJump, &about) {
        let most = chaos.setting.clock_seconds.saturating_mul(1_000);
        let either_way = chaos.draw(Mishap::ClockJump, &about, most.saturating_mul(2));
        let milliseconds = i64::try_from(either_way)
            .unwrap_or_default()
            .saturating_sub_unsigned(most);
        clock.go_astray(TimeDelta::try_milliseconds(milliseconds).unwrap_or_default());
    }
    let mishap = OF_REQUESTS
        .into_iter()
        .find(|mishap| chaos.happens(*mishap, &about))?;
    let (kind, status) = match mishap {
        Mishap::LostAnswer => (FaultKind::LostAnswer, None),
        Mishap::Reset => (FaultKind::Reset, None),
        Mishap::SlowRequest | Mishap::SlowAnswer => (FaultKind::Delay, None),
        Mishap::RateLimit => (FaultKind::Status, Some(429)),
        Mishap::Unavailable => (FaultKind::Status, Some(503)),
        _ => (FaultKind::Status, Some(500)),
    };
    let mut fault = Fault::by_chance(kind);
    fault.status = status;
    fault.stored = mishap == Mishap::StoredError;
    let executed = chaos.draw(mishap, &about, 1) == 1;
    fault.after = mishap == Mishap::SlowAnswer || (mishap == Mishap::StoredError && executed);
    let slow = chaos.milliseconds(mishap, &about, chaos.setting.slow_seconds);
    fault.seconds = Duration::from_millis(slow).as_secs_f64();
    Some(fault)
}

/// Whether the request is answered after its events.
pub(super) fn is_early(state: &mut State, incoming: &Incoming) -> bool {
    let State {
        chaos: Some(chaos),
        account,
        ..
    } = state
    else {
        return false;
    };
    let about = chaos.about_request(account, incoming);
    chaos.happens(Mishap::Early, &about)
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

pub(super) fn fate(state: &mut State, event: &str) -> Fate {
    let State {
        chaos: Some(chaos),
        account,
        ..
    } = state
    else {
        return Fate::default();
    };
    let Some(event) = account.events.get(event) else {
        return Fate::default();
    };
    let about = Chaos::about_event(account, event);
    let spared = chaos
        .setting
        .spare
        .iter()
        .any(|start| event.kind.starts_with(start));
    let late = chaos.happens(Mishap::Late, &about);
    let lateness = chaos.milliseconds(Mishap::Late, &about, chaos.setting.late_seconds);
    Fate {
        lost: !spared && chaos.happens(Mishap::Lose, &about),
        first: chaos.happens(Mishap::Reorder, &about),
        copies_more: chaos.happens(Mishap::Double, &about).into(),
        dropped: chaos.happens(Mishap::Drop, &about),
        due: late.then(|| real_milliseconds().saturating_add(lateness)),
        version: chaos
            .happens(Mishap::OldVersion, &about)
            .then(|| OLD_VERSION.to_owned()),
    }
}

/// A bank makes up its mind about what has just happened.
pub(super) fn observe(state: &mut State, event: &str) {
    let State {
        chaos: Some(chaos),
        account,
        ..
    } = state
    else {
        return;
    };
    let Some(event) = account.events.get(event) else {
        return;
    };
    let about = Chaos::about_event(account, event);
    let id = event
        .object
        .get("id")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    match event.kind.as_str() {
        "payment_intent.processing" => {
            let session = account
                .intents
                .get(&id)
                .map(|intent| intent.session.clone())
                .unwrap_or_default();
            let fails = chaos.happens(Mishap::DelayedFails, &about);
            chaos.pronounce(
                Mishap::DelayedFails,
                &about,
                Verdict::Payment { session, fails },
            );
        }
        "charge.succeeded" => {
            let charge = account
                .charges
                .get_mut(&id)
                .filter(|charge| charge.method.behaviour == Behaviour::Succeeds);
            if let Some(charge) = charge
                && chaos.happens(Mishap::RefundWaits, &about)
            {
                charge.method.behaviour = Behaviour::RefundsSlowly;
            }
        }
        "refund.created" => {
            let fails = chaos.happens(Mishap::RefundFails, &about);
            let waits = account
                .refunds
                .get(&id)
                .is_some_and(|refund| refund.status == RefundStatus::Pending);
            let status = if fails {
                RefundStatus::Failed
            } else {
                RefundStatus::Succeeded
            };
            if fails || waits {
                chaos.pronounce(Mishap::RefundFails, &about, Verdict::Refund { id, status });
            }
        }
        _ => {}
    }
}

/// Whether a bank has something to tell.
pub(super) fn is_due(state: &State, now_milliseconds: u64) -> bool {
    state
        .chaos
        .iter()
        .flat_map(|chaos| &chaos.verdicts)
        .any(|(due, _)| *due <= now_milliseconds)
}

/// The banks tell what they have decided. What a test has settled itself stays so.
pub(super) fn settle(state: &mut State, now_milliseconds: u64) {
    let cause = state.cause();
    let State {
        chaos: Some(chaos),
        account,
        ..
    } = state
    else {
        return;
    };
    for (_, verdict) in chaos
        .verdicts
        .extract_if(.., |(due, _)| *due <= now_milliseconds)
    {
        let settled = match verdict {
            Verdict::Payment { session, fails } => {
                let outcome = if fails {
                    Err(Decline::InsufficientFunds)
                } else {
                    Ok(())
                };
                payment::settle(account, &session, outcome, &cause)
            }
            Verdict::Refund { id, status } => {
                refund::settle(account, &id, status, &cause).map(drop)
            }
        };
        if let Err(refusal) = settled {
            tracing::debug!(
                reason = refusal.message(),
                "a bank had nothing left to decide"
            );
        }
    }
}

/// From now on it is so; or all is well again: what banks have decided is told at once, and the
/// clock goes right.
pub(super) fn set(state: &mut State, chaos: Option<Chaos>) {
    settle(state, u64::MAX);
    state.clock.go_astray(TimeDelta::zero());
    state.chaos = chaos;
}
