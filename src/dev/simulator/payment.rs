//! A buyer pays: one attempt on an open session, its outcome, and the outcome of a delayed method
//! days later.

use serde_json::{Value, json};

use super::account::{Account, Cause};
use super::charge::{Charge, ChargeFailure, ChargeStatus};
use super::checkout_session::{PaymentStatus, SessionStatus};
use super::ids;
use super::metadata::Metadata;
use super::payment_intent::{IntentStatus, PaymentIntent};
use super::payment_method::{Behaviour, Decline, PaymentMethod};
use super::refusal::Refusal;
use super::table::Row as _;

/// What a test may bend when it pays: none of it can happen to an honest Stripe.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    pub(super) amount: Option<i64>,
    pub(super) currency: Option<String>,
    pub(super) metadata: Option<Metadata>,
    /// Pays by a method that the session does not offer.
    pub(super) unoffered: bool,
}

/// Pays the open session `id` with `method`; a decline leaves it open, with its events and error.
pub(super) fn pay(
    account: &mut Account,
    id: &str,
    method: &PaymentMethod,
    overrides: Overrides,
    cause: &Cause,
) -> Result<(), Refusal> {
    let session = account.session_mut(id)?;
    if !session.is_open() {
        return Err(Refusal::conflict(format!(
            "This Checkout Session can not be paid: it has a status of `{}`.",
            session.status.as_str()
        ))
        .code("payment_intent_unexpected_state"));
    }
    if !overrides.unoffered && !session.payment_method_types.contains(&method.kind) {
        return Err(Refusal::conflict(format!(
            "This Checkout Session can not be paid by `{}`: it offers {}.",
            method.kind,
            session.payment_method_types.join(", ")
        )));
    }
    if let Some(amount) = overrides.amount {
        session.amount_total = amount;
    }
    if let Some(currency) = overrides.currency {
        session.currency = currency;
    }
    if let Some(metadata) = overrides.metadata {
        session.metadata = metadata;
    }
    let (amount, currency) = (session.amount_total, session.currency.clone());
    if let Some(intent) = session
        .payment_intent
        .clone()
        .and_then(|id| account.intents.get_mut(&id))
    {
        // Made at an earlier try, for what was asked for then.
        (intent.amount, intent.currency) = (amount, currency);
    }
    let session = account.session_mut(id)?;
    if session.payment_status == PaymentStatus::NoPaymentRequired {
        complete(account, id, method, PaymentStatus::NoPaymentRequired);
        emit_session(account, id, cause, "completed");
        return Ok(());
    }
    attempt(account, id, method, cause)
}

fn attempt(
    account: &mut Account,
    session: &str,
    method: &PaymentMethod,
    cause: &Cause,
) -> Result<(), Refusal> {
    let intent = intent_of(account, session, cause)?;
    match method.behaviour {
        Behaviour::Declined(decline) => decline_charge(account, &intent, method, decline, cause),
        Behaviour::Delayed => {
            start_charge(account, &intent, method, ChargeStatus::Pending, cause);
            set_status(account, &intent, IntentStatus::Processing);
            emit(account, cause, "payment_intent.processing", &intent);
            complete(account, session, method, PaymentStatus::Unpaid);
            emit_session(account, session, cause, "completed");
            Ok(())
        }
        Behaviour::Succeeds | Behaviour::RefundsSlowly => {
            start_charge(account, &intent, method, ChargeStatus::Succeeded, cause);
            set_status(account, &intent, IntentStatus::Succeeded);
            emit(account, cause, "payment_intent.succeeded", &intent);
            complete(account, session, method, PaymentStatus::Paid);
            emit_session(account, session, cause, "completed");
            Ok(())
        }
    }
}

/// The outcome of a delayed method: `Err` is the reason why no money came.
pub(super) fn settle(
    account: &mut Account,
    session: &str,
    outcome: Result<(), Decline>,
    cause: &Cause,
) -> Result<(), Refusal> {
    let intent = account.session(session)?.payment_intent.clone();
    let intent = intent.and_then(|id| account.intents.get(&id).cloned());
    let Some((intent, charge)) = intent
        .filter(|intent| intent.status == IntentStatus::Processing)
        .and_then(|intent| Some((intent.id, intent.latest_charge?)))
    else {
        return Err(Refusal::conflict(
            "This Checkout Session has no payment that is still processing.",
        ));
    };
    match outcome {
        Ok(()) => {
            set_charge(account, &charge, ChargeStatus::Succeeded, None);
            emit(account, cause, "charge.succeeded", &charge);
            set_status(account, &intent, IntentStatus::Succeeded);
            emit(account, cause, "payment_intent.succeeded", &intent);
            account.session_mut(session)?.payment_status = PaymentStatus::Paid;
            emit_session(account, session, cause, "async_payment_succeeded");
        }
        Err(decline) => {
            fail(account, &intent, &charge, decline, cause);
            emit_session(account, session, cause, "async_payment_failed");
        }
    }
    Ok(())
}

