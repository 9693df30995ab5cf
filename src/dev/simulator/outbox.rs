//! Makes deliveries of new events, writes them out when they are due, and notes what became of
//! each.

use std::collections::{BTreeMap, BTreeSet};

use super::chaos::Fate;
use super::clock::real_milliseconds;
use super::delivery::{self, Delivery, DeliveryState};
use super::event::API_VERSION;
use super::journal::DeliveryRecord;
use super::rendering::pretty;
use super::state::State;

/// Deliveries to one endpoint: one round after the other, those of a round at once. Batches of
/// different causes run side by side, since Stripe promises no order; who needs one waits until the
/// first has settled.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) rounds: Vec<Vec<u64>>,
}

/// What is delivered: an event, or bytes without one.
struct Content<'a> {
    event: &'a str,
    kind: &'a str,
    raw: Option<&'a str>,
}

/// Makes deliveries of the events that have none, as the plan says. What is not held is in flight
/// from here on.
pub(super) fn collect(state: &mut State) -> Vec<Batch> {
    let mut batches: BTreeMap<String, Batch> = BTreeMap::new();
    for id in std::mem::take(&mut state.account.unsent) {
        state.observe(&id);
        for url in urls(state) {
            let Some(event) = state.account.events.get_mut(&id) else {
                continue;
            };
            if !event.pending.contains(&url) {
                event.pending.push(url.clone());
            }
            let kind = event.kind.clone();
            let fate = state.fate(&id);
            let content = Content {
                event: &id,
                kind: &kind,
                raw: None,
            };
            let round = address(state, &content, &url, &fate);
            if !round.is_empty() {
                let rounds = &mut batches.entry(url).or_default().rounds;
                rounds.insert(if fate.first { 0 } else { rounds.len() }, round);
            }
        }
    }
    batches.into_values().collect()
}

/// Sends `raw`, signed, to every endpoint, without an event behind it.
pub(super) fn send_raw(state: &mut State, raw: &str) -> Vec<Batch> {
    let content = Content {
        event: "raw",
        kind: "raw",
        raw: Some(raw),
    };
    urls(state)
        .into_iter()
        .map(|url| Batch {
            rounds: vec![address(state, &content, &url, &Fate::default())],
        })
        .collect()
}

/// Each address once: two endpoints of one address are one whose secret is being rolled.
fn urls(state: &State) -> BTreeSet<String> {
    state
        .endpoints
        .iter()
        .map(|endpoint| endpoint.url.clone())
        .collect()
}

/// The deliveries to one endpoint that begin now.
fn address(state: &mut State, content: &Content<'_>, url: &str, fate: &Fate) -> Vec<u64> {
    let plan = state.plan.of(content.kind);
    if plan.drop || fate.lost {
        state.delivered.push(dropped(content, url, 0));
        return Vec::new();
    }
    let mut round = Vec::new();
    let copies = plan.copies.saturating_add(fate.copies_more);
    for copy in 1..=copies {
        let is_last = copy == copies;
        let mut delivery = new_delivery(state, content, url);
        delivery.version.clone_from(&fate.version);
        if plan.hold {
            delivery.state = DeliveryState::Held;
        } else if let Some(due) = fate.due.filter(|_| is_last) {
            delivery.state = DeliveryState::Retry { due };
        }
        if fate.dropped && is_last && !plan.hold {
            delivery.postpone(real_milliseconds());
            let record = dropped(content, url, delivery.failures);
            state.delivered.push(record);
        }
        if delivery.state == DeliveryState::InFlight {
            round.push(delivery.id);
        }
        state.account.deliveries.push(delivery);
    }
    round
}

/// A delivery that is in flight.
fn new_delivery(state: &mut State, content: &Content<'_>, url: &str) -> Delivery {
    state.last_delivery = state.last_delivery.saturating_add(1);
    Delivery {
        id: state.last_delivery,
        event: content.event.to_owned(),
        kind: content.kind.to_owned(),
        raw: content.raw.map(ToOwned::to_owned),
        url: url.to_owned(),
        failures: 0,
        state: DeliveryState::InFlight,
        version: None,
    }
}

fn dropped(content: &Content<'_>, url: &str, attempt: usize) -> DeliveryRecord {
    DeliveryRecord {
        event_id: content.event.to_owned(),
        kind: content.kind.to_owned(),
        url: url.to_owned(),
        attempt,
        outcome: "dropped",
        status: None,
        error: None,
    }
}

