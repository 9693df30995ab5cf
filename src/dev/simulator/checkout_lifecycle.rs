//! What happens to a session after its creation: expiry by call and by time, and changes of
//! metadata.

use serde_json::Value;

use super::account::{Account, Cause};
use super::checkout_creation;
use super::checkout_session::{CheckoutSession, SessionStatus};
use super::parameters::Parameters;
use super::refusal::Refusal;
use super::table::Row as _;

/// Adds a new open session and answers with it.
pub(super) fn create(
    account: &mut Account,
    parameters: Parameters,
    base_url: &str,
    cause: &Cause,
) -> Result<Value, Refusal> {
    let session = checkout_creation::read(parameters, base_url, cause)?;
    let object = session.render();
    account.quiet_until = account.quiet_until.min(session.expires_at);
    account.sessions.insert(session);
    Ok(object)
}

/// `POST …/expire`: only an open session can be expired
/// (<https://docs.stripe.com/api/checkout/sessions/expire>).
pub(super) fn expire(account: &mut Account, id: &str, cause: &Cause) -> Result<Value, Refusal> {
    let session = account.session_mut(id)?;
    if !session.is_open() {
        return Err(Refusal::conflict(format!(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout \
             Session has a status of `{}`.",
            session.status.as_str()
        )));
    }
    Ok(close(account, id, cause))
}

/// `POST …/{id}`: metadata is what can be changed without a page of one's own.
pub(super) fn update(
    account: &mut Account,
    id: &str,
    mut parameters: Parameters,
) -> Result<Value, Refusal> {
    let session = account.session_mut(id)?;
    let change = parameters.metadata("metadata")?;
    parameters.ignore(&["collected_information", "shipping_options"]);
    parameters.finish()?;
    change.apply(&mut session.metadata)?;
    Ok(session.render())
}

/// Expires every open session whose time has come, each with its event.
pub(super) fn expire_due(account: &mut Account, now: i64) {
    if now < account.quiet_until {
        return;
    }
    let due: Vec<String> = open(account)
        .filter(|session| session.expires_at <= now)
        .map(|session| session.id.clone())
        .collect();
    for id in due {
        close(account, &id, &Cause::at(now));
    }
    account.quiet_until = open(account)
        .map(|session| session.expires_at)
        .min()
        .unwrap_or(i64::MAX);
}

fn open(account: &Account) -> impl Iterator<Item = &CheckoutSession> {
    account.sessions.iter().filter(|session| session.is_open())
}

fn close(account: &mut Account, id: &str, cause: &Cause) -> Value {
    let Some(session) = account.sessions.get_mut(id) else {
        return Value::Null;
    };
    session.status = SessionStatus::Expired;
    let object = session.render();
    account.emit(cause, "checkout.session.expired", object.clone());
    object
}
