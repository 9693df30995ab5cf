//! Draws what goes wrong, and the same again from the same seed.
//!
//! Each draw is a hash of the seed, of what may go wrong, of what it would happen to, and of how
//! often that was asked before. Objects and requests are known by the number of their Checkout
//! Session, or of their idempotency key, so that the fate of one does not depend on what happens
//! beside it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::account::Account;
use super::api_request::ApiRequest;
use super::event::Event;
use super::journal::Journal;
use super::mishap::Mishap;

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
    pub(super) late_seconds: u64,
    #[serde(default = "three")]
    pub(super) slow_seconds: u64,
    #[serde(default = "ten")]
    pub(super) bank_seconds: u64,
    /// Endpoints tolerate five minutes.
    #[serde(default = "two_minutes")]
    pub(super) clock_seconds: u64,
}

impl Setting {
    pub(super) fn usual(seed: u64) -> Self {
        Self {
            seed,
            percent: BTreeMap::new(),
            only: false,
            spare: Vec::new(),
            late_seconds: three(),
            slow_seconds: three(),
            bank_seconds: ten(),
            clock_seconds: two_minutes(),
        }
    }

    /// Whether an event of this type is never lost.
    pub(super) fn spares(&self, kind: &str) -> bool {
        self.spare.iter().any(|start| kind.starts_with(start))
    }

    /// In a hundred cases.
    fn percent(&self, mishap: Mishap) -> u64 {
        let unnamed = if self.only { 0 } else { mishap.usual_percent() };
        self.percent.get(&mishap).copied().unwrap_or(unnamed)
    }
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

/// The chances of one seed, and what has come of them.
#[derive(Debug)]
pub(super) struct Chances {
    pub(super) setting: Setting,
    /// How often each has been drawn about each.
    draws: HashMap<(Mishap, String), u64>,
    /// Idempotency keys, numbered as they were first seen.
    keys: HashMap<String, usize>,
    happened: Journal<Happened>,
    counts: BTreeMap<Mishap, u64>,
}

#[derive(Debug, Clone, Serialize)]
struct Happened {
    mishap: Mishap,
    about: String,
}

impl Chances {
    pub(super) fn new(setting: Setting) -> Self {
        Self {
            setting,
            draws: HashMap::new(),
            keys: HashMap::new(),
            happened: Journal::default(),
            counts: BTreeMap::new(),
        }
    }

    /// The newest mishaps, oldest first, and how many there were of each.
    pub(super) fn report(&self) -> Value {
        json!({
            "seed": self.setting.seed, "happened": self.happened.records(), "counts": self.counts,
        })
    }

    /// Draws, and notes what happens.
    pub(super) fn happens(&mut self, mishap: Mishap, about: &str) -> bool {
        let draws = self.draws.entry((mishap, about.to_owned())).or_default();
        *draws = draws.saturating_add(1);
        let happens = self.draw(mishap, about, 99) < self.setting.percent(mishap);
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
    pub(super) fn milliseconds(&self, mishap: Mishap, about: &str, seconds_max: u64) -> u64 {
        self.draw(mishap, about, seconds_max.saturating_mul(1_000))
    }

    /// From 0 to `most`; another number for each time that this was drawn, and for each `most`.
    pub(super) fn draw(&self, mishap: Mishap, about: &str, most: u64) -> u64 {
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

    pub(super) fn about_event(account: &Account, event: &Event) -> String {
        let text = |name: &str| event.object.get(name).and_then(Value::as_str);
        let ids = [text("id"), text("payment_intent")];
        let session = ids
            .into_iter()
            .flatten()
            .find_map(|id| session_of(account, id));
        let session = session.map_or_else(|| "none".to_owned(), |number| number.to_string());
        format!("{} of session {session}", event.kind)
    }

    pub(super) fn about_request(&mut self, account: &Account, request: &ApiRequest) -> String {
        let mut session = None;
        let mut route = request.method.clone();
        for segment in request.path.split('/').skip(2) {
            let number = session_of(account, segment);
            session = session.or(number);
            route.push(if route == request.method { ' ' } else { '/' });
            route.push_str(number.map_or(segment, |_| "*"));
        }
        let intent = request
            .pairs()
            .into_iter()
            .find(|(name, _)| name == "payment_intent");
        let session = session.or_else(|| session_of(account, &intent?.1));
        match (session, request.idempotency_key()) {
            (Some(number), _) => format!("{route} of session {number}"),
            (None, Some(key)) => {
                let next = self.keys.len();
                let number = *self.keys.entry(key.to_owned()).or_insert(next);
                format!("{route} of key {number}")
            }
            (None, None) => route,
        }
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