/// Takes up the retries whose time has come.
pub(super) fn due(state: &mut State, now_milliseconds: u64) -> Vec<Batch> {
    take_up(state, |delivery| delivery.is_due(now_milliseconds), None)
}

/// Takes up everything held or waiting, in the order of `events` if given; what it does not name
/// comes last.
pub(super) fn due_now(state: &mut State, events: Option<&[String]>) -> Vec<Batch> {
    take_up(
        state,
        |delivery| delivery.state != DeliveryState::InFlight,
        events,
    )
}

/// The events that wait for `deliver_due`, in the order of their creation, each once.
pub(super) fn waiting(state: &State) -> Vec<String> {
    let mut events: Vec<String> = Vec::new();
    for delivery in &state.account.deliveries {
        if delivery.state != DeliveryState::InFlight && !events.contains(&delivery.event) {
            events.push(delivery.event.clone());
        }
    }
    events
}

fn take_up(
    state: &mut State,
    wanted: impl Fn(&Delivery) -> bool,
    order: Option<&[String]>,
) -> Vec<Batch> {
    let mut taken: Vec<(usize, String, u64)> = Vec::new();
    for delivery in &mut state.account.deliveries {
        if wanted(delivery) {
            delivery.state = DeliveryState::InFlight;
            let place = order.and_then(|order| order.iter().position(|id| *id == delivery.event));
            let place = place.unwrap_or(usize::MAX);
            taken.push((place, delivery.url.clone(), delivery.id));
        }
    }
    taken.sort_by_key(|(place, _, _)| *place);
    let mut batches: BTreeMap<String, Batch> = BTreeMap::new();
    for (_, url, id) in taken {
        batches.entry(url).or_default().rounds.push(vec![id]);
    }
    batches.into_values().collect()
}

/// Whether nothing is in flight or due.
pub(super) fn is_quiet(state: &State, now_milliseconds: u64) -> bool {
    !state.account.deliveries.iter().any(|delivery| {
        delivery.state == DeliveryState::InFlight || delivery.is_due(now_milliseconds)
    })
}

/// A delivery as it is sent.
pub(super) struct Message {
    pub(super) url: String,
    pub(super) body: String,
    pub(super) signature: String,
}

/// Renders and signs the delivery as of now; every attempt has a fresh signature.
pub(super) fn write(state: &State, id: u64) -> Option<Message> {
    let delivery = state
        .account
        .deliveries
        .iter()
        .find(|delivery| delivery.id == id)?;
    let endpoints: Vec<_> = state
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.url == delivery.url)
        .collect();
    let version = delivery
        .version
        .as_deref()
        .or(endpoints.first()?.api_version.as_deref())
        .unwrap_or(API_VERSION);
    let body = if let Some(raw) = &delivery.raw {
        raw.clone()
    } else {
        let event = state.account.events.get(&delivery.event)?;
        pretty(&event.render_for(version))
    };
    Some(Message {
        url: delivery.url.clone(),
        signature: delivery::signature(
            endpoints.iter().map(|endpoint| endpoint.secret.as_str()),
            state.now(),
            &body,
        ),
        body,
    })
}

/// Drops a delivery that cannot be made.
pub(super) fn forget(state: &mut State, id: u64) {
    let deliveries = &mut state.account.deliveries;
    deliveries.retain(|delivery| delivery.id != id);
}

/// Any 2xx acknowledges; everything else is tried again.
pub(super) fn conclude(state: &mut State, id: u64, response: Result<u16, String>) {
    let deliveries = &mut state.account.deliveries;
    let Some(place) = deliveries.iter().position(|delivery| delivery.id == id) else {
        return;
    };
    let Some(delivery) = deliveries.get_mut(place) else {
        return;
    };
    let acknowledged = matches!(response, Ok(200..=299));
    let record = DeliveryRecord {
        event_id: delivery.event.clone(),
        kind: delivery.kind.clone(),
        url: delivery.url.clone(),
        attempt: delivery.failures.saturating_add(1),
        outcome: if acknowledged {
            "acknowledged"
        } else {
            "failed"
        },
        status: response.as_ref().ok().copied(),
        error: response.err(),
    };
    if acknowledged || !delivery.postpone(real_milliseconds()) {
        deliveries.remove(place);
    }
    if acknowledged && let Some(event) = state.account.events.get_mut(&record.event_id) {
        event.pending.retain(|url| *url != record.url);
    }
    state.delivered.push(record);
}
