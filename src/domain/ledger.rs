//! The accounts of the money ledger, and what moves between them.

/// An account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// What Stripe holds for us.
    StripeBalance,
    /// What buyers have paid for their bookings.
    CustomerPayments,
    /// What buyers have paid and is not owed to us.
    CustomerSurplus,
    /// What banks have taken back and not given back.
    DisputedFunds,
}

impl Account {
    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StripeBalance => "stripe_balance",
            Self::CustomerPayments => "customer_payments",
            Self::CustomerSurplus => "customer_surplus",
            Self::DisputedFunds => "disputed_funds",
        }
    }

    /// The account that keeps a payment: what is owed, or what is not.
    pub fn of_payment(is_surplus: bool) -> Self {
        if is_surplus {
            Self::CustomerSurplus
        } else {
            Self::CustomerPayments
        }
    }
}

/// Why money moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferKind {
    /// Stripe has captured it.
    Capture,
    /// It goes back to the buyer.
    Refund,
    /// A refund has failed, and the money is ours again.
    RefundReversal,
    /// A person has applied to a booking what was kept as surplus.
    Acceptance,
    /// A bank takes it back. Stripe's fee for that is not booked, as no fee of Stripe's is.
    DisputeWithdrawal,
    /// A bank gives back what it has taken.
    DisputeReinstatement,
}

impl TransferKind {
    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Refund => "refund",
            Self::RefundReversal => "refund_reversal",
            Self::Acceptance => "acceptance",
            Self::DisputeWithdrawal => "dispute_withdrawal",
            Self::DisputeReinstatement => "dispute_reinstatement",
        }
    }

    /// The debited and the credited account of a movement of a payment that `account` keeps. A
    /// capture debits Stripe's balance; a refund is the other way round. A dispute leaves what the
    /// account keeps: it is not known yet whose that is.
    pub fn accounts(self, account: Account) -> Entry {
        match self {
            Self::Capture | Self::RefundReversal => Entry {
                debit: Account::StripeBalance,
                credit: account,
            },
            Self::Refund => Entry {
                debit: account,
                credit: Account::StripeBalance,
            },
            Self::Acceptance => Entry {
                debit: Account::CustomerSurplus,
                credit: Account::CustomerPayments,
            },
            Self::DisputeWithdrawal => Entry {
                debit: Account::DisputedFunds,
                credit: Account::StripeBalance,
            },
            Self::DisputeReinstatement => Entry {
                debit: Account::StripeBalance,
                credit: Account::DisputedFunds,
            },
        }
    }
}

/// Two accounts between which one amount moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Where it comes to.
    pub debit: Account,
    /// Where it comes from.
    pub credit: Account,
}
