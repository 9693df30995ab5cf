//! A refund that an admin asks for: of which payment it can be made.

use super::ids::PaymentId;
use super::money::Money;
use super::refund_block::RefundBlock;
use super::refund_state::RefundedPayment;
use super::refusal::Refusal;

/// Of which payment, and how much, as far as the admin says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedRefund {
    /// The payment.
    pub payment_id: Option<PaymentId>,
    /// How much, more than nothing; all that is left if it is absent.
    pub amount: Option<Money>,
}

/// A payment, and whether it can be refunded at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundablePayment {
    /// The payment, read under its lock.
    pub payment: RefundedPayment,
    /// Why it cannot.
    pub block: Option<RefundBlock>,
}

impl RefundablePayment {
    /// Whether a bank has given its money back for good.
    pub fn is_gone(&self) -> bool {
        self.block.is_some_and(RefundBlock::is_for_good)
    }
}

/// What can be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantedRefund {
    /// Of this payment.
    pub payment_id: PaymentId,
    /// So much.
    pub amount: Money,
}

impl WantedRefund {
    /// Whether this is as much as is wanted.
    fn is_met_by(&self, left_minor: i64) -> bool {
        match self.amount {
            Some(amount) => left_minor >= amount.amount_minor,
            None => left_minor > 0,
        }
    }
}

