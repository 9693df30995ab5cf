//! The payment page that a session's `url` shows: a form to pay with test numbers, which needs no
//! other files and works without its script.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;

use super::account::Account;
use super::checkout_session::{CheckoutSession, LineItem, SessionStatus};
use super::currency::format_amount;
use super::delivery::DeliveryState;
use super::form;
use super::payment::{self, Overrides};
use super::payment_method::PaymentMethod;
use super::refusal::Refusal;
use super::sandbox::Sandbox;
use super::table::Row as _;

const PAGE: &str = include_str!("hosted_page.html");
const ITEM: &str = include_str!("hosted_page_item.html");
const NOTICE: &str = include_str!("hosted_page_notice.html");

/// Stripe keeps the buyer this long when the endpoint has not acknowledged the completed session
/// (<https://docs.stripe.com/checkout/fulfillment>).
const ACKNOWLEDGEMENT_WAIT: Duration = Duration::from_secs(10);

pub(super) fn routes() -> Router<Arc<Sandbox>> {
    Router::new().route("/{session}", get(show).post(pay))
}

async fn show(Shared(sandbox): Shared<Arc<Sandbox>>, uri: Uri) -> Response {
    let id = session_id(&uri);
    let session = sandbox.apply(|state| state.account.sessions.get(id).cloned());
    match session {
        None => missing(),
        Some(session) => render(StatusCode::OK, &session, &Entered::default(), None),
    }
}

/// What the buyer typed; only the number is needed.
#[derive(Debug, Default)]
struct Entered {
    number: String,
    expiry: String,
    cvc: String,
    email: String,
    name: String,
}

impl Entered {
    fn read(body: &Bytes) -> Self {
        let mut entered = Self::default();
        for (name, value) in form::pairs(&String::from_utf8_lossy(body)) {
            match name.as_str() {
                "number" | "card" | "iban" if !value.is_empty() => entered.number = value,
                "expiry" => entered.expiry = value,
                "cvc" => entered.cvc = value,
                "email" => entered.email = value,
                "name" => entered.name = value,
                _ => {}
            }
        }
        entered
    }

    fn method(&self, now: i64) -> PaymentMethod {
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let mut method = PaymentMethod::new(&self.number, now);
        method.email = given(&self.email);
        method.name = given(&self.name);
        method
    }
}

/// Pays, waits for the endpoint's acknowledgement, and sends the browser on; a decline shows the
/// form again.
async fn pay(Shared(sandbox): Shared<Arc<Sandbox>>, uri: Uri, body: Bytes) -> Response {
    let id = session_id(&uri);
    let entered = Entered::read(&body);
    let (result, session) = sandbox.apply(|state| {
        let method = entered.method(state.now());
        let cause = state.cause();
        let result = payment::pay(
            &mut state.account,
            id,
            &method,
            Overrides::default(),
            &cause,
        );
        (result, state.account.sessions.get(id).cloned())
    });
    match (result, session) {
        (_, None) => missing(),
        (Err(refusal), Some(session)) => render(
            StatusCode::PAYMENT_REQUIRED,
            &session,
            &entered,
            Some(&refusal),
        ),
        (Ok(()), Some(session)) => {
            acknowledgement(&sandbox, &session.id).await;
            send_on(&session)
        }
    }
}

/// Returns when every endpoint has acknowledged `checkout.session.completed`, or the buyer has
/// waited long enough. A held or dropped event is not waited for: a test has decided that no
/// acknowledgement comes.
async fn acknowledgement(sandbox: &Sandbox, session: &str) {
    let acknowledged = sandbox.until_delivered(|state| !is_awaited(&state.account, session));
    let waited = tokio::time::timeout(ACKNOWLEDGEMENT_WAIT, acknowledged).await;
    if waited.is_err() {
        tracing::info!(
            session,
            "no endpoint acknowledged the payment of {session} in time"
        );
    }
}

fn is_awaited(account: &Account, session: &str) -> bool {
    let completed = account.events.iter().rev().find(|event| {
        event.kind == "checkout.session.completed"
            && event.object.get("id").and_then(|id| id.as_str()) == Some(session)
    });
    completed.is_some_and(|event| {
        account.deliveries.iter().any(|delivery| {
            delivery.event == event.id()
                && delivery.state != DeliveryState::Held
                && event.pending.contains(&delivery.url)
        })
    })
}

