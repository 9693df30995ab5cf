//! The way of an API request: authentication, then the fault that a test has planted or chance has
//! drawn, then the idempotency layer and the route. Requests run to their end even when the client
//! has left, as at Stripe.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::oneshot;

use super::chaos;
use super::execution::{created_session, perform, refused};
use super::fault;
use super::intake::{Answer, Incoming};
use super::line::Line;
use super::misbehaviour::{self, Ending};
use super::sandbox::{Sandbox, State};

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
fn note_answer(
    state: &mut State,
    incoming: &Incoming,
    answer: &Answer,
) -> chrono::DateTime<chrono::Utc> {
    let record = state
        .requests
        .newest_mut(|record| record.request_id == incoming.request_id);
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

async fn run(sandbox: &Arc<Sandbox>, incoming: &Incoming) -> Ending {
    let fault = sandbox.peek(|state| {
        let mut record = incoming.record();
        let authentic = incoming.authenticate();
        let fault = authentic.is_ok().then(|| {
            let planted = fault::take(&mut state.faults, &incoming.method, &incoming.path);
            planted.or_else(|| chaos::fault(state, incoming))
        });
        let fault = fault.flatten();
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
        Ok(Some(fault)) => misbehaviour::run(sandbox, incoming, &fault).await,
    }
}
