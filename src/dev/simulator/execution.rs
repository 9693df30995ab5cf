//! Executes an API request once per idempotency key, and renders what comes of it.

use std::sync::Arc;

use serde_json::Value;

use super::account::Cause;
use super::api::{self, Call};
use super::chaos;
use super::form;
use super::idempotency::{self, Fingerprint, KeptAnswer};
use super::intake::{Answer, Incoming};
use super::parameters::Parameters;
use super::post;
use super::refusal::Refusal;
use super::sandbox::{Attempted, Sandbox, State};

/// Answers with what was kept, or executes.
pub(super) fn perform(sandbox: &Arc<Sandbox>, incoming: &Incoming) -> (Answer, Attempted) {
    match sandbox.peek(|state| claim(state, incoming)) {
        Some(answer) => (answer, Attempted::default()),
        None => execute_now(sandbox, incoming),
    }
}

/// The idempotency layer before execution: `Some` is the whole answer, `None` lets the request
/// through.
pub(super) fn claim(state: &mut State, incoming: &Incoming) -> Option<Answer> {
    let key = incoming.idempotency_key()?;
    let fingerprint = Fingerprint::new(&incoming.path, incoming.pairs());
    let now = state.now();
    match idempotency::claim(&mut state.account, key, fingerprint, now) {
        Ok(None) => None,
        Ok(Some(kept)) => Some(Answer {
            original_request: Some(kept.request_id),
            ..Answer::json(kept.status, kept.body)
        }),
        Err(refusal) => Some(refused(incoming, &refusal)),
    }
}

/// Executes a request that holds its key, and keeps or frees the key. The wait is only for plans
/// that deliver before the answer.
pub(super) fn execute_now(sandbox: &Arc<Sandbox>, incoming: &Incoming) -> (Answer, Attempted) {
    let ((answer, before_answer), attempted) = sandbox.change(|state| {
        let call = Call {
            method: &incoming.method,
            path: &incoming.path,
            parameters: Parameters::new(form::tree(&incoming.pairs())),
            base_url: &sandbox.base_url,
            cause: Cause {
                now: state.now(),
                request_id: Some(incoming.request_id.clone()),
                idempotency_key: incoming.idempotency_key().map(ToOwned::to_owned),
            },
        };
        let result = api::execute(&mut state.account, call);
        let executed = result
            .as_ref()
            .map_or_else(|refusal| refusal.executed, |_| true);
        let answer = match result {
            Ok(object) => Answer::json(200, post::pretty(&object)),
            Err(refusal) => refused(incoming, &refusal),
        };
        conclude(state, incoming, &answer, executed);
        (
            answer,
            state.plan.before_answer || chaos::is_early(state, incoming),
        )
    });
    let attempted = if before_answer {
        attempted
    } else {
        Attempted::default()
    };
    (answer, attempted)
}

/// Keeps the answer if something was executed, and frees the key if not.
pub(super) fn conclude(state: &mut State, incoming: &Incoming, answer: &Answer, executed: bool) {
    let Some(key) = incoming.idempotency_key() else {
        return;
    };
    let kept = executed.then(|| KeptAnswer {
        status: answer.status,
        body: answer.body.clone(),
        request_id: incoming.request_id.clone(),
    });
    idempotency::conclude(&mut state.account, key, kept);
}

/// The error as an answer.
pub(super) fn refused(incoming: &Incoming, refusal: &Refusal) -> Answer {
    let body = post::pretty(&refusal.body(&incoming.request_id));
    let mut answer = Answer::json(refusal.status, body);
    if refusal.status == 401 {
        let challenge = ("www-authenticate", "Basic realm=\"Stripe\"".to_owned());
        answer.headers.push(challenge);
    }
    answer
}

/// The session that the answered request has created, if that is what it did.
pub(super) fn created_session(incoming: &Incoming, answer: &Answer) -> Option<String> {
    if incoming.method != "POST" || incoming.path != "/v1/checkout/sessions" {
        return None;
    }
    let object: Value = serde_json::from_str(&answer.body).ok()?;
    object.get("id")?.as_str().map(ToOwned::to_owned)
}
