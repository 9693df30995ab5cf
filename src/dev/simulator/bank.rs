//! Knobs for what people and banks do out of Stripe's sight: pay, settle, refuse and dispute.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::Uri;
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};

use super::dispute::DisputeStatus;
use super::dispute_lifecycle::{self, Complaint, Decision};
use super::knobs::{Knob, Misuse, read, respond};
use super::metadata::Metadata;
use super::payment::{self, Overrides};
use super::payment_method::{Decline, PaymentMethod};
use super::refund::RefundStatus;
use super::refund_lifecycle;
use super::refusal::Refusal;
use super::sandbox::Sandbox;
use super::state::State;
use super::table::Row;

pub(super) fn routes() -> Router<Arc<Sandbox>> {
    Router::new()
        .route("/pay", post(pay))
        .route("/settle", post(settle))
        .route("/refunds/{id}", post(settle_refund))
        .route("/disputes", post(open_dispute))
        .route("/disputes/{id}", post(decide_dispute))
        .route("/fraud_warnings", post(warn_of_fraud))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pay {
    session: String,
    card: Option<String>,
    email: Option<String>,
    name: Option<String>,
    amount: Option<i64>,
    currency: Option<String>,
    metadata: Option<Metadata>,
    #[serde(default)]
    unoffered: bool,
}

/// Pays as a buyer would. A decline is no misuse: `error` says it.
async fn pay(Shared(sandbox): Shared<Arc<Sandbox>>, body: Bytes) -> Knob {
    let wanted: Pay = read(&body)?;
    let paid = sandbox.apply(|state| {
        let number = wanted.card.as_deref().unwrap_or("tok_visa");
        let mut method = PaymentMethod::new(number, state.now());
        method.email = wanted.email;
        method.name = wanted.name;
        let overrides = Overrides {
            amount: wanted.amount,
            currency: wanted.currency,
            metadata: wanted.metadata,
            unoffered: wanted.unoffered,
        };
        events_of(state, &wanted.session, |state| {
            let cause = state.cause();
            payment::pay(
                &mut state.account,
                &wanted.session,
                &method,
                overrides,
                &cause,
            )
        })
    });
    paid.map(|paid| respond(&paid))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settle {
    session: String,
    outcome: Outcome,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Succeeded,
    Failed,
}

/// Finishes a delayed payment method.
async fn settle(Shared(sandbox): Shared<Arc<Sandbox>>, body: Bytes) -> Knob {
    let wanted: Settle = read(&body)?;
    let outcome = match wanted.outcome {
        Outcome::Succeeded => Ok(()),
        Outcome::Failed => Err(Decline::InsufficientFunds),
    };
    let settled = sandbox.apply(|state| {
        events_of(state, &wanted.session, |state| {
            let cause = state.cause();
            payment::settle(&mut state.account, &wanted.session, outcome, &cause)
        })
    });
    settled.map(|settled| respond(&settled))
}

/// Runs `act`, and says what became of the session: its payment intent, the new events, and a
/// decline.
fn events_of(
    state: &mut State,
    session: &str,
    act: impl FnOnce(&mut State) -> Result<(), Refusal>,
) -> Result<Value, Misuse> {
    let before = state.account.events.iter().count();
    let error = match act(state) {
        Ok(()) => None,
        Err(refusal) if refusal.status == 402 => Some(refusal.fields()),
        Err(refusal) => return Err(refusal.into()),
    };
    let events: Vec<&str> = state
        .account
        .events
        .iter()
        .skip(before)
        .map(Row::id)
        .collect();
    let intent = &state.account.session(session)?.payment_intent;
    Ok(json!({ "session": session, "paymentIntent": intent, "events": events, "error": error }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettleRefund {
    status: RefundStatus,
}

/// What the bank says about a refund, perhaps weeks later.
async fn settle_refund(Shared(sandbox): Shared<Arc<Sandbox>>, uri: Uri, body: Bytes) -> Knob {
    let wanted: SettleRefund = read(&body)?;
    let id = uri.path().rsplit('/').next().unwrap_or_default();
    let settled = sandbox.apply(|state| {
        let cause = state.cause();
        refund_lifecycle::settle(&mut state.account, id, wanted.status, &cause)
    });
    Ok(respond(&settled?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OpenDispute {
    payment_intent: String,
    #[serde(default = "fraudulent")]
    reason: String,
    /// The bank asks first, and takes nothing back.
    #[serde(default)]
    warning: bool,
    /// Less than all that was not refunded, or more.
    amount: Option<i64>,
}

fn fraudulent() -> String {
    "fraudulent".to_owned()
}

/// The buyer complains to the bank.
async fn open_dispute(Shared(sandbox): Shared<Arc<Sandbox>>, body: Bytes) -> Knob {
    let wanted: OpenDispute = read(&body)?;
    let opened = sandbox.apply(|state| {
        let cause = state.cause();
        let intent = &wanted.payment_intent;
        let status = if wanted.warning {
            DisputeStatus::WarningNeedsResponse
        } else {
            DisputeStatus::NeedsResponse
        };
        let complaint = Complaint {
            reason: wanted.reason,
            status,
            amount: wanted.amount,
        };
        dispute_lifecycle::open(&mut state.account, intent, &complaint, &cause)
    });
    Ok(respond(&opened?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WarnOfFraud {
    payment_intent: String,
}

async fn warn_of_fraud(Shared(sandbox): Shared<Arc<Sandbox>>, body: Bytes) -> Knob {
    let wanted: WarnOfFraud = read(&body)?;
    let warned = sandbox.apply(|state| {
        let cause = state.cause();
        let fraud_type = "unauthorized_use_of_card";
        dispute_lifecycle::warn(
            &mut state.account,
            &wanted.payment_intent,
            fraud_type,
            &cause,
        )
    });
    Ok(respond(&warned?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecideDispute {
    status: DisputeStatus,
    /// How much the bank gives back, if that is not as the status says.
    reinstated: Option<i64>,
}

async fn decide_dispute(Shared(sandbox): Shared<Arc<Sandbox>>, uri: Uri, body: Bytes) -> Knob {
    let wanted: DecideDispute = read(&body)?;
    let id = uri.path().rsplit('/').next().unwrap_or_default();
    let decided = sandbox.apply(|state| {
        let cause = state.cause();
        let decision = Decision {
            status: wanted.status,
            reinstated: wanted.reinstated,
        };
        dispute_lifecycle::decide(&mut state.account, id, &decision, &cause)
    });
    Ok(respond(&decided?))
}
