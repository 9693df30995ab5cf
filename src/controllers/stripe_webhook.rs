//! Stripe's webhook: the raw body, its signature, and what becomes of it.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{AppState, ReceivedEvent};
use crate::domain::payment_event::DeliveryOutcome;
use crate::domain::refusal::Refusal;
use crate::error::Result;
use crate::gateways::stripe::{event, signature};
use crate::http::extract::{Json, read_body};
use crate::http::problem::Problem;

/// That the event has arrived. Stripe looks at the status only; the rest is for people.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledgement {
    received: bool,
    outcome: OutcomeView,
}

/// What became of the event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum OutcomeView {
    Processed,
    Duplicate,
    Ignored,
    Deferred,
}

impl From<DeliveryOutcome> for OutcomeView {
    fn from(outcome: DeliveryOutcome) -> Self {
        match outcome {
            DeliveryOutcome::Processed => Self::Processed,
            DeliveryOutcome::Duplicate => Self::Duplicate,
            DeliveryOutcome::Ignored => Self::Ignored,
            DeliveryOutcome::Deferred => Self::Deferred,
        }
    }
}

/// Takes an event of Stripe's. The effect is committed before the response; a 5xx means that
/// nothing was stored.
#[utoipa::path(
    post, path = "/api/stripe", request_body(content = String, content_type = "application/json"),
    params(("Stripe-Signature" = String, Header)),
    responses((status = 200, body = Acknowledgement)),
)]
pub async fn receive_stripe_event(
    State(app): State<AppState>,
    request: Request,
) -> Result<Json<Acknowledgement>, Problem> {
    let headers = request.headers().clone();
    let body = read_body(request, &app).await?;
    Ok(receive(&app, &headers, &body).await?)
}

async fn receive(
    app: &AppState,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Json<Acknowledgement>> {
    let header = headers.get("stripe-signature").map(HeaderValue::as_bytes);
    signature::verify(header, body, &app.config.stripe.webhook_secrets, app.now())?;
    let payload = str::from_utf8(body)
        .map_err(|_| Refusal::MalformedRequest("The body is not UTF-8.".to_owned()))?;
    let received = ReceivedEvent {
        event: event::parse(body)?,
        payload: payload.to_owned(),
    };
    let outcome = app.batchers.events.submit(received).await?;
    Ok(Json(Acknowledgement {
        received: true,
        outcome: outcome.into(),
    }))
}