/// The session's intent: made when the buyer first confirms, kept for later attempts.
fn intent_of(account: &mut Account, session: &str, cause: &Cause) -> Result<String, Refusal> {
    let session = account.session_mut(session)?;
    if let Some(id) = &session.payment_intent {
        return Ok(id.clone());
    }
    let id = ids::object_id("pi");
    session.payment_intent = Some(id.clone());
    let intent = PaymentIntent {
        id: id.clone(),
        created: cause.now,
        session: session.id.clone(),
        status: IntentStatus::RequiresPaymentMethod,
        amount: session.amount_total,
        currency: session.currency.clone(),
        client_secret: format!("{id}_secret_{}", ids::secret()),
        data: session.intent_data.clone(),
        payment_method_types: session.payment_method_types.clone(),
        payment_method: None,
        latest_charge: None,
        last_payment_error: None,
    };
    account.emit(cause, "payment_intent.created", intent.render());
    account.intents.insert(intent);
    Ok(id)
}

fn start_charge(
    account: &mut Account,
    intent: &str,
    method: &PaymentMethod,
    status: ChargeStatus,
    cause: &Cause,
) {
    let Some(of) = account.intents.get_mut(intent) else {
        return;
    };
    let charge = Charge {
        id: ids::object_id("ch"),
        created: cause.now,
        payment_intent: of.id.clone(),
        status,
        amount: of.amount,
        amount_refunded: 0,
        disputed: false,
        currency: of.currency.clone(),
        description: of.data.description.clone(),
        metadata: of.data.metadata.clone(),
        method: method.clone(),
        failure: None,
    };
    of.latest_charge = Some(charge.id.clone());
    of.payment_method = Some(method.id.clone());
    of.last_payment_error = None;
    if account.payment_methods.get(&method.id).is_none() {
        account.payment_methods.insert(method.clone());
    }
    let object = charge.render();
    account.charges.insert(charge);
    match status {
        ChargeStatus::Succeeded => account.emit(cause, "charge.succeeded", object),
        ChargeStatus::Pending => account.emit(cause, "charge.pending", object),
        ChargeStatus::Failed => {}
    }
}

fn decline_charge(
    account: &mut Account,
    intent: &str,
    method: &PaymentMethod,
    decline: Decline,
    cause: &Cause,
) -> Result<(), Refusal> {
    start_charge(account, intent, method, ChargeStatus::Failed, cause);
    let charge = account
        .intents
        .get(intent)
        .and_then(|intent| intent.latest_charge.clone())
        .unwrap_or_default();
    fail(account, intent, &charge, decline, cause);
    Err(decline
        .refusal()
        .about("charge", charge.into())
        .about("payment_intent", account.render(intent).unwrap_or_default()))
}

/// The charge failed: the intent wants another method, and says why.
fn fail(account: &mut Account, intent: &str, charge: &str, decline: Decline, cause: &Cause) {
    let refusal = decline.refusal();
    let mut error = refusal.fields();
    error.insert("charge".into(), charge.into());
    let text = |name: &str| {
        error
            .get(name)
            .and_then(Value::as_str)
            .map(ToOwned::to_owned)
    };
    let failure = ChargeFailure {
        code: text("code").unwrap_or_default(),
        decline_code: text("decline_code"),
        message: refusal.message().to_owned(),
    };
    set_charge(account, charge, ChargeStatus::Failed, Some(failure));
    emit(account, cause, "charge.failed", charge);
    if let Some(method) = account
        .charges
        .get(charge)
        .map(|charge| charge.method.render())
    {
        error.insert("payment_method".into(), method);
    }
    if let Some(intent) = account.intents.get_mut(intent) {
        intent.status = IntentStatus::RequiresPaymentMethod;
        intent.payment_method = None;
        intent.last_payment_error = Some(error.into());
    }
    emit(account, cause, "payment_intent.payment_failed", intent);
}

fn complete(account: &mut Account, id: &str, method: &PaymentMethod, paid: PaymentStatus) {
    let Some(session) = account.sessions.get_mut(id) else {
        return;
    };
    session.status = SessionStatus::Complete;
    session.payment_status = paid;
    let email = method.email.as_ref().or(session.customer_email.as_ref());
    session.customer_details = Some(json!({
        "address": {
            "city": null, "country": "DE", "line1": null, "line2": null, "postal_code": null,
            "state": null
        },
        "business_name": null, "email": email, "individual_name": null, "name": method.name,
        "phone": null, "tax_exempt": "none", "tax_ids": [],
    }));
}

fn set_charge(
    account: &mut Account,
    id: &str,
    status: ChargeStatus,
    failure: Option<ChargeFailure>,
) {
    if let Some(charge) = account.charges.get_mut(id) {
        charge.status = status;
        charge.failure = failure;
    }
}

fn set_status(account: &mut Account, id: &str, status: IntentStatus) {
    if let Some(intent) = account.intents.get_mut(id) {
        intent.status = status;
    }
}

fn emit_session(account: &mut Account, id: &str, cause: &Cause, what: &str) {
    // Whoever confirms is the buyer's browser: the event names no request of the merchant's.
    let buyer = Cause::at(cause.now);
    emit(account, &buyer, &format!("checkout.session.{what}"), id);
}

/// Records an event about the object `id` as it is now.
fn emit(account: &mut Account, cause: &Cause, kind: &str, id: &str) {
    if let Some(object) = account.render(id) {
        account.emit(cause, kind, object);
    }
}