fn send_on(session: &CheckoutSession) -> Response {
    match session.return_address() {
        Some(address) => (StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response(),
        None => notice(
            StatusCode::OK,
            "Payment complete",
            "Thank you. You can close this page.",
            None,
        ),
    }
}

fn render(
    status: StatusCode,
    session: &CheckoutSession,
    entered: &Entered,
    refusal: Option<&Refusal>,
) -> Response {
    match session.status {
        SessionStatus::Complete => notice(
            status,
            "You’re all done here",
            "Your payment has already been processed. You can close this page.",
            session.return_address().as_deref(),
        ),
        SessionStatus::Expired => notice(
            status,
            "This checkout has expired",
            "You can no longer pay here. Go back to the shop and start again.",
            session.cancel_url.as_deref(),
        ),
        SessionStatus::Open => (status, Html(form_page(session, entered, refusal))).into_response(),
    }
}

fn form_page(session: &CheckoutSession, entered: &Entered, refusal: Option<&Refusal>) -> String {
    let items: String = session.line_items.iter().map(item).collect();
    let total = format_amount(&session.currency, session.amount_total);
    let button = match session.submit_type.as_deref() {
        Some("book") => "Book".to_owned(),
        Some("donate") => format!("Donate {total}"),
        Some("subscribe") => "Subscribe".to_owned(),
        _ => format!("Pay {total}"),
    };
    let email = session.customer_email.as_ref().unwrap_or(&entered.email);
    let error = refusal.map_or_else(String::new, |refusal| {
        format!(
            "<p class=\"error\" id=\"error\" role=\"alert\">{}</p>",
            escape(refusal.message())
        )
    });
    let wrong = if refusal.is_some() {
        "aria-invalid=\"true\" aria-describedby=\"error\" autofocus"
    } else {
        ""
    };
    let takes_debit = session
        .payment_method_types
        .iter()
        .any(|kind| kind == "sepa_debit");
    let back = session.cancel_url.as_deref();
    fill(
        PAGE,
        &[
            ("back", &escape(back.unwrap_or_default())),
            ("back_hidden", if back.is_some() { "" } else { "hidden" }),
            ("total", &escape(&total)),
            ("button", &escape(&button)),
            ("email", &escape(email)),
            ("number", &escape(&entered.number)),
            ("expiry", &escape(&entered.expiry)),
            ("cvc", &escape(&entered.cvc)),
            ("name", &escape(&entered.name)),
            (
                "methods",
                if takes_debit {
                    "card or bank debit"
                } else {
                    "card"
                },
            ),
            (
                "number_label",
                if takes_debit {
                    "Card number or IBAN"
                } else {
                    "Card number"
                },
            ),
            (
                "name_label",
                if takes_debit {
                    "Name of the holder"
                } else {
                    "Cardholder name"
                },
            ),
            ("wrong", wrong),
            ("debit_hidden", if takes_debit { "" } else { "hidden" }),
            ("error", &error),
            ("items", &items),
        ],
    )
}

fn item(item: &LineItem) -> String {
    let each = format_amount(&item.currency, item.unit_amount);
    let amount = item.unit_amount.saturating_mul(item.quantity);
    let quantity = if item.quantity > 1 {
        format!("Qty {}, {each} each", item.quantity)
    } else {
        String::new()
    };
    fill(
        ITEM,
        &[
            ("name", &escape(&item.name)),
            (
                "details",
                &escape(item.details.as_deref().unwrap_or_default()),
            ),
            ("quantity", &escape(&quantity)),
            ("amount", &escape(&format_amount(&item.currency, amount))),
        ],
    )
}

fn missing() -> Response {
    notice(
        StatusCode::NOT_FOUND,
        "Something went wrong",
        "The page you were looking for could not be found. Please check the address or contact the \
         merchant.",
        None,
    )
}

fn notice(status: StatusCode, title: &str, text: &str, link: Option<&str>) -> Response {
    let page = fill(
        NOTICE,
        &[
            ("title", &escape(title)),
            ("text", &escape(text)),
            ("link", &escape(link.unwrap_or_default())),
            ("link_hidden", if link.is_some() { "" } else { "hidden" }),
        ],
    );
    (status, Html(page)).into_response()
}

fn session_id(uri: &Uri) -> &str {
    uri.path().rsplit('/').next().unwrap_or_default()
}

/// Puts values, which are HTML already, where the template says `{{name}}`.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut page = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, tail) = after.split_once("}}").unwrap_or((after, ""));
        let value = values.iter().find(|(known, _)| *known == name);
        page.push_str(value.map_or("", |(_, value)| value));
        rest = tail;
    }
    page.push_str(rest);
    page
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
