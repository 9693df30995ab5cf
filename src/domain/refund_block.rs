//! Why a payment cannot be refunded, whoever asks for it.

use std::fmt;

use super::dispute::Dispute;
use super::dispute_status::DisputeStatus;
use super::ids::DisputeId;

/// Why a payment cannot be refunded: its money is not ours to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundBlock {
    /// A bank has it, or may take it; until that has decided.
    Disputed(DisputeId),
    /// A bank has given it back to the cardholder, for good.
    GivenBack(DisputeId),
}

impl RefundBlock {
    /// Whether the money is gone for good. While a bank has not decided, a refund is owed, and
    /// waits for that.
    pub fn is_for_good(self) -> bool {
        match self {
            Self::GivenBack(_) => true,
            Self::Disputed(_) => false,
        }
    }
}

impl fmt::Display for RefundBlock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Disputed(_) => "The payment is disputed; its bank decides who gets the money.",
            Self::GivenBack(_) => {
                "The payment was disputed, and its bank has given the money back."
            }
        })
    }
}

/// Why a payment with these disputes cannot be refunded, if it cannot: whoever asks for a refund
/// asks this first. Stripe refuses a refund of any part of a charge that is charged back. While a
/// bank only asks, a refund is what keeps it from more.
/// <https://docs.stripe.com/disputes/how-disputes-work#inquiries>
pub fn of_disputes(disputes: &[Dispute]) -> Option<RefundBlock> {
    let blocks = disputes.iter().filter_map(|dispute| match dispute.status {
        DisputeStatus::NeedsResponse | DisputeStatus::UnderReview => {
            Some(RefundBlock::Disputed(dispute.id))
        }
        DisputeStatus::Lost => Some(RefundBlock::GivenBack(dispute.id)),
        DisputeStatus::Prevented => {
            (dispute.taken_minor() > 0).then_some(RefundBlock::GivenBack(dispute.id))
        }
        DisputeStatus::WarningNeedsResponse
        | DisputeStatus::WarningUnderReview
        | DisputeStatus::WarningClosed
        | DisputeStatus::Won => None,
    });
    // What is gone for good counts more than what may be.
    blocks.reduce(|first, next| match first {
        RefundBlock::GivenBack(_) => first,
        RefundBlock::Disputed(_) => next,
    })
}

/// What banks have given back for good of a payment with these disputes, in minor units. It may be
/// a part of it; then Stripe refunds the rest neither.
pub fn given_back_minor(disputes: &[Dispute]) -> i64 {
    let given_back = disputes.iter().filter(|dispute| {
        let block = of_disputes(std::slice::from_ref(dispute));
        block.is_some_and(RefundBlock::is_for_good)
    });
    given_back.fold(0, |sum, dispute| sum.saturating_add(dispute.taken_minor()))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::disputed_funds::DisputedFunds;
    use crate::domain::money::Money;

    fn dispute(status: DisputeStatus, funds: DisputedFunds) -> Dispute {
        Dispute {
            id: DisputeId::new(),
            stripe_dispute_id: "du_1".to_owned(),
            money: Money::new(1_200, "eur".parse().unwrap()),
            status,
            funds,
            reported_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn money_that_a_bank_has_or_may_take_cannot_be_refunded() {
        use DisputeStatus as Status;
        let (untouched, withdrawn) = (DisputedFunds::Untouched, DisputedFunds::TAKEN);
        let reinstated = |reinstated_minor| DisputedFunds::Withdrawn { reinstated_minor };
        for (status, funds, expected) in [
            (Status::WarningNeedsResponse, untouched, ""),
            (Status::WarningUnderReview, untouched, ""),
            (Status::WarningClosed, untouched, ""),
            (Status::NeedsResponse, untouched, "disputed"),
            (Status::UnderReview, withdrawn, "disputed"),
            (Status::Prevented, untouched, ""),
            (Status::Prevented, withdrawn, "given back"),
            (Status::Prevented, reinstated(300), "given back"),
            (Status::Prevented, reinstated(1_200), ""),
            (Status::Won, reinstated(1_200), ""),
            (Status::Won, withdrawn, ""),
            (Status::Lost, withdrawn, "given back"),
            (Status::Lost, reinstated(300), "given back"),
        ] {
            let block = of_disputes(&[dispute(status, funds)]);

            let found = match block {
                Some(RefundBlock::Disputed(_)) => "disputed",
                Some(RefundBlock::GivenBack(_)) => "given back",
                None => "",
            };
            assert_eq!(found, expected, "{status:?} {funds:?}");
        }
    }

    #[test]
    fn what_is_gone_for_good_counts_more_than_what_may_be() {
        let open = dispute(DisputeStatus::NeedsResponse, DisputedFunds::TAKEN);
        let lost = dispute(DisputeStatus::Lost, DisputedFunds::TAKEN);
        let gone = Some(RefundBlock::GivenBack(lost.id));

        assert_eq!(of_disputes(&[open.clone(), lost.clone()]), gone);
        assert_eq!(of_disputes(&[lost, open]), gone);
        assert_eq!(of_disputes(&[]), None);
    }
}
