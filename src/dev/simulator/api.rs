//! The routes of the API below `/v1`: each reads its parameters, changes the account, and answers
//! with an object.

use serde_json::{Value, json};

use super::account::{Account, Cause};
use super::checkout_lifecycle;
use super::event::Event;
use super::expansion;
use super::listing::{CreatedRange, PageRequest};
use super::parameters::Parameters;
use super::payment_page;
use super::refund_lifecycle;
use super::refusal::Refusal;
use super::table::{Row, Table};

const EVENT_DAYS_KEPT: i64 = 30;
const EVENT_TYPES_MAX: usize = 20;

/// One request that was authenticated and decoded.
#[derive(Debug)]
pub(super) struct Call<'request> {
    pub(super) method: &'request str,
    pub(super) path: &'request str,
    pub(super) parameters: Parameters,
    pub(super) base_url: &'request str,
    pub(super) cause: Cause,
}

/// Executes the call. An error may still have changed the account: a declined payment does.
pub(super) fn execute(account: &mut Account, mut call: Call<'_>) -> Result<Value, Refusal> {
    let paths = call.parameters.texts("expand")?;
    let mut object = route(account, call)?;
    expansion::expand(account, &mut object, &paths)?;
    Ok(object)
}

fn route(account: &mut Account, call: Call<'_>) -> Result<Value, Refusal> {
    let below = call.path.strip_prefix("/v1/").unwrap_or_default();
    let segments: Vec<&str> = below.split('/').collect();
    let Call {
        method,
        parameters,
        base_url,
        cause,
        path,
    } = call;
    match (method, segments.as_slice()) {
        ("POST", ["checkout", "sessions"]) => {
            checkout_lifecycle::create(account, parameters, base_url, &cause)
        }
        ("GET", ["checkout", "sessions"]) => list_sessions(account, parameters, path),
        ("GET", ["checkout", "sessions", id]) => {
            parameters.finish()?;
            Ok(account.session(id)?.render())
        }
        ("POST", ["checkout", "sessions", id]) => {
            checkout_lifecycle::update(account, id, parameters)
        }
        ("POST", ["checkout", "sessions", id, "expire"]) => {
            parameters.finish()?;
            checkout_lifecycle::expire(account, id, &cause)
        }
        ("GET", ["checkout", "sessions", id, "line_items"]) => {
            list_line_items(account, id, parameters, path)
        }
        ("GET", ["payment_intents"]) => list_intents(account, parameters, path),
        ("GET", ["payment_intents", id]) => {
            retrieve(&account.intents, "payment_intent", id, parameters)
        }
        ("GET", ["charges"]) => list_charges(account, parameters, path),
        ("GET", ["charges", id]) => retrieve(&account.charges, "charge", id, parameters),
        ("POST", ["refunds"]) => refund_lifecycle::create(account, parameters, &cause),
        ("GET", ["disputes"]) => list_disputes(account, parameters, path),
        ("GET", ["disputes", id]) => retrieve(&account.disputes, "dispute", id, parameters),
        ("GET", ["refunds"]) => list_refunds(account, parameters, path),
        ("GET", ["refunds", id]) => retrieve(&account.refunds, "refund", id, parameters),
        ("POST", ["refunds", id]) => refund_lifecycle::update(account, id, parameters, &cause),
        ("GET", ["events"]) => list_events(account, parameters, path, cause.now),
        ("GET", ["events", id]) => retrieve(&account.events, "event", id, parameters),
        ("POST", ["events", id, "retry"]) => retry_event(account, id, parameters),
        ("GET", ["balance"]) => parameters.finish().map(|()| balance()),
        ("GET", ["payment_pages", id]) => payment_page::show(account, id),
        ("POST", ["payment_pages", id, "confirm"]) => {
            payment_page::confirm(account, id, parameters, &cause)
        }
        ("POST", ["payment_methods"]) => {
            payment_page::create_payment_method(account, parameters, &cause)
        }
        _ => Err(Refusal::new(
            404,
            "invalid_request_error",
            format!(
                "Unrecognized request URL ({method}: {path}). Please see https://docs.stripe.com \
                 or we can help at https://support.stripe.com/."
            ),
        )),
    }
}

fn retrieve<T: Row>(
    table: &Table<T>,
    noun: &str,
    id: &str,
    mut parameters: Parameters,
) -> Result<Value, Refusal> {
    parameters.ignore(&["client_secret"]);
    parameters.finish()?;
    table
        .get(id)
        .map(Row::render)
        .ok_or_else(|| Refusal::no_such(noun, id, "id"))
}

/// The page of those rows for which `wanted` holds; no parameter may be left.
fn list<T: Row>(
    table: &Table<T>,
    mut parameters: Parameters,
    url: &str,
    wanted: impl Fn(&T) -> bool,
) -> Result<Value, Refusal> {
    let page = PageRequest::read(&mut parameters)?;
    let range = CreatedRange::read(&mut parameters)?;
    parameters.finish()?;
    let rows: Vec<&T> = table.iter().rev().collect();
    let wanted = |row: &T| range.holds(row.created()) && wanted(row);
    page.of(&rows, wanted, url)
}

