//! What becomes of a refund: it is created, changed, and settled by a bank, now or later
//! (<https://docs.stripe.com/api/refunds>).

use serde_json::{Value, json};

use super::account::{Account, Cause};
use super::charge::{Charge, ChargeStatus};
use super::currency;
use super::ids;
use super::parameters::Parameters;
use super::payment_method::Behaviour;
use super::refund::{Refund, RefundStatus};
use super::refusal::Refusal;
use super::table::Row as _;

const REASONS: &[&str] = &["duplicate", "fraudulent", "requested_by_customer"];

/// `POST /v1/refunds`: by payment intent or charge; without an amount, the rest of the charge.
pub(super) fn create(
    account: &mut Account,
    mut parameters: Parameters,
    cause: &Cause,
) -> Result<Value, Refusal> {
    let intent = parameters.text("payment_intent")?;
    let charge = parameters.text("charge")?;
    let amount = positive_amount(&mut parameters)?;
    let reason = parameters.choice("reason", REASONS)?;
    let metadata = parameters.metadata("metadata")?.into_metadata()?;
    parameters.ignore(&[
        "instructions_email",
        "refund_application_fee",
        "reverse_transfer",
    ]);
    parameters.finish()?;
    let charge = charge_to_refund(account, intent.as_deref(), charge.as_deref())?;
    let amount = refundable(&charge, amount)?;
    let refund = Refund {
        id: ids::object_id("re"),
        created: cause.now,
        status: if charge.method.behaviour == Behaviour::Succeeds {
            RefundStatus::Succeeded
        } else {
            RefundStatus::Pending
        },
        amount,
        currency: charge.currency.clone(),
        charge: charge.id.clone(),
        payment_intent: charge.payment_intent.clone(),
        reason,
        metadata,
    };
    let object = refund.render();
    account.refunds.insert(refund);
    account.emit(cause, "refund.created", object.clone());
    take_back(account, &charge, amount, cause);
    Ok(object)
}

/// `POST /v1/refunds/{id}`: only metadata can be changed.
pub(super) fn update(
    account: &mut Account,
    id: &str,
    mut parameters: Parameters,
    cause: &Cause,
) -> Result<Value, Refusal> {
    let change = parameters.metadata("metadata")?;
    parameters.finish()?;
    let refund = account
        .refunds
        .get_mut(id)
        .ok_or_else(|| Refusal::no_such("refund", id, "id"))?;
    let before = refund.metadata.clone();
    change.apply(&mut refund.metadata)?;
    let object = refund.render();
    let previous = json!({ "metadata": before });
    account.emit_change(cause, "refund.updated", object.clone(), Some(previous));
    Ok(object)
}

/// What the bank says later. Money that could not be given back belongs to the charge again.
pub(super) fn settle(
    account: &mut Account,
    id: &str,
    status: RefundStatus,
    cause: &Cause,
) -> Result<Value, Refusal> {
    let refund = account
        .refunds
        .get_mut(id)
        .ok_or_else(|| Refusal::no_such("refund", id, "id"))?;
    if refund.status.is_void() {
        return Err(Refusal::conflict(
            "This refund has already failed or been canceled.",
        ));
    }
    let previous = json!({ "status": refund.status.as_str() });
    refund.status = status;
    let object = refund.render();
    if status.is_void() {
        let (charge, amount) = (refund.charge.clone(), refund.amount);
        if let Some(charge) = account.charges.get_mut(&charge) {
            charge.amount_refunded = charge.amount_refunded.saturating_sub(amount);
        }
    }
    account.emit_change(cause, "refund.updated", object.clone(), Some(previous));
    if status == RefundStatus::Failed {
        account.emit(cause, "refund.failed", object.clone());
    }
    Ok(object)
}

fn positive_amount(parameters: &mut Parameters) -> Result<Option<i64>, Refusal> {
    match parameters.integer("amount")? {
        Some(amount) if amount < 1 => Err(Refusal::invalid(
            "amount",
            "This value must be greater than or equal to 1.",
        )
        .code("parameter_invalid_integer")),
        amount => Ok(amount),
    }
}

fn charge_to_refund(
    account: &Account,
    intent: Option<&str>,
    charge: Option<&str>,
) -> Result<Charge, Refusal> {
    let charge = match (intent, charge) {
        (_, Some(id)) => account
            .charges
            .get(id)
            .ok_or_else(|| Refusal::no_such("charge", id, "charge"))?,
        (Some(id), None) => {
            let intent = account
                .intents
                .get(id)
                .ok_or_else(|| Refusal::no_such("payment_intent", id, "payment_intent"))?;
            let charge = intent.latest_charge.as_ref();
            charge
                .and_then(|charge| account.charges.get(charge))
                .filter(|charge| charge.status == ChargeStatus::Succeeded)
                .ok_or_else(|| {
                    Refusal::conflict(format!(
                        "This PaymentIntent ({id}) does not have a successful charge to refund."
                    ))
                    .code("payment_intent_unexpected_state")
                })?
        }
        (None, None) => {
            return Err(Refusal::new(
                400,
                "invalid_request_error",
                "One of the following params should be provided for this request: payment_intent \
                 or charge.",
            )
            .code("parameter_missing"));
        }
    };
    if charge.status != ChargeStatus::Succeeded {
        return Err(Refusal::conflict(format!(
            "Charge {} is not a successful charge and cannot be refunded.",
            charge.id
        )));
    }
    Ok(charge.clone())
}

fn refundable(charge: &Charge, amount: Option<i64>) -> Result<i64, Refusal> {
    let rest = charge.unrefunded();
    if charge.disputed {
        return Err(Refusal::conflict(format!(
            "Charge {} has been charged back; cannot issue a refund.",
            charge.id
        ))
        .code("charge_disputed"));
    }
    if rest == 0 {
        return Err(
            Refusal::conflict(format!("Charge {} has already been refunded.", charge.id))
                .code("charge_already_refunded"),
        );
    }
    let amount = amount.unwrap_or(rest);
    if amount <= rest {
        return Ok(amount);
    }
    let show = |amount| currency::format_amount(&charge.currency, amount);
    Err(Refusal::invalid(
        "amount",
        format!(
            "Refund amount ({}) is greater than unrefunded amount on charge ({})",
            show(amount),
            show(rest)
        ),
    )
    .executed())
}

/// A refund counts against its charge from the moment it exists, pending or not.
fn take_back(account: &mut Account, charge: &Charge, amount: i64, cause: &Cause) {
    let previous = json!({
        "amount_refunded": charge.amount_refunded,
        "refunded": charge.unrefunded() == 0,
    });
    let Some(charge) = account.charges.get_mut(&charge.id) else {
        return;
    };
    charge.amount_refunded = charge.amount_refunded.saturating_add(amount);
    let object = charge.render();
    account.emit_change(cause, "charge.refunded", object, Some(previous));
}
