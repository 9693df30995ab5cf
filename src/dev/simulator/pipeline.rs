//! The way of an API request: authentication, then the fault a test has planted, then the idempotency layer, then the
//! route. Requests run to their end even when the client has left, as at Stripe.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use tokio::sync::oneshot;

use super::account::Cause;
use super::api::{self, Call};
use super::fault::{self, Fault, FaultKind};
use super::form;
use super::idempotency::{self, Fingerprint, KeptAnswer};
use super::intake::{Answer, Incoming};
use super::line::Line;
use super::parameters::Parameters;
use super::payment::{self, Overrides};
use super::payment_method::PaymentMethod;
use super::post;
use super::refusal::Refusal;
use super::sandbox::{Attempted, Sandbox, State};

/// How a request ends for its client.
#[derive(Debug)]
enum Ending {
    Answered(Answer),
    /// The connection closes without an answer.
    Cut,
    /// The client waits until it gives up.
    Silence,
}

/// Answers one request below `/v1`, or whatever else was asked for.
pub(super) async fn answer(
    Shared(sandbox): Shared<Arc<Sandbox>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    let incoming = Incoming::read(request).await;
    let (ended, ending) = oneshot::channel();
    let (running, asked) = (Arc::clone(&sandbox), incoming.clone());
    sandbox.spawn(async move {
        let ending = run(&running, &asked).await;
        // The client may have left; what was executed stays executed.
        let _: Result<(), Ending> = ended.send(ending);
    });
    let ending = tokio::select! {
        ending = ending => ending.unwrap_or(Ending::Cut),
        () = sandbox.closed() => Ending::Cut,
    };
    match ending {
        Ending::Answered(answer) => {
            let now = sandbox.peek(|state| note_answer(state, &incoming, &answer));
            answer.into_response(&incoming, now)
        }
        Ending::Cut => cut(&line),
        Ending::Silence => {
            sandbox.closed().await;
            cut(&line)
        }
    }
}

fn cut(line: &Line) -> Response {
    line.cut();
    ().into_response()
}

/// Notes the status, and that the caller now knows the session it created.
fn note_answer(state: &mut State, incoming: &Incoming, answer: &Answer) -> chrono::DateTime<chrono::Utc> {
    let record = state.requests.newest_mut(|record| record.request_id == incoming.request_id);
    if let Some(record) = record {
        record.status = Some(answer.status);
    }
    if let Some(session) = created_session(incoming, answer)
        && let Some(session) = state.account.sessions.get_mut(&session)
    {
        session.answered = true;
    }
    state.clock.now()
}

fn created_session(incoming: &Incoming, answer: &Answer) -> Option<String> {
    if incoming.method != "POST" || incoming.path != "/v1/checkout/sessions" {
        return None;
    }
    let object: Value = serde_json::from_str(&answer.body).ok()?;
    object.get("id")?.as_str().map(ToOwned::to_owned)
}

async fn run(sandbox: &Arc<Sandbox>, incoming: &Incoming) -> Ending {
    let fault = sandbox.peek(|state| {
        let mut record = incoming.record();
        let authentic = incoming.authenticate();
        let fault =
            authentic.is_ok().then(|| fault::take(&mut state.faults, &incoming.method, &incoming.path)).flatten();
        record.fault = fault.as_ref().map(|fault| format!("{:?}", fault.kind));
        state.requests.push(record);
        authentic.map(|()| fault)
    });
    match fault {
        Err(refusal) => Ending::Answered(refused(incoming, &refusal)),
        Ok(None) => {
            let (answer, attempted) = perform(sandbox, incoming);
            attempted.wait().await;
            Ending::Answered(answer)
        }
        Ok(Some(fault)) => run_faulty(sandbox, incoming, &fault).await,
    }
}

