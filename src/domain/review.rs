//! Bookings that wait for a person: what can be decided, and what becomes of the money.

use super::attempt::PaymentPart;
use super::ids::PaymentId;
use super::money::Money;
use super::refund_request::{GrantedRefund, RefundablePayment};
use super::refund_state::RefundedPayment;
use super::refusal::Refusal;
use super::resolution::Resolution;

/// What becomes of the money that was kept for a booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewOutcome {
    /// The payment that it is confirmed for, if there is one.
    pub accepted: Option<PaymentId>,
    /// All else goes back.
    pub refunds: Vec<GrantedRefund>,
}

/// What a booking under review waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Awaited {
    /// What was asked for: what is due for confirmation, or the balance.
    pub money: Money,
    /// Whether the booking was confirmed before, so that it is the balance.
    pub is_balance: bool,
}

/// What a booking costs, and how much of it is due for confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// What all of it costs.
    pub total: Money,
    /// What confirms it, in minor units.
    pub due_minor: i64,
}

impl Price {
    /// How much of it is met once a person has accepted a payment of this part, with which so much
    /// is paid. By what is less than was due for the part, or more than the total, the buyer is let
    /// off; what is more than the deposit makes the balance smaller, and one that Stripe does not
    /// charge for being too small is let off as well.
    pub fn met_minor(self, part: PaymentPart, paid_minor: i64) -> i64 {
        let total_minor = self.total.amount_minor;
        let left_minor = total_minor.saturating_sub(paid_minor);
        if part == PaymentPart::Balance || left_minor < self.total.currency.minimum_minor() {
            total_minor
        } else {
            paid_minor.max(self.due_minor)
        }
    }
}

