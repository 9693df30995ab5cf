//! Faults: what a test lets go wrong with the next requests on a route.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FaultKind {
    /// Answers with `status`; nothing is executed. With `stored` and `after`, it is executed all
    /// the same.
    Status,
    /// Closes the connection; nothing is executed.
    Reset,
    /// Never answers; with `after`, executes first.
    Hang,
    /// Waits `seconds` and executes; with `after`, executes and then waits.
    Delay,
    /// Executes and closes the connection.
    LostAnswer,
    /// Executes and answers 200 with something that is not JSON.
    Garbage,
    /// Executes and answers with `members` in the place of its own.
    Altered,
    /// Creates the session, pays it, waits until its events were delivered, and only then answers.
    PayThenAnswer,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// `METHOD /path`, matched segment by segment from the front; `*` stands for any segment, alone
    /// for any route, and a `$` at the end stands for the end.
    route: String,
    #[serde(default = "once")]
    times: u32,
    pub(super) kind: FaultKind,
    #[serde(default)]
    pub(super) status: Option<u16>,
    #[serde(default)]
    pub(super) code: Option<String>,
    /// For a delay: how long it is. For a status: what `Retry-After` says.
    #[serde(default)]
    pub(super) seconds: f64,
    /// For an altered answer: what it says instead.
    #[serde(default)]
    pub(super) members: Map<String, Value>,
    /// For a status: keep the answer under the idempotency key, as Stripe does once the endpoint
    /// began to execute.
    #[serde(default)]
    pub(super) stored: bool,
    /// What was asked for is executed first: before a silence, a delay, or a status that is stored.
    #[serde(default)]
    pub(super) after: bool,
    /// Sent as `Stripe-Should-Retry`.
    #[serde(default, alias = "shouldRetry")]
    pub(super) should_retry: Option<bool>,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// One that no test has injected.
    pub(super) fn by_chance(kind: FaultKind) -> Self {
        Self {
            route: "*".to_owned(),
            times: 1,
            kind,
            status: None,
            code: None,
            seconds: 0.0,
            members: Map::new(),
            stored: false,
            after: false,
            should_retry: None,
        }
    }

    pub(super) fn duration(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or_default()
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        if self.route == "*" {
            return true;
        }
        let (route, whole) = match self.route.strip_suffix('$') {
            Some(route) => (route, true),
            None => (self.route.as_str(), false),
        };
        let (wanted_method, wanted_path) = route.split_once(' ').unwrap_or(("*", route));
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let wanted: Vec<&str> = wanted_path.trim_matches('/').split('/').collect();
        let same = wanted
            .iter()
            .zip(&segments)
            .all(|(wanted, segment)| *wanted == "*" || wanted == segment);
        (wanted_method == "*" || wanted_method == method)
            && same
            && (wanted_path == "*"
                || wanted.len() == segments.len()
                || (!whole && wanted.len() < segments.len()))
    }
}

/// Takes the first fault for the request, if there is one left.
pub(super) fn take(faults: &mut Vec<Fault>, method: &str, path: &str) -> Option<Fault> {
    let place = faults
        .iter()
        .position(|fault| fault.matches(method, path))?;
    let fault = faults.get_mut(place)?;
    fault.times = fault.times.saturating_sub(1);
    let taken = fault.clone();
    faults.retain(|fault| fault.times > 0);
    Some(taken)
}
