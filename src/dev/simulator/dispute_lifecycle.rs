//! What becomes of a dispute: a bank opens it, and decides about it
//! (<https://docs.stripe.com/api/disputes>).

use serde_json::{Value, json};

use super::account::{Account, Cause};
use super::dispute::{Dispute, DisputeStatus};
use super::ids;
use super::refusal::Refusal;
use super::table::Row as _;

/// The bank takes the whole payment back: the dispute exists and the funds are withdrawn.
pub(super) fn open(
    account: &mut Account,
    intent: &str,
    reason: &str,
    cause: &Cause,
) -> Result<Value, Refusal> {
    let charge = account
        .intents
        .get(intent)
        .and_then(|intent| intent.latest_charge.clone())
        .and_then(|charge| account.charges.get_mut(&charge))
        .filter(|charge| charge.unrefunded() > 0 && !charge.disputed)
        .ok_or_else(|| Refusal::conflict("There is no payment to dispute."))?;
    charge.disputed = true;
    let dispute = Dispute {
        id: ids::object_id("du"),
        created: cause.now,
        status: DisputeStatus::NeedsResponse,
        amount: charge.unrefunded(),
        currency: charge.currency.clone(),
        charge: charge.id.clone(),
        payment_intent: charge.payment_intent.clone(),
        reason: reason.to_owned(),
    };
    let object = dispute.render();
    account.disputes.insert(dispute);
    account.emit(cause, "charge.dispute.created", object.clone());
    account.emit(cause, "charge.dispute.funds_withdrawn", object.clone());
    Ok(object)
}

/// What the bank decides next. A dispute that was won returns the funds.
pub(super) fn decide(
    account: &mut Account,
    id: &str,
    status: DisputeStatus,
    cause: &Cause,
) -> Result<Value, Refusal> {
    let dispute = account
        .disputes
        .get_mut(id)
        .ok_or_else(|| Refusal::no_such("dispute", id, "id"))?;
    if matches!(dispute.status, DisputeStatus::Won | DisputeStatus::Lost) {
        return Err(Refusal::conflict("This dispute is already closed."));
    }
    let previous = json!({ "status": dispute.status.as_str() });
    dispute.status = status;
    let object = dispute.render();
    let charge = dispute.charge.clone();
    match status {
        DisputeStatus::NeedsResponse | DisputeStatus::UnderReview => {
            let kind = "charge.dispute.updated";
            account.emit_change(cause, kind, object.clone(), Some(previous));
        }
        DisputeStatus::Lost => account.emit(cause, "charge.dispute.closed", object.clone()),
        DisputeStatus::Won => {
            if let Some(charge) = account.charges.get_mut(&charge) {
                charge.disputed = false;
            }
            account.emit(cause, "charge.dispute.funds_reinstated", object.clone());
            account.emit(cause, "charge.dispute.closed", object.clone());
        }
    }
    Ok(object)
}
