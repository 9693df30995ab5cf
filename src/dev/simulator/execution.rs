//! Executes an API request once per idempotency key, and renders what comes of it.

use super::account::Cause;
use super::api::{self, Call};
use super::api_request::ApiRequest;
use super::api_response::ApiResponse;
use super::form;
use super::idempotency;
use super::parameters::Parameters;
use super::rendering::pretty;
use super::sandbox::{Attempted, Sandbox};
use super::state::State;
use super::stored_response::{Fingerprint, StoredResponse};

/// Answers with what was stored, or executes.
pub(super) fn perform(sandbox: &Sandbox, request: &ApiRequest) -> (ApiResponse, Attempted) {
    match sandbox.peek(|state| claim(state, request)) {
        Some(response) => (response, Attempted::default()),
        None => execute_now(sandbox, request),
    }
}

/// The idempotency layer before execution: `Some` is the whole response, `None` lets the request
/// through.
pub(super) fn claim(state: &mut State, request: &ApiRequest) -> Option<ApiResponse> {
    let key = request.idempotency_key()?;
    let fingerprint = Fingerprint::new(&request.path, request.pairs());
    let now = state.now();
    match idempotency::claim(&mut state.account, key, fingerprint, now) {
        Ok(None) => None,
        Ok(Some(stored)) => Some(ApiResponse {
            original_request: Some(stored.request_id),
            ..ApiResponse::json(stored.status, stored.body)
        }),
        Err(refusal) => Some(ApiResponse::refusal(request, &refusal)),
    }
}

/// Executes a request that holds its key, and stores the response or frees the key. The wait is
/// only for plans that deliver before the response.
pub(super) fn execute_now(sandbox: &Sandbox, request: &ApiRequest) -> (ApiResponse, Attempted) {
    let ((response, is_late), attempted) = sandbox.change(|state| {
        let call = Call {
            method: &request.method,
            path: &request.path,
            parameters: Parameters::new(form::tree(&request.pairs())),
            base_url: &sandbox.base_url,
            cause: Cause {
                now: state.now(),
                request_id: Some(request.request_id.clone()),
                idempotency_key: request.idempotency_key().map(ToOwned::to_owned),
            },
        };
        let result = api::execute(&mut state.account, call);
        let executed = result
            .as_ref()
            .map_or_else(|refusal| refusal.executed, |_| true);
        let response = match result {
            Ok(object) => ApiResponse::json(200, pretty(&object)),
            Err(refusal) => ApiResponse::refusal(request, &refusal),
        };
        conclude(state, request, &response, executed);
        (response, state.is_answered_late(request))
    });
    let attempted = if is_late {
        attempted
    } else {
        Attempted::default()
    };
    (response, attempted)
}

/// Stores the response if something was executed, and frees the key if not.
pub(super) fn conclude(
    state: &mut State,
    request: &ApiRequest,
    response: &ApiResponse,
    executed: bool,
) {
    let Some(key) = request.idempotency_key() else {
        return;
    };
    let stored = executed.then(|| StoredResponse {
        status: response.status,
        body: response.body.clone(),
        request_id: request.request_id.clone(),
    });
    idempotency::conclude(&mut state.account, key, stored);
}
