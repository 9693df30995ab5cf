//! The sandbox account: every object in it, and the events that changes to them cause. This is what
//! survives a restart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::charge::Charge;
use super::checkout_session::CheckoutSession;
use super::delivery::Delivery;
use super::dispute::Dispute;
use super::event::Event;
use super::ids;
use super::payment_intent::PaymentIntent;
use super::payment_method::PaymentMethod;
use super::refund::Refund;
use super::refusal::Refusal;
use super::stored_response::KeyUse;
use super::table::{Row, Table};

/// Why something changes: the time, and the API request if there was one.
#[derive(Debug, Clone, Default)]
pub(super) struct Cause {
    /// Unix seconds on the simulator's clock.
    pub(super) now: i64,
    pub(super) request_id: Option<String>,
    pub(super) idempotency_key: Option<String>,
}

impl Cause {
    /// The passing of time, or somebody at the dashboard.
    pub(super) fn at(now: i64) -> Self {
        Self {
            now,
            ..Self::default()
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Account {
    pub(super) sessions: Table<CheckoutSession>,
    pub(super) intents: Table<PaymentIntent>,
    pub(super) charges: Table<Charge>,
    pub(super) refunds: Table<Refund>,
    pub(super) disputes: Table<Dispute>,
    pub(super) payment_methods: Table<PaymentMethod>,
    pub(super) events: Table<Event>,
    /// What each idempotency key was first used for.
    pub(super) key_uses: BTreeMap<String, KeyUse>,
    /// Deliveries that are waiting, held or being made.
    pub(super) deliveries: Vec<Delivery>,
    /// Events that nobody has made deliveries of yet.
    #[serde(skip)]
    pub(super) unsent: Vec<String>,
    /// No open session expires before this Unix second.
    #[serde(skip)]
    pub(super) quiet_until: i64,
}

impl Account {
    /// Records an event with `object` as it is now.
    pub(super) fn emit(&mut self, cause: &Cause, kind: &str, object: Value) {
        self.emit_change(cause, kind, object, None);
    }

    /// Records an event that says what the changed attributes were before.
    pub(super) fn emit_change(
        &mut self,
        cause: &Cause,
        kind: &str,
        object: Value,
        previous_attributes: Option<Value>,
    ) {
        let event = Event {
            id: ids::object_id("evt"),
            kind: kind.to_owned(),
            created: cause.now,
            object,
            previous_attributes,
            livemode: false,
            request_id: cause.request_id.clone(),
            idempotency_key: cause.idempotency_key.clone(),
            pending: Vec::new(),
        };
        self.record(event);
    }

    pub(super) fn record(&mut self, event: Event) {
        self.unsent.push(event.id.clone());
        self.events.insert(event);
    }

    pub(super) fn session_mut(&mut self, id: &str) -> Result<&mut CheckoutSession, Refusal> {
        self.sessions
            .get_mut(id)
            .ok_or_else(|| Refusal::no_such("checkout.session", id, "session"))
    }

    pub(super) fn session(&self, id: &str) -> Result<&CheckoutSession, Refusal> {
        self.sessions
            .get(id)
            .ok_or_else(|| Refusal::no_such("checkout.session", id, "session"))
    }

    /// Any object that other objects refer to by id.
    pub(super) fn render(&self, id: &str) -> Option<Value> {
        let (prefix, _) = id.split_once('_')?;
        match prefix {
            "pi" => self.intents.get(id).map(Row::render),
            "ch" => self.charges.get(id).map(Row::render),
            "re" => self.refunds.get(id).map(Row::render),
            "du" => self.disputes.get(id).map(Row::render),
            "pm" => self.payment_methods.get(id).map(Row::render),
            "cs" => self.sessions.get(id).map(Row::render),
            _ => None,
        }
    }
}
