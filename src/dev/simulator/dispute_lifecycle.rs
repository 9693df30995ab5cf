//! What becomes of a dispute: a bank opens it, and decides about it
//! (<https://docs.stripe.com/api/disputes>).

use serde_json::{Value, json};

use super::account::{Account, Cause};
use super::dispute::{Dispute, DisputeStatus};
use super::ids;
use super::refusal::Refusal;
use super::table::Row as _;

/// What a cardholder's bank says.
pub(super) struct Complaint {
    /// In Stripe's words, such as `fraudulent`.
    pub(super) reason: String,
    /// As what the dispute begins.
    pub(super) status: DisputeStatus,
    /// About how much; `None` for all that was not refunded. It may be of all that was captured:
    /// the bank does not know of refunds.
    pub(super) amount: Option<i64>,
}

/// What a bank decides.
pub(super) struct Decision {
    /// Where the dispute stands then.
    pub(super) status: DisputeStatus,
    /// How much it gives back of what it has taken; `None` for all if the dispute is won, and else
    /// for nothing.
    pub(super) reinstated: Option<i64>,
}

/// The bank takes the payment back: the dispute exists and the funds are withdrawn. Of a warning
/// nothing is withdrawn, and the charge can still be refunded.
pub(super) fn open(
    account: &mut Account,
    intent: &str,
    complaint: &Complaint,
    cause: &Cause,
) -> Result<Value, Refusal> {
    let charge = account
        .intents
        .get(intent)
        .and_then(|intent| intent.latest_charge.clone())
        .and_then(|charge| account.charges.get_mut(&charge))
        .filter(|charge| charge.unrefunded() > 0 && !charge.disputed)
        .ok_or_else(|| Refusal::conflict("There is no payment to dispute."))?;
    let amount = complaint.amount.unwrap_or_else(|| charge.unrefunded());
    if !(1..=charge.amount).contains(&amount) {
        return Err(Refusal::conflict("The payment is not of this amount."));
    }
    charge.disputed = !complaint.status.is_warning();
    let mut dispute = Dispute {
        id: ids::object_id("du"),
        created: cause.now,
        status: complaint.status,
        amount,
        currency: charge.currency.clone(),
        charge: charge.id.clone(),
        payment_intent: charge.payment_intent.clone(),
        reason: complaint.reason.clone(),
        withdrawn: None,
        reinstated: None,
        reinstated_amount: None,
    };
    account.emit(cause, "charge.dispute.created", dispute.render());
    if !complaint.status.is_warning() {
        dispute.withdrawn = Some(cause.now);
        account.emit(cause, "charge.dispute.funds_withdrawn", dispute.render());
    }
    let object = dispute.render();
    account.disputes.insert(dispute);
    Ok(object)
}

/// The card network says that a payment is probably fraud.
pub(super) fn warn(
    account: &mut Account,
    intent: &str,
    fraud_type: &str,
    cause: &Cause,
) -> Result<Value, Refusal> {
    let charge = account
        .intents
        .get(intent)
        .and_then(|intent| intent.latest_charge.clone())
        .ok_or_else(|| Refusal::conflict("There is no payment to warn of."))?;
    let warning = json!({
        "id": ids::object_id("issfr"), "object": "radar.early_fraud_warning", "actionable": true,
        "charge": charge, "created": cause.now, "fraud_type": fraud_type, "livemode": false,
        "payment_intent": intent,
    });
    account.emit(cause, "radar.early_fraud_warning.created", warning.clone());
    Ok(warning)
}

/// What the bank decides next. A dispute that was won returns the funds, and one that was lost may
/// return a part of them; a warning that needs a response as a dispute does has become one.
/// <https://support.stripe.com/questions/dispute-for-full-charge-amount-after-a-partial-refund-was-issued>
pub(super) fn decide(
    account: &mut Account,
    id: &str,
    decision: &Decision,
    cause: &Cause,
) -> Result<Value, Refusal> {
    let status = decision.status;
    let dispute = account
        .disputes
        .get_mut(id)
        .ok_or_else(|| Refusal::no_such("dispute", id, "id"))?;
    let closed = [
        DisputeStatus::WarningClosed,
        DisputeStatus::Won,
        DisputeStatus::Lost,
    ];
    if closed.contains(&dispute.status) {
        return Err(Refusal::conflict("This dispute is already closed."));
    }
    let previous = json!({ "status": dispute.status.as_str() });
    dispute.status = status;
    let is_taken_now = !status.is_warning() && dispute.withdrawn.is_none();
    if is_taken_now {
        dispute.withdrawn = Some(cause.now);
    }
    if status == DisputeStatus::Won || decision.reinstated.is_some() {
        dispute.reinstated = Some(cause.now);
        dispute.reinstated_amount = decision.reinstated;
    }
    let is_reinstated = dispute.reinstated.is_some();
    let object = dispute.render();
    let charge = dispute.charge.clone();
    if is_taken_now {
        if let Some(charge) = account.charges.get_mut(&charge) {
            charge.disputed = true;
        }
        account.emit(cause, "charge.dispute.funds_withdrawn", object.clone());
    }
    if status == DisputeStatus::Won
        && let Some(charge) = account.charges.get_mut(&charge)
    {
        charge.disputed = false;
    }
    match status {
        DisputeStatus::WarningNeedsResponse
        | DisputeStatus::WarningUnderReview
        | DisputeStatus::NeedsResponse
        | DisputeStatus::UnderReview => {
            let kind = "charge.dispute.updated";
            account.emit_change(cause, kind, object.clone(), Some(previous));
        }
        DisputeStatus::WarningClosed | DisputeStatus::Won | DisputeStatus::Lost => {
            if is_reinstated {
                account.emit(cause, "charge.dispute.funds_reinstated", object.clone());
            }
            account.emit(cause, "charge.dispute.closed", object.clone());
        }
    }
    Ok(object)
}