fn list_sessions(
    account: &Account,
    mut parameters: Parameters,
    url: &str,
) -> Result<Value, Refusal> {
    let status = parameters.choice("status", &["open", "complete", "expired"])?;
    let intent = parameters.text("payment_intent")?;
    let mut details = parameters.nested("customer_details")?.unwrap_or_default();
    let email = details.text("email")?;
    details.finish()?;
    list(&account.sessions, parameters, url, |session| {
        let found_email = session
            .customer_details
            .as_ref()
            .and_then(|details| details.get("email"))
            .and_then(Value::as_str);
        status
            .as_ref()
            .is_none_or(|status| session.status.as_str() == status)
            && (intent.is_none() || session.payment_intent == intent)
            && (email.is_none() || found_email == email.as_deref())
    })
}

fn list_line_items(
    account: &Account,
    id: &str,
    mut parameters: Parameters,
    url: &str,
) -> Result<Value, Refusal> {
    let page = PageRequest::read(&mut parameters)?;
    parameters.finish()?;
    let items: Vec<_> = account.session(id)?.line_items.iter().collect();
    page.of(&items, |_| true, url)
}

fn list_intents(account: &Account, parameters: Parameters, url: &str) -> Result<Value, Refusal> {
    list(&account.intents, parameters, url, |_| true)
}

fn list_charges(
    account: &Account,
    mut parameters: Parameters,
    url: &str,
) -> Result<Value, Refusal> {
    let intent = parameters.text("payment_intent")?;
    list(&account.charges, parameters, url, |charge| {
        intent
            .as_ref()
            .is_none_or(|intent| charge.payment_intent == *intent)
    })
}

fn list_disputes(
    account: &Account,
    mut parameters: Parameters,
    url: &str,
) -> Result<Value, Refusal> {
    let intent = parameters.text("payment_intent")?;
    let charge = parameters.text("charge")?;
    list(&account.disputes, parameters, url, |dispute| {
        intent
            .as_ref()
            .is_none_or(|intent| dispute.payment_intent == *intent)
            && charge
                .as_ref()
                .is_none_or(|charge| dispute.charge == *charge)
    })
}

fn list_refunds(
    account: &Account,
    mut parameters: Parameters,
    url: &str,
) -> Result<Value, Refusal> {
    let intent = parameters.text("payment_intent")?;
    let charge = parameters.text("charge")?;
    list(&account.refunds, parameters, url, |refund| {
        intent
            .as_ref()
            .is_none_or(|intent| refund.payment_intent == *intent)
            && charge
                .as_ref()
                .is_none_or(|charge| refund.charge == *charge)
    })
}

/// Events of the last 30 days, by type and by whether every endpoint has acknowledged them
/// (<https://docs.stripe.com/api/events/list>).
fn list_events(
    account: &Account,
    mut parameters: Parameters,
    url: &str,
    now: i64,
) -> Result<Value, Refusal> {
    let kind = parameters.text("type")?;
    let kinds = parameters.texts("types")?;
    let delivered = parameters.boolean("delivery_success")?;
    if kinds.len() > EVENT_TYPES_MAX {
        return Err(Refusal::invalid(
            "types",
            format!("You may specify at most {EVENT_TYPES_MAX} event types."),
        ));
    }
    if kind.is_some() && !kinds.is_empty() {
        return Err(Refusal::invalid(
            "types",
            "You may only specify one of these parameters: type, types.",
        ));
    }
    let oldest = now.saturating_sub(EVENT_DAYS_KEPT.saturating_mul(24 * 60 * 60));
    list(&account.events, parameters, url, |event| {
        event.created >= oldest
            && kind.as_ref().is_none_or(|kind| matches_type(event, kind))
            && (kinds.is_empty() || kinds.contains(&event.kind))
            && delivered.is_none_or(|delivered| event.pending.is_empty() == delivered)
    })
}

/// `charge.*` asks for every type of one family.
fn matches_type(event: &Event, kind: &str) -> bool {
    match kind.strip_suffix('*') {
        Some(family) => event.kind.starts_with(family),
        None => event.kind == kind,
    }
}

/// Delivers an event once more, as the official command line asks for.
fn retry_event(
    account: &mut Account,
    id: &str,
    mut parameters: Parameters,
) -> Result<Value, Refusal> {
    parameters.ignore(&["webhook_endpoint", "account"]);
    let object = retrieve(&account.events, "event", id, parameters)?;
    account.unsent.push(id.to_owned());
    Ok(object)
}

fn balance() -> Value {
    json!({
        "object": "balance", "livemode": false,
        "available": [{ "amount": 0, "currency": "eur", "source_types": { "card": 0 } }],
        "pending": [{ "amount": 0, "currency": "eur", "source_types": { "card": 0 } }],
    })
}
