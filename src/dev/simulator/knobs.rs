//! What tests and developers turn: routes below `/_simulator`, JSON in and JSON out, which Stripe
//! does not have.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::chaos::Chaos;
use super::delivery::DeliveryPlan;
use super::event::{API_VERSION, Event};
use super::fault::Fault;
use super::ids;
use super::outbox;
use super::refusal::Refusal;
use super::rendering::pretty;
use super::sandbox::Sandbox;

pub(super) type Knob = Result<Response, Misuse>;

/// A knob that was turned the wrong way: a mistake in a test, said plainly.
#[derive(Debug)]
pub(super) struct Misuse {
    status: StatusCode,
    message: String,
}

impl From<Refusal> for Misuse {
    fn from(refusal: Refusal) -> Self {
        Self {
            status: StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST),
            message: refusal.message().to_owned(),
        }
    }
}

impl IntoResponse for Misuse {
    fn into_response(self) -> Response {
        (self.status, respond(&json!({ "error": self.message }))).into_response()
    }
}

pub(super) fn routes() -> Router<Arc<Sandbox>> {
    Router::new()
        .route("/faults", post(inject_fault))
        .route("/chaos", get(show_chaos).post(set_chaos))
        .route("/deliveries", get(list_deliveries).post(plan_deliveries))
        .route("/deliver_due", post(deliver_due))
        .route("/settled", get(settled))
        .route("/clock", get(show_clock).post(move_clock))
        .route("/events", post(emit))
        .route("/requests", get(list_requests))
        .route("/sessions", get(list_sessions))
        .route("/reset", post(reset))
}

pub(super) fn respond(value: &Value) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (content_type, pretty(value)).into_response()
}

/// Reads the knob's setting; nothing sent is an empty object.
pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Misuse> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Misuse {
        status: StatusCode::BAD_REQUEST,
        message: error.to_string(),
    })
}

async fn inject_fault(Shared(sandbox): Shared<Arc<Sandbox>>, body: Bytes) -> Knob {
    let fault: Fault = read(&body)?;
    sandbox.peek(|state| state.faults.push(fault));
    Ok(respond(&json!({ "injected": true })))
}

/// Lets things go wrong by chance, as the setting says: `{"seed": 42}` as often as usual. Nothing,
/// or `{}`, ends it.
async fn set_chaos(Shared(sandbox): Shared<Arc<Sandbox>>, body: Bytes) -> Knob {
    let wanted: Map<String, Value> = read(&body)?;
    let chaos = if wanted.is_empty() {
        None
    } else {
        Some(Chaos::new(read(&body)?))
    };
    let seed = wanted.get("seed").cloned();
    sandbox.apply(|state| state.set_chaos(chaos));
    Ok(respond(&json!({ "seed": seed })))
}

/// What has gone wrong by chance since it was set, to compare two runs.
async fn show_chaos(Shared(sandbox): Shared<Arc<Sandbox>>) -> Response {
    respond(&sandbox.peek(|state| state.chaos.as_ref().map_or(Value::Null, Chaos::report)))
}

async fn plan_deliveries(Shared(sandbox): Shared<Arc<Sandbox>>, body: Bytes) -> Knob {
    let plan: DeliveryPlan = read(&body)?;
    sandbox.peek(|state| state.plan = plan);
    Ok(respond(&json!({ "planned": true })))
}

async fn list_deliveries(Shared(sandbox): Shared<Arc<Sandbox>>) -> Response {
    respond(&sandbox.peek(|state| json!(state.delivered.records())))
}

