//! Events: what happened, with the object as it was then
//! (<https://docs.stripe.com/api/events/object>).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::table::Row;

/// The version whose shapes the simulator renders.
pub(super) const API_VERSION: &str = "2026-09-30.endive";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) created: i64,
    pub(super) object: Value,
    pub(super) previous_attributes: Option<Value>,
    pub(super) livemode: bool,
    pub(super) request_id: Option<String>,
    pub(super) idempotency_key: Option<String>,
    /// The endpoints that have not acknowledged it.
    pub(super) pending: Vec<String>,
}

impl Event {
    /// The event as an endpoint of `api_version` receives it.
    pub(super) fn render_for(&self, api_version: &str) -> Value {
        let mut data = Map::new();
        data.insert("object".into(), self.object.clone());
        if let Some(previous) = &self.previous_attributes {
            data.insert("previous_attributes".into(), previous.clone());
        }
        json!({
            "id": self.id, "object": "event", "api_version": api_version, "created": self.created,
            "data": data, "livemode": self.livemode, "pending_webhooks": self.pending.len(),
            "request": { "id": self.request_id, "idempotency_key": self.idempotency_key },
            "type": self.kind,
        })
    }
}

impl Row for Event {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn render(&self) -> Value {
        self.render_for(API_VERSION)
    }
}
