//! Errors as `application/problem+json` (RFC 9457): the one place that turns an [`Error`] into
//! HTTP. <https://www.rfc-editor.org/rfc/rfc9457>

use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::domain::refusal::{Refusal, repeated, whole_seconds};
use crate::domain::unpaid_hold::UnpaidHold;
use crate::error::{Error, explain};

/// The most that a refusal says.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Of one that would say more: how many of each list …
const ITEMS_MAX: usize = 20;
/// … and how much of each text.
const CHARACTERS_MAX: usize = 200;

/// An error as the caller sees it. As a response it is rendered by [`render`], which knows the
/// request's id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The stable code that programs go by.
    pub code: String,
    /// A sentence for people.
    pub detail: String,
    /// Further members, such as the seats that are gone.
    pub extras: Map<String, Value>,
    /// After how many seconds it makes sense to ask again.
    pub retry_after_seconds: Option<u64>,
}

/// The body of every response of 400 and above.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct ProblemView<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    /// Stable: programs go by it.
    code: &'a str,
    /// A sentence for people.
    detail: &'a str,
    /// Finds the request in our logs.
    request_id: &'a str,
    /// Further members, such as the seats that are gone.
    #[serde(flatten)]
    extras: &'a Map<String, Value>,
}

impl Problem {
    /// A problem without further members.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            extras: Map::new(),
            retry_after_seconds: None,
        }
    }

    /// What a caller sees of a fault: nothing.
    pub fn internal() -> Self {
        let detail = "Something went wrong on our side. The request id finds it in our logs.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    fn unavailable(code: &str, detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.extras.insert(name.to_owned(), value);
        self
    }

    /// Says when to ask again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// A problem for a response that axum, hyper or a layer made, which has a status only.
    pub(super) fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("not_found", "There is nothing at this path."),
            StatusCode::METHOD_NOT_ALLOWED => (
                "method_not_allowed",
                "This path does not take this method; see Allow.",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => {
                ("body_too_large", "The body of the request is too large.")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => (
                "unsupported_media_type",
                "Send the body as application/json.",
            ),
            StatusCode::REQUEST_TIMEOUT => {
                ("request_timeout", "The request did not arrive in time.")
            }
            StatusCode::URI_TOO_LONG => ("malformed_request", "The URL is too long."),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (
                "malformed_request",
                "The headers of the request are too large or too many.",
            ),
            status if status.is_client_error() => {
                ("malformed_request", "The request cannot be understood.")
            }
            _ => return Self::internal(),
        };
        Self::new(status, code, detail)
    }

    /// The body of a response.
    pub(super) fn body(&self, request_id: &str) -> Vec<u8> {
        // A map of JSON values cannot fail to be written.
        serde_json::to_vec(&self.view(request_id)).unwrap_or_default()
    }

    fn view<'a>(&'a self, request_id: &'a str) -> ProblemView<'a> {
        ProblemView {
            kind: format!("/problems/{}", self.code),
            title: title(&self.code),
            status: self.status,
            code: &self.code,
            detail: &self.detail,
            request_id,
            extras: &self.extras,
        }
    }
}