/// Decides what becomes of the payments, newest first, of a booking. Of several the one is accepted
/// that is right, else the oldest. A booking that was confirmed before stays so without any, and
/// what was applied to it goes back only if it is cancelled. What a bank has given back is neither
/// accepted nor given back again; while it has not decided, a refund is owed, and waits for that.
pub fn decide(
    resolution: Resolution,
    awaited: Awaited,
    payments: &[RefundablePayment],
) -> Result<ReviewOutcome, Refusal> {
    let ours = payments.iter().filter(|one| !one.is_gone());
    let ours: Vec<_> = ours.map(|one| &one.payment).collect();
    let accepted = match resolution {
        Resolution::Cancel => None,
        Resolution::Confirm => {
            let accepted = find_acceptable(awaited, &ours);
            if accepted.is_none() && !awaited.is_balance {
                let message = "cannot be confirm: no money for it is here in its currency";
                return Err(Refusal::field("action", message));
            }
            accepted
        }
    };
    let others = ours.into_iter().filter(|payment| match resolution {
        Resolution::Cancel => true,
        Resolution::Confirm => payment.is_surplus && accepted != Some(payment.id),
    });
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

fn find_acceptable(awaited: Awaited, payments: &[&RefundedPayment]) -> Option<PaymentId> {
    let mut acceptable = payments.iter().filter(|payment| {
        payment.is_surplus
            && (payment.part == PaymentPart::Balance) == awaited.is_balance
            && payment.money.currency == awaited.money.currency
            && payment.unreserved_minor() == payment.money.amount_minor
    });
    let right = acceptable
        .clone()
        .find(|payment| payment.money == awaited.money);
    right.or_else(|| acceptable.next_back()).map(|one| one.id)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::ids::{BookingId, DisputeId, RefundId};
    use crate::domain::refund_block::RefundBlock;
    use crate::domain::refund_state::{RefundState, RefundStatus};
    use Resolution::{Cancel, Confirm};

    /// Surplus, of which so much is on its way back.
    fn surplus(amount_minor: i64, currency: &str, reserved_minor: i64) -> RefundedPayment {
        let money = |amount_minor| Money::new(amount_minor, currency.parse().unwrap());
        let refund = RefundState {
            id: RefundId::new(),
            stripe_refund_id: None,
            is_by_hand: false,
            money: money(reserved_minor),
            status: RefundStatus::Requested,
            failure_reason: None,
            created_at: DateTime::UNIX_EPOCH,
            refused_since: None,
        };
        RefundedPayment {
            id: PaymentId::new(),
            booking_id: BookingId::new(),
            part: PaymentPart::Full,
            money: money(amount_minor),
            is_surplus: true,
            refunds: (reserved_minor > 0).then_some(refund).into_iter().collect(),
        }
    }

    /// A decision in a few words, where no bank has a say.
    fn said(resolution: Resolution, awaited: Awaited, payments: &[RefundedPayment]) -> String {
        let payments = payments.iter().map(|payment| RefundablePayment {
            payment: payment.clone(),
            block: None,
        });
        said_of_disputed(resolution, awaited, &payments.collect::<Vec<_>>())
    }

    fn said_of_disputed(
        resolution: Resolution,
        awaited: Awaited,
        payments: &[RefundablePayment],
    ) -> String {
        let Ok(outcome) = decide(resolution, awaited, payments) else {
            return "refused".to_owned();
        };
        let accepted = outcome.accepted.map(|id| {
            let accepted = payments.iter().find(|one| one.payment.id == id);
            format!("accepts {}", accepted.unwrap().payment.money.amount_minor)
        });
        let done = match resolution {
            Confirm => accepted.unwrap_or_else(|| "confirms".to_owned()),
            Cancel => "cancels".to_owned(),
        };
        let back = outcome.refunds.iter();
        let back = back.map(|refund| format!(", {} back", refund.amount.amount_minor));
        done + &back.collect::<String>()
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
            let awaited = Awaited {
                money: Money::new(1_000, "eur".parse().unwrap()),
                is_balance: false,
            };

            let said = said(resolution, awaited, &payments);

            assert_eq!(said, expected, "{resolution:?} {payments:?}");
        }
    }

    #[test]
    fn who_accepts_a_payment_lets_off_what_is_less_than_was_due() {
        let price = Price {
            total: Money::new(2_400, "eur".parse().unwrap()),
            due_minor: 1_200,
        };
        for (part, paid_minor, met_minor) in [
            (PaymentPart::Deposit, 1_000, 1_200),
            (PaymentPart::Deposit, 1_300, 1_300),
            (PaymentPart::Deposit, 2_351, 2_400),
            (PaymentPart::Deposit, 2_350, 2_350),
            (PaymentPart::Full, 2_500, 2_400),
            (PaymentPart::Balance, 1_300, 2_400),
        ] {
            assert_eq!(
                price.met_minor(part, paid_minor),
                met_minor,
                "{part:?} {paid_minor}"
            );
        }
    }

    #[test]
    fn a_balance_is_accepted_for_a_booking_that_stays_confirmed_without_it() {
        let deposit = RefundedPayment {
            part: PaymentPart::Deposit,
            is_surplus: false,
            ..surplus(501, "eur", 0)
        };
        let twice = RefundedPayment {
            is_surplus: true,
            ..deposit.clone()
        };
        let balance = |currency| RefundedPayment {
            part: PaymentPart::Balance,
            ..surplus(499, currency, 0)
        };
        for (resolution, other, expected) in [
            (Confirm, balance("eur"), "accepts 499"),
            (Confirm, balance("usd"), "confirms, 499 back"),
            (Confirm, twice.clone(), "confirms, 501 back"),
            (Cancel, balance("eur"), "cancels, 499 back, 501 back"),
        ] {
            let payments = [other, deposit.clone()];
            let awaited = Awaited {
                money: Money::new(500, "eur".parse().unwrap()),
                is_balance: true,
            };

            let said = said(resolution, awaited, &payments);

            assert_eq!(said, expected, "{resolution:?} {payments:?}");
        }
    }
    #[test]
    fn what_a_bank_has_given_back_is_neither_accepted_nor_given_back_again() {
        let disputed = Some(RefundBlock::Disputed(DisputeId::new()));
        let gone = Some(RefundBlock::GivenBack(DisputeId::new()));
        for (resolution, blocks, expected) in [
            (Confirm, [gone, None], "accepts 999"),
            (Confirm, [disputed, None], "accepts 1000, 999 back"),
            (Confirm, [None, gone], "accepts 1000"),
            (Confirm, [None, disputed], "accepts 1000, 999 back"),
            (Confirm, [gone, gone], "refused"),
            (Cancel, [gone, None], "cancels, 999 back"),
            (Cancel, [disputed, disputed], "cancels, 1000 back, 999 back"),
            (Cancel, [gone, gone], "cancels"),
        ] {
            let payments = [1_000, 999].into_iter().zip(blocks);
            let payments = payments.map(|(amount, block)| RefundablePayment {
                payment: surplus(amount, "eur", 0),
                block,
            });
            let awaited = Awaited {
                money: Money::new(1_000, "eur".parse().unwrap()),
                is_balance: false,
            };

            let said = said_of_disputed(resolution, awaited, &payments.collect::<Vec<_>>());

            assert_eq!(said, expected, "{resolution:?} {blocks:?}");
        }
    }
}
