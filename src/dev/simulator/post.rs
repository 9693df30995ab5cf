//! The post office: turns new events into deliveries, makes them, and notes what became of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use serde_json::Value;
use tokio::task::JoinSet;

use super::chaos::{self, Fate};
use super::delivery::{self, Delivery, DeliveryState};
use super::event::API_VERSION;
use super::journal::DeliveryRecord;
use super::sandbox::{Sandbox, State, real_milliseconds};

const STRIPE_USER_AGENT: &str = "Stripe/1.0 (+https://stripe.com/docs/webhooks)";

/// Deliveries to one endpoint: one round after the other, those of a round at once. Batches of
/// different causes run side by side, since Stripe promises no order; who needs one waits until the
/// first has settled.
#[derive(Debug, Default)]
pub(super) struct Batch {
    rounds: Vec<Vec<u64>>,
}

/// Makes deliveries of the events that have none, as the plan says. What is not held is in flight
/// from here on.
pub(super) fn collect(state: &mut State) -> Vec<Batch> {
    let mut batches: BTreeMap<String, Batch> = BTreeMap::new();
    for id in std::mem::take(&mut state.account.unsent) {
        chaos::observe(state, &id);
        for url in urls(state) {
            let Some(event) = state.account.events.get_mut(&id) else {
                continue;
            };
            if !event.pending.contains(&url) {
                event.pending.push(url.clone());
            }
            let kind = event.kind.clone();
            let fate = chaos::fate(state, &id);
            let round = address(state, (&id, &kind, None), &url, &fate);
            if !round.is_empty() {
                let rounds = &mut batches.entry(url).or_default().rounds;
                rounds.insert(if fate.first { 0 } else { rounds.len() }, round);
            }
        }
    }
    batches.into_values().collect()
}

/// Sends `raw`, signed, to every endpoint, without an event behind it.
pub(super) fn send_raw(state: &mut State, raw: &String) -> Vec<Batch> {
    let mut batches = Vec::new();
    for url in urls(state) {
        let round = address(state, ("raw", "raw", Some(raw)), &url, &Fate::default());
        batches.push(Batch {
            rounds: vec![round],
        });
    }
    batches
}

/// Each address once: two endpoints of one address are one whose secret is being rolled.
fn urls(state: &State) -> BTreeSet<String> {
    state
        .endpoints
        .iter()
        .map(|endpoint| endpoint.url.clone())
        .collect()
}

/// The deliveries of one event to one endpoint that begin now.
fn address(
    state: &mut State,
    what: (&str, &str, Option<&String>),
    url: &str,
    fate: &Fate,
) -> Vec<u64> {
    let (event, kind, raw) = what;
    let plan = state.plan.of(kind);
    let dropped = |attempt| DeliveryRecord {
        event_id: event.to_owned(),
        kind: kind.to_owned(),
        url: url.to_owned(),
        attempt,
        outcome: "dropped",
        status: None,
        error: None,
    };
    if plan.drop || fate.lost {
        state.delivered.push(dropped(0));
        return Vec::new();
    }
    let mut round = Vec::new();
    let copies = plan.copies.saturating_add(fate.copies_more);
    for copy in 1..=copies {
        state.last_delivery = state.last_delivery.saturating_add(1);
        let due = fate.due.filter(|_| copy == copies);
        let start = due.map_or(DeliveryState::InFlight, |due| DeliveryState::Retry { due });
        let mut delivery = Delivery {
            id: state.last_delivery,
            event: event.to_owned(),
            kind: kind.to_owned(),
            raw: raw.cloned(),
            url: url.to_owned(),
            failures: 0,
            state: if plan.hold {
                DeliveryState::Held
            } else {
                start
            },
            version: fate.version.clone(),
        };
        if fate.dropped && copy == copies && !plan.hold {
            delivery.postpone(real_milliseconds());
            state.delivered.push(dropped(delivery.failures));
        }
        if delivery.state == DeliveryState::InFlight {
            round.push(delivery.id);
        }
        state.account.deliveries.push(delivery);
    }
    round
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

/// Makes one attempt at each delivery of the batch.
pub(super) async fn deliver(sandbox: &Arc<Sandbox>, batch: Batch) {
    for round in batch.rounds {
        let mut copies = JoinSet::new();
        for id in round {
            let sandbox = Arc::clone(sandbox);
            copies.spawn(async move { attempt(&sandbox, id).await });
        }
        while copies.join_next().await.is_some() {}
    }
}

async fn attempt(sandbox: &Sandbox, id: u64) {
    let Some(message) = sandbox.peek(|state| write(state, id)) else {
        // Its endpoint is gone: there is nothing to wait for.
        sandbox.peek(|state| {
            state
                .account
                .deliveries
                .retain(|delivery| delivery.id != id);
        });
        sandbox.attempted.notify_waiters();
        return;
    };
    let sent = sandbox
        .client
        .post(&message.url)
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .header(USER_AGENT, STRIPE_USER_AGENT)
        .header("Cache-Control", "no-cache")
        .header("Stripe-Signature", message.signature)
        .body(message.body)
        .send()
        .await;
    let answer = sent
        .map(|response| response.status().as_u16())
        .map_err(|error| error.to_string());
    sandbox.peek(|state| conclude(state, id, answer));
    sandbox.attempted.notify_waiters();
}

struct Message {
    url: String,
    body: String,
    signature: String,
}

/// Renders and signs the delivery as of now; every attempt has a fresh signature.
fn write(state: &State, id: u64) -> Option<Message> {
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

/// Any 2xx acknowledges; everything else is tried again.
fn conclude(state: &mut State, id: u64, answer: Result<u16, String>) {
    let deliveries = &mut state.account.deliveries;
    let Some(place) = deliveries.iter().position(|delivery| delivery.id == id) else {
        return;
    };
    let Some(delivery) = deliveries.get_mut(place) else {
        return;
    };
    let acknowledged = matches!(answer, Ok(200..=299));
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
        status: answer.as_ref().ok().copied(),
        error: answer.err(),
    };
    if acknowledged || !delivery.postpone(real_milliseconds()) {
        deliveries.remove(place);
    }
    if acknowledged && let Some(event) = state.account.events.get_mut(&record.event_id) {
        event.pending.retain(|url| *url != record.url);
    }
    state.delivered.push(record);
}

/// Two spaces of indentation, as Stripe sends and answers.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
