//! Stripe's webhook: the raw body, its signature, and what becomes of it.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{AppState, ReceivedEvent};
use crate::domain::payment::SettledBy;
use crate::domain::payment_event::DeliveryOutcome;
use crate::error::Result;
use crate::gateways::stripe::event;
use crate::gateways::stripe::signature::SignatureHeader;
use crate::http::bodies::read_unsigned_body;
use crate::http::extract::Json;
use crate::http::problem::Problem;

const SIGNATURE: &str = "stripe-signature";

/// The segments of an unknown path that are logged, and how long a word among them may be: what is
/// longer, as ids and tokens are, is not.
const SEGMENTS_LOGGED_MAX: usize = 8;
const WORD_LENGTH_MAX: usize = 32;

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
/// nothing was stored. A header that no body can fit is refused before the body is read.
#[utoipa::path(
    post, path = "/api/stripe", request_body(content = String, content_type = "application/json"),
    params(("Stripe-Signature" = String, Header)),
    responses((status = 200, body = Acknowledgement)),
)]
pub async fn receive_stripe_event(
    State(app): State<AppState>,
    request: Request,
) -> Result<Json<Acknowledgement>, Problem> {
    let header = request.headers().get(SIGNATURE).cloned();
    let header = header.as_ref().map(HeaderValue::as_bytes);
    let header = SignatureHeader::parse(header, app.now())?;
    let body = read_unsigned_body(request).await?;
    header.verify(&body, &app.config.stripe.webhook_secrets)?;
    Ok(receive(&app, body).await?)
}

async fn receive(app: &AppState, body: Bytes) -> Result<Json<Acknowledgement>> {
    // What is not UTF-8 in it is no text, of JSON or of Postgres; the rest is an event all the
    // same.
    let payload = String::from_utf8_lossy(&body).into_owned();
    drop(body);
    let received = ReceivedEvent {
        event: event::parse(&payload)?,
        payload,
        settled_by: SettledBy::Webhook,
    };
    let delivery = app.batchers.events.submit(received).await?;
    Ok(Json(Acknowledgement {
        received: true,
        outcome: delivery.outcome.into(),
    }))
}

/// Answers 404 to whatever no route takes. An event that comes here is in the log: Stripe would
/// send it for three days, and nobody else would know.
pub async fn refuse_unknown_path(request: Request) -> StatusCode {
    if request.method() == Method::POST && request.headers().contains_key(SIGNATURE) {
        let path = words_of(request.uri().path());
        tracing::warn!(
            http.path = path,
            "an event of Stripe's came to {path}, which is no path of ours; \
             is the URL of the endpoint right? It ends in /api/stripe"
        );
    }
    StatusCode::NOT_FOUND
}

/// A path as a route could read, with nothing that could be a secret or break a line.
fn words_of(path: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let segments = path.split('/').take(SEGMENTS_LOGGED_MAX);
    let words = segments.map(|segment| {
        let is_word = segment.len() <= WORD_LENGTH_MAX && segment.chars().all(is_plain);
        if is_word { segment } else { "…" }
    });
    words.collect::<Vec<_>>().join("/")
}
