//! An API request that goes wrong, as a test or chance wants it.

use serde_json::Value;

use super::api_request::ApiRequest;
use super::api_response::ApiResponse;
use super::execution::{claim, conclude, execute_now, perform};
use super::fault::{Fault, FaultKind};
use super::payment::{self, Overrides};
use super::payment_method::PaymentMethod;
use super::refusal::Refusal;
use super::sandbox::Sandbox;

/// How a request ends for its client.
#[derive(Debug)]
pub(super) enum Ending {
    Answered(ApiResponse),
    /// The connection closes without a response.
    Cut,
    /// The client waits until it gives up.
    Silence,
}

/// Runs an authentic request under the fault.
pub(super) async fn run(sandbox: &Sandbox, request: &ApiRequest, fault: &Fault) -> Ending {
    match fault.kind {
        FaultKind::Reset => return Ending::Cut,
        FaultKind::Hang if !fault.after => return Ending::Silence,
        FaultKind::Status => return Ending::Answered(fail(sandbox, request, fault)),
        FaultKind::Delay if !fault.after => {
            return Ending::Answered(perform_late(sandbox, request, fault).await);
        }
        FaultKind::Hang
        | FaultKind::Delay
        | FaultKind::LostAnswer
        | FaultKind::Garbage
        | FaultKind::Altered
        | FaultKind::PayThenAnswer => {}
    }
    let (mut response, attempted) = perform(sandbox, request);
    attempted.wait().await;
    match fault.kind {
        FaultKind::LostAnswer => return Ending::Cut,
        FaultKind::Hang => return Ending::Silence,
        FaultKind::Delay => tokio::time::sleep(fault.duration()).await,
        FaultKind::Garbage => "<html>not what you asked for".clone_into(&mut response.body),
        FaultKind::Altered => alter(&mut response, fault),
        FaultKind::PayThenAnswer => pay_created(sandbox, request, &response).await,
        FaultKind::Status | FaultKind::Reset => {}
    }
    Ending::Answered(response)
}

/// Puts the members of the fault in the place of those of the answer.
fn alter(response: &mut ApiResponse, fault: &Fault) {
    if let Ok(Value::Object(mut object)) = serde_json::from_str(&response.body) {
        object.extend(fault.members.clone());
        response.body = Value::Object(object).to_string();
    }
}

/// The request is in progress from now on, and executes when the delay is over.
async fn perform_late(sandbox: &Sandbox, request: &ApiRequest, fault: &Fault) -> ApiResponse {
    if let Some(response) = sandbox.peek(|state| claim(state, request)) {
        return response;
    }
    tokio::time::sleep(fault.duration()).await;
    let (response, attempted) = execute_now(sandbox, request);
    attempted.wait().await;
    response
}

/// The response of an injected status, stored under the key if the fault says that execution had
/// begun.
fn fail(sandbox: &Sandbox, request: &ApiRequest, fault: &Fault) -> ApiResponse {
    let response = injected(request, fault);
    if !fault.stored {
        return response;
    }
    if let Some(stored) = sandbox.peek(|state| claim(state, request)) {
        return stored;
    }
    if fault.after {
        // Nobody waits for the events: the caller hears of a failure.
        drop(execute_now(sandbox, request));
    }
    sandbox.peek(|state| conclude(state, request, &response, true));
    response
}

fn injected(request: &ApiRequest, fault: &Fault) -> ApiResponse {
    let status = fault.status.unwrap_or(500);
    let (kind, code, message) = match status {
        429 => (
            "invalid_request_error",
            Some("rate_limit"),
            "Request rate limit exceeded. Learn more about rate limits here \
             https://docs.stripe.com/rate-limits.",
        ),
        500.. => ("api_error", None, "An unknown error occurred."),
        402 => (
            "card_error",
            Some("card_declined"),
            "Your card was declined.",
        ),
        _ => (
            "invalid_request_error",
            None,
            "The request was refused, as a test asked for.",
        ),
    };
    let mut refusal = Refusal::new(status, kind, message);
    if let Some(code) = fault.code.as_deref().or(code) {
        refusal = refusal.code(code);
    }
    let mut response = ApiResponse::refusal(request, &refusal);
    if (502..=504).contains(&status) {
        // These come from a proxy, which knows no JSON.
        response.content_type = "text/html";
        response.body = format!("<html><body><h1>{status}</h1></body></html>");
    }
    // A lock timeout is a 429 of another kind: it names no limit.
    if status == 429 && fault.code.as_deref() != Some("lock_timeout") {
        let reason = ("stripe-rate-limited-reason", "global-rate".to_owned());
        response.headers.push(reason);
    }
    let retry_after_seconds = fault.duration().as_secs();
    if retry_after_seconds > 0 {
        let wait = ("retry-after", retry_after_seconds.to_string());
        response.headers.push(wait);
    }
    if let Some(should_retry) = fault.should_retry {
        let retry = ("stripe-should-retry", should_retry.to_string());
        response.headers.push(retry);
    }
    response
}

/// The buyer was faster than the response: the session is paid and its events delivered before it
/// goes out.
async fn pay_created(sandbox: &Sandbox, request: &ApiRequest, response: &ApiResponse) {
    let Some(session) = response.created_session(request) else {
        return;
    };
    let (paid, attempted) = sandbox.change(|state| {
        let method = PaymentMethod::new("tok_visa", state.now());
        let cause = state.cause();
        payment::pay(
            &mut state.account,
            &session,
            &method,
            Overrides::default(),
            &cause,
        )
    });
    if let Err(refusal) = paid {
        tracing::warn!(
            reason = refusal.message(),
            "the session could not be paid before the response"
        );
    }
    attempted.wait().await;
}
