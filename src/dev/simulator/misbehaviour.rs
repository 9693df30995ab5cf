//! An API request that goes wrong, as a test has planted it.

use std::sync::Arc;

use super::execution::{claim, conclude, created_session, execute_now, perform, refused};
use super::fault::{Fault, FaultKind};
use super::intake::{Answer, Incoming};
use super::payment::{self, Overrides};
use super::payment_method::PaymentMethod;
use super::refusal::Refusal;
use super::sandbox::Sandbox;

/// How a request ends for its client.
#[derive(Debug)]
pub(super) enum Ending {
    Answered(Answer),
    /// The connection closes without an answer.
    Cut,
    /// The client waits until it gives up.
    Silence,
}

/// Runs an authentic request under the fault.
pub(super) async fn run(sandbox: &Arc<Sandbox>, incoming: &Incoming, fault: &Fault) -> Ending {
    match fault.kind {
        FaultKind::Reset => return Ending::Cut,
        FaultKind::Hang if !fault.after => return Ending::Silence,
        FaultKind::Status => return Ending::Answered(fail(sandbox, incoming, fault)),
        FaultKind::Delay if !fault.after => {
            return Ending::Answered(perform_late(sandbox, incoming, fault).await);
        }
        FaultKind::Hang
        | FaultKind::Delay
        | FaultKind::LostAnswer
        | FaultKind::Garbage
        | FaultKind::PayThenAnswer => {}
    }
    let (mut answer, attempted) = perform(sandbox, incoming);
    attempted.wait().await;
    match fault.kind {
        FaultKind::LostAnswer => return Ending::Cut,
        FaultKind::Hang => return Ending::Silence,
        FaultKind::Delay => tokio::time::sleep(fault.duration()).await,
        FaultKind::Garbage => "<html>not what you asked for".clone_into(&mut answer.body),
        FaultKind::PayThenAnswer => pay_created(sandbox, incoming, &answer).await,
        FaultKind::Status | FaultKind::Reset => {}
    }
    Ending::Answered(answer)
}

/// The request is in progress from now on, and executes when the delay is over.
async fn perform_late(sandbox: &Arc<Sandbox>, incoming: &Incoming, fault: &Fault) -> Answer {
    if let Some(answer) = sandbox.peek(|state| claim(state, incoming)) {
        return answer;
    }
    tokio::time::sleep(fault.duration()).await;
    let (answer, attempted) = execute_now(sandbox, incoming);
    attempted.wait().await;
    answer
}

/// The answer of a planted status, kept under the key if the fault says that execution had begun.
fn fail(sandbox: &Arc<Sandbox>, incoming: &Incoming, fault: &Fault) -> Answer {
    let answer = planted(incoming, fault);
    if !fault.stored {
        return answer;
    }
    if let Some(kept) = sandbox.peek(|state| claim(state, incoming)) {
        return kept;
    }
    if fault.after {
        // Nobody waits for the events: the caller hears of a failure.
        drop(execute_now(sandbox, incoming));
    }
    sandbox.peek(|state| conclude(state, incoming, &answer, true));
    answer
}

fn planted(incoming: &Incoming, fault: &Fault) -> Answer {
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
    let mut answer = refused(incoming, &refusal);
    if (502..=504).contains(&status) {
        // These come from a proxy, which knows no JSON.
        answer.content_type = "text/html";
        answer.body = format!("<html><body><h1>{status}</h1></body></html>");
    }
    // A lock timeout is a 429 of another kind: it names no limit.
    if status == 429 && fault.code.as_deref() != Some("lock_timeout") {
        let reason = ("stripe-rate-limited-reason", "global-rate".to_owned());
        answer.headers.push(reason);
    }
    if let Some(should_retry) = fault.should_retry {
        let retry = ("stripe-should-retry", should_retry.to_string());
        answer.headers.push(retry);
    }
    answer
}

/// The buyer was faster than the answer: the session is paid and its events delivered before it
/// goes out.
async fn pay_created(sandbox: &Arc<Sandbox>, incoming: &Incoming, answer: &Answer) {
    let Some(session) = created_session(incoming, answer) else {
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
            "the session could not be paid before the answer"
        );
    }
    attempted.wait().await;
}
