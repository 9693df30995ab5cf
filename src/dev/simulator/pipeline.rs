//! The way of an API request: authentication, then the fault that a test has injected or chance has
//! drawn, then the idempotency layer and the route. Requests run to their end even when the client
//! has left, as at Stripe.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::api_request::ApiRequest;
use super::api_response::ApiResponse;
use super::connection::ClientConnection;
use super::execution::perform;
use super::misbehaviour::{self, Ending};
use super::sandbox::Sandbox;
use super::state::State;

/// Answers one request below `/v1`, or whatever else was asked for.
pub(super) async fn respond(
    Shared(sandbox): Shared<Arc<Sandbox>>,
    ConnectInfo(connection): ConnectInfo<ClientConnection>,
    request: Request,
) -> Response {
    let request = ApiRequest::read(request).await;
    let (ended, ending) = oneshot::channel();
    let (running, copy) = (Arc::clone(&sandbox), request.clone());
    sandbox.spawn(async move {
        let ending = run(&running, &copy).await;
        // The client may have left; what was executed stays executed.
        let _: Result<(), Ending> = ended.send(ending);
    });
    let ending = tokio::select! {
        ending = ending => ending.unwrap_or(Ending::Cut),
        () = sandbox.closed() => Ending::Cut,
    };
    match ending {
        Ending::Answered(response) => {
            let now = sandbox.peek(|state| note_response(state, &request, &response));
            response.into_response(&request, now)
        }
        Ending::Cut => cut(&connection),
        Ending::Silence => {
            sandbox.closed().await;
            cut(&connection)
        }
    }
}

fn cut(connection: &ClientConnection) -> Response {
    connection.cut();
    ().into_response()
}

/// Notes the status, and that the caller now knows the session it created. Returns the time of the
/// response.
fn note_response(state: &mut State, request: &ApiRequest, response: &ApiResponse) -> DateTime<Utc> {
    let record = state
        .requests
        .newest_mut(|record| record.request_id == request.request_id);
    if let Some(record) = record {
        record.status = Some(response.status);
    }
    if let Some(session) = response.created_session(request)
        && let Some(session) = state.account.sessions.get_mut(&session)
    {
        session.answered = true;
    }
    state.clock.now()
}

async fn run(sandbox: &Sandbox, request: &ApiRequest) -> Ending {
    let fault = sandbox.peek(|state| {
        let mut record = request.record();
        let authentic = request.authenticate();
        let fault = authentic.is_ok().then(|| state.take_fault(request));
        let fault = fault.flatten();
        record.fault = fault.as_ref().map(|fault| format!("{:?}", fault.kind));
        state.requests.push(record);
        authentic.map(|()| fault)
    });
    match fault {
        Err(refusal) => Ending::Answered(ApiResponse::refusal(request, &refusal)),
        Ok(None) => {
            let (response, attempted) = perform(sandbox, request);
            attempted.wait().await;
            Ending::Answered(response)
        }
        Ok(Some(fault)) => misbehaviour::run(sandbox, request, &fault).await,
    }
}