/// Decides which of a booking's payments is given back: the first of them that has so much left.
/// `nothing` is 0 in the currency of the booking.
pub fn decide(
    payments: &[RefundablePayment],
    wanted: WantedRefund,
    nothing: Money,
) -> Result<GrantedRefund, Refusal> {
    let is_named =
        |one: &&RefundablePayment| wanted.payment_id.is_none_or(|id| one.payment.id == id);
    let named: Vec<_> = payments.iter().filter(is_named).collect();
    if named.is_empty() && wanted.payment_id.is_some() {
        return Err(Refusal::NotFound("payment"));
    }
    let is_in_currency = |one: &&&RefundablePayment| {
        wanted
            .amount
            .is_none_or(|amount| amount.currency == one.payment.money.currency)
    };
    let fitting: Vec<_> = named.iter().filter(is_in_currency).copied().collect();
    if let (true, Some(other)) = (fitting.is_empty(), named.first()) {
        let currency = other.payment.money.currency;
        let message = format!("must be that of the payment, {currency}");
        return Err(Refusal::field("amount.currency", message));
    }
    let free = fitting.iter().filter(|one| one.block.is_none());
    let free: Vec<_> = free.map(|one| &one.payment).collect();
    let enough = free
        .iter()
        .find(|payment| wanted.is_met_by(payment.unreserved_minor()));
    if let Some(payment) = enough {
        let all = Money::new(payment.unreserved_minor(), payment.money.currency);
        return Ok(GrantedRefund {
            payment_id: payment.id,
            amount: wanted.amount.unwrap_or(all),
        });
    }
    if free
        .iter()
        .any(|payment| wanted.is_met_by(payment.unreturned_minor()))
    {
        return Err(Refusal::RefundInProgress);
    }
    let most = free.iter().max_by_key(|payment| payment.unreserved_minor());
    let refundable = most.map_or(nothing, |payment| {
        Money::new(payment.unreserved_minor(), payment.money.currency)
    });
    Err(Refusal::RefundExceedsPayment {
        refundable,
        block: fitting.iter().find_map(|one| one.block),
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::attempt::PaymentPart;
    use crate::domain::ids::{BookingId, DisputeId, RefundId};
    use crate::domain::refund_state::{RefundState, RefundStatus};
    use RefundStatus as Status;

    fn money(amount_minor: i64, currency: &str) -> Money {
        Money::new(amount_minor, currency.parse().unwrap())
    }

    /// A payment of 10 euros with these refunds.
    fn payment(refunds: &[(i64, Status)]) -> RefundablePayment {
        let refunds = refunds.iter().map(|(amount, status)| RefundState {
            id: RefundId::new(),
            stripe_refund_id: None,
            is_by_hand: false,
            money: money(*amount, "eur"),
            status: *status,
            failure_reason: None,
            created_at: DateTime::UNIX_EPOCH,
            refused_since: None,
        });
        RefundablePayment {
            payment: RefundedPayment {
                id: PaymentId::new(),
                booking_id: BookingId::new(),
                part: PaymentPart::Full,
                money: money(1_000, "eur"),
                is_surplus: false,
                refunds: refunds.collect(),
            },
            block: None,
        }
    }

    fn disputed() -> RefundablePayment {
        RefundablePayment {
            block: Some(RefundBlock::Disputed(DisputeId::new())),
            ..payment(&[])
        }
    }

    /// How much is granted of which of the payments, or why nothing is.
    fn said(payments: &[RefundablePayment], amount: Option<Money>) -> String {
        let wanted = WantedRefund {
            payment_id: None,
            amount,
        };
        match decide(payments, wanted, money(0, "eur")) {
            Ok(granted) => {
                let is_granted = |one: &RefundablePayment| one.payment.id == granted.payment_id;
                let place = payments.iter().position(is_granted).unwrap();
                format!("{} of {place}", granted.amount.amount_minor)
            }
            Err(Refusal::RefundExceedsPayment { refundable, block }) => {
                let block = if block.is_some() { " blocked" } else { "" };
                format!("at most {}{block}", refundable.amount_minor)
            }
            Err(refusal) => refusal.code().to_owned(),
        }
    }

    #[test]
    fn the_first_payment_that_has_so_much_left_is_given_back() {
        let eur = |amount| Some(money(amount, "eur"));
        for (payments, amount, expected) in [
            (vec![payment(&[])], None, "1000 of 0"),
            (vec![payment(&[])], eur(400), "400 of 0"),
            (vec![payment(&[])], eur(1_000), "1000 of 0"),
            (vec![payment(&[])], eur(1_001), "at most 1000"),
            (vec![], None, "at most 0"),
            (vec![payment(&[(400, Status::Succeeded)])], None, "600 of 0"),
            (vec![payment(&[(400, Status::Requested)])], None, "600 of 0"),
            (vec![payment(&[(400, Status::Failed)])], None, "1000 of 0"),
            (
                vec![payment(&[(400, Status::Succeeded)])],
                eur(601),
                "at most 600",
            ),
            (
                vec![payment(&[(400, Status::Requested)])],
                eur(601),
                "refund_in_progress",
            ),
            (
                vec![payment(&[(1_000, Status::Pending)])],
                None,
                "refund_in_progress",
            ),
            (
                vec![payment(&[(1_000, Status::Succeeded)])],
                None,
                "at most 0",
            ),
            (
                vec![payment(&[(1_000, Status::Succeeded)]), payment(&[])],
                None,
                "1000 of 1",
            ),
            (
                vec![payment(&[(600, Status::Succeeded)]), payment(&[])],
                eur(500),
                "500 of 1",
            ),
            (vec![disputed()], None, "at most 0 blocked"),
            (vec![disputed(), payment(&[])], None, "1000 of 1"),
            (
                vec![payment(&[])],
                Some(money(400, "usd")),
                "validation_failed",
            ),
        ] {
            assert_eq!(said(&payments, amount), expected, "{payments:?} {amount:?}");
        }
    }

    #[test]
    fn a_payment_that_is_named_is_the_one_or_there_is_none() {
        let payments = [payment(&[]), payment(&[])];
        let wanted = |payment_id| WantedRefund {
            payment_id: Some(payment_id),
            amount: None,
        };
        let last = payments[1].payment.id;

        let granted = decide(&payments, wanted(last), money(0, "eur"));
        let unknown = decide(&payments, wanted(PaymentId::new()), money(0, "eur"));

        assert_eq!(granted.unwrap().payment_id, last);
        assert_eq!(unknown, Err(Refusal::NotFound("payment")));
    }
}
