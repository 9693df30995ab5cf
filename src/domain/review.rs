//! Bookings that wait for a person: what can be decided, and what becomes of the money.

use super::ids::PaymentId;
use super::money::Money;
use super::refund_request::GrantedRefund;
use super::refund_state::RefundedPayment;
use super::refusal::Refusal;
use super::resolution::Resolution;

/// What becomes of the money that was kept for a booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewOutcome {
    /// The payment that confirms it; none if it is cancelled.
    pub accepted: Option<PaymentId>,
    /// All else goes back.
    pub refunds: Vec<GrantedRefund>,
}

/// Decides what becomes of the payments, newest first, of a booking of which so much is due. Of
/// several the one is accepted that is right, else the oldest.
pub fn decide(
    resolution: Resolution,
    due: Money,
    payments: &[RefundedPayment],
) -> Result<ReviewOutcome, Refusal> {
    let surplus = payments.iter().filter(|payment| payment.is_surplus);
    let accepted = match resolution {
        Resolution::Cancel => None,
        Resolution::Confirm => {
            let mut acceptable = surplus.clone().filter(|payment| {
                payment.money.currency == due.currency
                    && payment.unreserved_minor() == payment.money.amount_minor
            });
            let right = acceptable.clone().find(|payment| payment.money == due);
            let accepted = right.or_else(|| acceptable.next_back());
            let message = "cannot be confirm: no money for it is here in its currency";
            let accepted = accepted.ok_or_else(|| Refusal::field("action", message))?;
            Some(accepted.id)
        }
    };
    let others = surplus.filter(|payment| accepted != Some(payment.id));
    let refunds = others.map(|payment| GrantedRefund {
        payment_id: payment.id,
        amount: Money::new(payment.unreserved_minor(), payment.money.currency),
    });
    Ok(ReviewOutcome {
        accepted,
        refunds: refunds
            .filter(|refund| refund.amount.amount_minor > 0)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::ids::{BookingId, RefundId};
    use crate::domain::refund_state::{RefundState, RefundStatus};
    use Resolution::{Cancel, Confirm};

    /// Surplus, of which so much is on its way back.
    fn surplus(amount_minor: i64, currency: &str, reserved_minor: i64) -> RefundedPayment {
        let money = |amount_minor| Money::new(amount_minor, currency.parse().unwrap());
        let refund = RefundState {
            id: RefundId::new(),
            stripe_refund_id: None,
            money: money(reserved_minor),
            status: RefundStatus::Requested,
            failure_reason: None,
            created_at: DateTime::UNIX_EPOCH,
        };
        RefundedPayment {
            id: PaymentId::new(),
            booking_id: BookingId::new(),
            money: money(amount_minor),
            is_surplus: true,
            refunds: (reserved_minor > 0).then_some(refund).into_iter().collect(),
        }
    }

    #[test]
    fn what_fits_best_is_accepted_and_all_else_goes_back() {
        let eur = |amount| surplus(amount, "eur", 0);
        for (resolution, payments, expected) in [
            (Confirm, vec![eur(999)], "accepts 999"),
            (Confirm, vec![eur(1_001)], "accepts 1001"),
            (
                Confirm,
                vec![eur(1_000), eur(999)],
                "accepts 1000, 999 back",
            ),
            (Confirm, vec![eur(998), eur(999)], "accepts 999, 998 back"),
            (
                Confirm,
                vec![surplus(1_000, "usd", 0), eur(999)],
                "accepts 999, 1000 back",
            ),
            (
                Confirm,
                vec![surplus(1_000, "eur", 1_000), eur(999)],
                "accepts 999",
            ),
            (Confirm, vec![surplus(1_000, "usd", 0)], "refused"),
            (Confirm, vec![surplus(1_000, "eur", 400)], "refused"),
            (Confirm, vec![], "refused"),
            (Cancel, vec![], "cancels"),
            (Cancel, vec![eur(999)], "cancels, 999 back"),
            (
                Cancel,
                vec![surplus(1_000, "usd", 400), eur(999)],
                "cancels, 600 back, 999 back",
            ),
        ] {
            let due = Money::new(1_000, "eur".parse().unwrap());

            let said = match decide(resolution, due, &payments) {
                Err(_) => "refused".to_owned(),
                Ok(outcome) => {
                    let accepted = outcome.accepted.map(|id| {
                        let accepted = payments.iter().find(|payment| payment.id == id);
                        format!("accepts {}", accepted.unwrap().money.amount_minor)
                    });
                    let back = outcome
                        .refunds
                        .iter()
                        .map(|refund| format!("{} back", refund.amount.amount_minor));
                    let said = accepted.unwrap_or_else(|| "cancels".to_owned());
                    [said]
                        .into_iter()
                        .chain(back)
                        .collect::<Vec<_>>()
                        .join(", ")
                }
            };

            assert_eq!(said, expected, "{resolution:?} {payments:?}");
        }
    }
}