async fn list_requests(Shared(sandbox): Shared<Arc<Sandbox>>) -> Response {
    respond(&sandbox.peek(|state| json!(state.requests.records())))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Order {
    ByAge(AgeOrder),
    Events(Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum AgeOrder {
    Created,
    Reverse,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeliverDue {
    order: Option<Order>,
}

/// Delivers everything held or waiting for a retry, one after the other, and answers when that is
/// done.
async fn deliver_due(Shared(sandbox): Shared<Arc<Sandbox>>, body: Bytes) -> Knob {
    let wanted: DeliverDue = read(&body)?;
    let (events, batches) = sandbox.peek(|state| {
        let mut events = outbox::waiting(state);
        match wanted.order {
            None | Some(Order::ByAge(AgeOrder::Created)) => {}
            Some(Order::ByAge(AgeOrder::Reverse)) => events.reverse(),
            Some(Order::Events(order)) => events = order,
        }
        let batches = outbox::due_now(state, Some(&events));
        (events, batches)
    });
    sandbox.launch(batches).wait().await;
    Ok(respond(&json!({ "events": events })))
}

async fn settled(Shared(sandbox): Shared<Arc<Sandbox>>) -> Response {
    sandbox.settled().await;
    respond(&json!({ "settled": true }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MoveClock {
    now: Option<DateTime<Utc>>,
    advance_seconds: Option<i64>,
}

async fn show_clock(Shared(sandbox): Shared<Arc<Sandbox>>) -> Response {
    respond(&sandbox.peek(|state| json!({ "now": state.clock.now() })))
}

/// Moves the clock; sessions whose time has come expire at once.
async fn move_clock(Shared(sandbox): Shared<Arc<Sandbox>>, body: Bytes) -> Knob {
    let wanted: MoveClock = read(&body)?;
    let now = sandbox.peek(|state| {
        if let Some(now) = wanted.now {
            state.clock.stand_at(now);
        }
        let by = wanted.advance_seconds.and_then(TimeDelta::try_seconds);
        state.clock.advance(by.unwrap_or_default());
        state.clock.now()
    });
    sandbox.apply(|_| ());
    Ok(respond(&json!({ "now": now })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Emit {
    #[serde(rename = "type")]
    kind: Option<String>,
    object: Option<Value>,
    previous_attributes: Option<Value>,
    id: Option<String>,
    created: Option<i64>,
    livemode: Option<bool>,
    raw: Option<String>,
}

/// Sends any event, or any bytes, to the endpoints.
async fn emit(Shared(sandbox): Shared<Arc<Sandbox>>, body: Bytes) -> Knob {
    let wanted: Emit = read(&body)?;
    if let Some(raw) = wanted.raw {
        let batches = sandbox.peek(|state| outbox::send_raw(state, &raw));
        drop(sandbox.launch(batches));
        return Ok(respond(&json!({ "sent": true })));
    }
    let (Some(kind), Some(object)) = (wanted.kind, wanted.object) else {
        return Err(Misuse {
            status: StatusCode::BAD_REQUEST,
            message: "either `raw`, or `type` and `object`".to_owned(),
        });
    };
    let id = wanted.id.unwrap_or_else(|| ids::object_id("evt"));
    let event = sandbox.apply(|state| {
        let event = Event {
            id,
            kind,
            created: wanted.created.unwrap_or_else(|| state.now()),
            object,
            previous_attributes: wanted.previous_attributes,
            livemode: wanted.livemode.unwrap_or(false),
            request_id: None,
            idempotency_key: None,
            pending: Vec::new(),
        };
        let rendered = event.render_for(API_VERSION);
        state.account.record(event);
        rendered
    });
    Ok(respond(&event))
}

/// Every session, oldest first, those included whose creation is not answered yet.
async fn list_sessions(Shared(sandbox): Shared<Arc<Sandbox>>) -> Response {
    let sessions = sandbox.apply(|state| {
        let summaries = state.account.sessions.iter().map(|session| {
            json!({
                "id": session.id, "status": session.status, "paymentStatus": session.payment_status,
                "paymentIntent": session.payment_intent, "answered": session.answered,
                "metadata": session.metadata, "clientReferenceId": session.client_reference_id,
                "expiresAt": session.expires_at, "amountTotal": session.amount_total,
                "currency": session.currency, "url": session.url,
            })
        });
        Value::Array(summaries.collect())
    });
    respond(&sessions)
}

async fn reset(Shared(sandbox): Shared<Arc<Sandbox>>) -> Response {
    sandbox.reset();
    respond(&json!({ "reset": true }))
}