/// `seat_unavailable` reads "Seat unavailable".
fn title(code: &str) -> String {
    let words = code.replace('_', " ");
    let mut letters = words.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_seconds {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives every response of 400 and above its body, whoever made it.
pub fn render(response: Response, request_id: &str) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let problem = parts
        .extensions
        .remove::<Problem>()
        .unwrap_or_else(|| Problem::of_status(status));
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    Response::from_parts(parts, problem.body(request_id).into())
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        if let Error::Refusal(refusal) = error {
            return refusal.into();
        }
        let description = explain(&error);
        if error.is_database_unavailable() {
            tracing::warn!("{description}");
            let detail = "The database is busy or away. \
                          Try again in a moment, with the same Idempotency-Key.";
            return Self::unavailable("database_unavailable", detail).retry_after(1);
        }
        match error {
            Error::OutcomeUnknown(_) => {
                tracing::warn!("{description}");
                let detail = "The database was asked and did not answer: it may have been done. \
                              Repeat the request with the same Idempotency-Key.";
                Self::unavailable("database_unavailable", detail).retry_after(1)
            }
            Error::ProviderUnavailable(_) | Error::StillPayable => {
                tracing::warn!("{description}");
                let detail =
                    "Stripe did not answer. Repeat the request with the same Idempotency-Key.";
                Self::unavailable("payment_provider_unavailable", detail).retry_after(5)
            }
            Error::IdentityUnavailable(_) => {
                tracing::warn!("{description}");
                let detail = "The session token cannot be checked now. Try again in a moment.";
                Self::unavailable("identity_unavailable", detail).retry_after(5)
            }
            Error::ProviderRefused { .. } => {
                tracing::error!("{description}");
                let detail = "Stripe refused what it was asked for. Nothing was charged.";
                Self::new(StatusCode::BAD_GATEWAY, "payment_provider_error", detail)
            }
            Error::Refusal(_) | Error::Database(_) | Error::Unavailable(_) | Error::Fault(_) => {
                tracing::error!("{description}");
                Self::internal()
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::from(&refusal)
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        Self::whole(refusal).shortened()
    }
}

impl Problem {
    /// All that a refusal says, which may repeat much of what the caller has sent.
    fn whole(refusal: &Refusal) -> Self {
        let problem = Self::new(status(refusal), refusal.code(), refusal.to_string());
        match refusal {
            Refusal::SeatUnavailable { seats, own_booking } => {
                let problem = problem.with("seats", json!(repeated(seats)));
                own_booking
                    .iter()
                    .fold(problem, |problem, id| problem.with("ownBooking", json!(id)))
            }
            Refusal::UnknownSeat { seats } => problem.with("seats", json!(repeated(seats))),
            Refusal::TooManySeats { maximum } | Refusal::TooManySeatsOfUser { maximum } => {
                problem.with("maximum", json!(maximum))
            }
            Refusal::TooManyHolds { maximum, holds } => {
                let holds: Vec<_> = holds.iter().map(hold_view).collect();
                problem
                    .with("maximum", json!(maximum))
                    .with("holds", json!(holds))
            }
            Refusal::HoldsLapsed { wait } => problem.retry_after(whole_seconds(*wait)),
            Refusal::AmountTooSmall { minimum } => problem.with("minimum", json!(minimum)),
            Refusal::AmountRefused(_) => problem.with("minimum", Value::Null),
            Refusal::BookingNotPayable { booking_status }
            | Refusal::NotUnderReview { booking_status } => {
                problem.with("bookingStatus", json!(booking_status))
            }
            Refusal::ValidationFailed(errors) => problem.with("errors", json!(errors)),
            Refusal::VersionConflict { version } => problem.with("version", json!(version)),
            Refusal::RefundExceedsPayment { refundable, .. } => {
                problem.with("refundable", json!(refundable))
            }
            Refusal::IdempotencyInProgress => problem.retry_after(1),
            Refusal::MalformedRequest(_)
            | Refusal::InvalidSignature(_)
            | Refusal::Unauthenticated(_)
            | Refusal::Forbidden
            | Refusal::OriginNotAllowed
            | Refusal::NotFound(_)
            | Refusal::SlotUnavailable
            | Refusal::ShowClosed
            | Refusal::AlreadyPaid
            | Refusal::OutsidePolicy
            | Refusal::BookingExpired
            | Refusal::RefundInProgress
            | Refusal::VoucherInvalid
            | Refusal::IdempotencyKeyReused => problem,
        }
    }

    /// The same in at most [`BODY_BYTES_MAX`], as it may be stored: the first of what it lists, and
    /// the beginning of what it says.
    fn shortened(mut self) -> Self {
        if self.body("").len() <= BODY_BYTES_MAX {
            return self;
        }
        cut(&mut self.detail);
        self.extras.values_mut().for_each(shorten);
        if self.body("").len() > BODY_BYTES_MAX {
            self.extras.clear();
        }
        self
    }
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) => cut(text),
        Value::Array(items) => {
            items.truncate(ITEMS_MAX);
            items.iter_mut().for_each(shorten);
        }
        Value::Object(members) => members.values_mut().for_each(shorten),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(CHARACTERS_MAX) {
        text.truncate(end);
        text.push('…');
    }
}

/// A hold, to be resumed or cancelled.
fn hold_view(hold: &UnpaidHold) -> Value {
    json!({
        "id": hold.id, "reference": hold.reference, "holdExpiresAt": hold.hold_expires_at,
    })
}

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::MalformedRequest(_) | Refusal::InvalidSignature(_) => StatusCode::BAD_REQUEST,
        Refusal::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        Refusal::Forbidden | Refusal::OriginNotAllowed => StatusCode::FORBIDDEN,
        Refusal::NotFound(_) => StatusCode::NOT_FOUND,
        Refusal::HoldsLapsed { .. } => StatusCode::TOO_MANY_REQUESTS,
        Refusal::SeatUnavailable { .. }
        | Refusal::TooManyHolds { .. }
        | Refusal::SlotUnavailable
        | Refusal::ShowClosed
        | Refusal::BookingNotPayable { .. }
        | Refusal::NotUnderReview { .. }
        | Refusal::AlreadyPaid
        | Refusal::BookingExpired
        | Refusal::VersionConflict { .. }
        | Refusal::RefundInProgress
        | Refusal::IdempotencyInProgress => StatusCode::CONFLICT,
        Refusal::TooManySeats { .. }
        | Refusal::TooManySeatsOfUser { .. }
        | Refusal::UnknownSeat { .. }
        | Refusal::AmountTooSmall { .. }
        | Refusal::AmountRefused(_)
        | Refusal::VoucherInvalid
        | Refusal::RefundExceedsPayment { .. }
        | Refusal::OutsidePolicy
        | Refusal::ValidationFailed(_)
        | Refusal::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
