//! The undocumented routes through which Stripe's page and command line pay a session, by API
//! instead of by form.

use serde_json::{Value, json};

use super::account::{Account, Cause};
use super::parameters::Parameters;
use super::payment::{self, Overrides};
use super::payment_method::PaymentMethod;
use super::refusal::Refusal;
use super::table::Row as _;

/// `GET /v1/payment_pages/{session}`.
pub(super) fn show(account: &Account, id: &str) -> Result<Value, Refusal> {
    let session = account.session(id)?;
    Ok(json!({
        "id": format!("ppage_{}", session.id.trim_start_matches("cs_test_")),
        "object": "checkout.session", "session_id": session.id, "livemode": false,
        "status": session.status.as_str(), "currency": session.currency,
        "total_summary": { "due": session.amount_total, "total": session.amount_total },
        "eid": session.id, "payment_method_types": session.payment_method_types,
    }))
}

/// `POST /v1/payment_methods`: a test number or token becomes a payment method.
pub(super) fn create_payment_method(
    account: &mut Account,
    mut parameters: Parameters,
    cause: &Cause,
) -> Result<Value, Refusal> {
    parameters.ignore(&["type", "metadata", "allow_redisplay"]);
    let mut card = parameters.nested("card")?.unwrap_or_default();
    let mut debit = parameters.nested("sepa_debit")?.unwrap_or_default();
    card.ignore(&["exp_month", "exp_year", "cvc"]);
    let number = card
        .text("token")?
        .or(card.text("number")?)
        .or(debit.text("iban")?);
    card.finish()?;
    debit.finish()?;
    let mut billing = parameters.nested("billing_details")?.unwrap_or_default();
    let number = number.ok_or_else(|| Refusal::missing("card"))?;
    let mut method = PaymentMethod::new(&number, cause.now);
    method.email = billing.text("email")?;
    method.name = billing.text("name")?;
    parameters.finish()?;
    let object = method.render();
    account.payment_methods.insert(method);
    Ok(object)
}

/// `POST /v1/payment_pages/{session}/confirm`.
pub(super) fn confirm(
    account: &mut Account,
    id: &str,
    mut parameters: Parameters,
    cause: &Cause,
) -> Result<Value, Refusal> {
    let method = parameters.required("payment_method")?;
    let expected = parameters.integer("expected_amount")?;
    let due = account.session(id)?.amount_total;
    if expected.is_some_and(|expected| expected != due) {
        return Err(Refusal::invalid(
            "expected_amount",
            format!("The amount due is {due}, not what was expected."),
        )
        .code("checkout_amount_mismatch")
        .executed());
    }
    let method = match account.payment_methods.get(&method) {
        Some(method) => method.clone(),
        None if method.starts_with("pm_card_") => PaymentMethod::new(&method, cause.now),
        None => return Err(Refusal::no_such("PaymentMethod", &method, "payment_method")),
    };
    payment::pay(account, id, &method, Overrides::default(), cause)?;
    Ok(account.session(id)?.render())
}