async fn run_faulty(sandbox: &Arc<Sandbox>, incoming: &Incoming, fault: &Fault) -> Ending {
    match fault.kind {
        FaultKind::Reset => return Ending::Cut,
        FaultKind::Hang if !fault.after => return Ending::Silence,
        FaultKind::Status => return Ending::Answered(fail(sandbox, incoming, fault)),
        FaultKind::Delay if !fault.after => {
            return Ending::Answered(perform_late(sandbox, incoming, fault).await);
        }
        FaultKind::Hang | FaultKind::Delay | FaultKind::LostAnswer | FaultKind::Garbage | FaultKind::PayThenAnswer => {}
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

fn perform(sandbox: &Arc<Sandbox>, incoming: &Incoming) -> (Answer, Attempted) {
    match sandbox.peek(|state| claim(state, incoming)) {
        Some(answer) => (answer, Attempted::default()),
        None => execute_now(sandbox, incoming),
    }
}

/// The idempotency layer before execution: `Some` is the whole answer, `None` lets the request through.
fn claim(state: &mut State, incoming: &Incoming) -> Option<Answer> {
    let key = incoming.idempotency_key()?;
    let fingerprint = Fingerprint::new(&incoming.path, incoming.pairs());
    let now = state.now();
    match idempotency::claim(&mut state.account, key, fingerprint, now) {
        Ok(None) => None,
        Ok(Some(kept)) => {
            Some(Answer { original_request: Some(kept.request_id), ..Answer::json(kept.status, kept.body) })
        }
        Err(refusal) => Some(refused(incoming, &refusal)),
    }
}

/// Executes a request that holds its key, and keeps or frees the key. The wait is only for plans that deliver before
/// the answer.
fn execute_now(sandbox: &Arc<Sandbox>, incoming: &Incoming) -> (Answer, Attempted) {
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
        let executed = result.as_ref().map_or_else(|refusal| refusal.executed, |_| true);
        let answer = match result {
            Ok(object) => Answer::json(200, post::pretty(&object)),
            Err(refusal) => refused(incoming, &refusal),
        };
        conclude(state, incoming, &answer, executed);
        (answer, state.plan.before_answer)
    });
    let attempted = if before_answer { attempted } else { Attempted::default() };
    (answer, attempted)
}

fn conclude(state: &mut State, incoming: &Incoming, answer: &Answer, executed: bool) {
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

/// The answer of a planted status, kept under the key if the fault says that execution had begun.
fn fail(sandbox: &Arc<Sandbox>, incoming: &Incoming, fault: &Fault) -> Answer {
    let answer = planted(incoming, fault);
    if !fault.stored {
        return answer;
    }
    sandbox.peek(|state| {
        claim(state, incoming).unwrap_or_else(|| {
            conclude(state, incoming, &answer, true);
            answer
        })
    })
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
        402 => ("card_error", Some("card_declined"), "Your card was declined."),
        _ => ("invalid_request_error", None, "The request was refused, as a test asked for."),
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

/// The buyer was faster than the answer: the session is paid and its events delivered before it goes out.
async fn pay_created(sandbox: &Arc<Sandbox>, incoming: &Incoming, answer: &Answer) {
    let Some(session) = created_session(incoming, answer) else {
        return;
    };
    let (paid, attempted) = sandbox.change(|state| {
        let method = PaymentMethod::new("tok_visa", state.now());
        let cause = state.cause();
        payment::pay(&mut state.account, &session, &method, Overrides::default(), &cause)
    });
    if let Err(refusal) = paid {
        tracing::warn!(reason = refusal.message(), "the session could not be paid before the answer");
    }
    attempted.wait().await;
}

fn refused(incoming: &Incoming, refusal: &Refusal) -> Answer {
    let body = post::pretty(&refusal.body(&incoming.request_id));
    let mut answer = Answer::json(refusal.status, body);
    if refusal.status == 401 {
        let challenge = ("www-authenticate", "Basic realm=\"Stripe\"".to_owned());
        answer.headers.push(challenge);
    }
    answer
}
