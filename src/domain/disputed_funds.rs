//! Where the money of a dispute is: what Stripe has moved for it, in the currency of its payment.

use super::currency::Currency;
use super::dispute_status::DisputeStatus;
use super::money::Money;

/// Where the money of a dispute is. It is withdrawn once, and what is reinstated only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DisputedFunds {
    /// With us, as far as is known.
    Untouched,
    /// Stripe has taken it from our balance.
    Withdrawn {
        /// How much of it Stripe has given back after that.
        reinstated_minor: i64,
    },
}

impl DisputedFunds {
    /// Taken, and nothing of it given back.
    pub const TAKEN: Self = Self::Withdrawn {
        reinstated_minor: 0,
    };

    /// How much was given back, in minor units.
    pub fn reinstated_minor(self) -> i64 {
        match self {
            Self::Untouched => 0,
            Self::Withdrawn { reinstated_minor } => reinstated_minor,
        }
    }
}

/// What a report says of money that Stripe has moved for a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FundsReport {
    /// Whether money was taken from our balance.
    pub is_withdrawn: bool,
    /// Whether money was given back.
    pub is_reinstated: bool,
    /// How much, as far as it says so.
    pub movements: Movements,
}

/// The movements of our balance for a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Movements {
    /// What was taken, in minor units.
    pub withdrawn_minor: i64,
    /// What was given back, in minor units.
    pub reinstated_minor: i64,
    /// The currency of both: that of our balance, which may be another than that of the payment.
    /// `None` if it cannot be read, or where they are in several.
    pub currency: Option<Currency>,
}

/// Where the money of a dispute is, as far as one report says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundFunds {
    /// Where.
    pub funds: DisputedFunds,
    /// Whether how much was given back is not said, or is known by a rate of exchange only.
    pub is_unclear: bool,
}

impl FundsReport {
    /// Where the money of a dispute of `disputed` is that stands so, by this report.
    ///
    /// Of a dispute that is won all comes back. Of another one what the buyer had been given back
    /// before may: then it is lost, and won in part.
    /// <https://support.stripe.com/questions/dispute-for-full-charge-amount-after-a-partial-refund-was-issued>
    pub fn of(self, disputed: Money, status: DisputeStatus) -> FoundFunds {
        let moved = self.movements;
        let (funds, is_unclear) = if self.is_reinstated {
            let (reinstated_minor, is_unclear) = match moved.currency {
                Some(currency) if currency == disputed.currency && moved.reinstated_minor > 0 => {
                    (moved.reinstated_minor, false)
                }
                Some(_) | None if status == DisputeStatus::Won => (disputed.amount_minor, false),
                Some(_) => (moved.share_of(disputed).unwrap_or_default(), true),
                None => (0, true),
            };
            let reinstated_minor = reinstated_minor.min(disputed.amount_minor);
            (DisputedFunds::Withdrawn { reinstated_minor }, is_unclear)
        } else if self.is_withdrawn {
            (DisputedFunds::TAKEN, false)
        } else {
            (DisputedFunds::Untouched, false)
        };
        FoundFunds { funds, is_unclear }
    }
}

impl Movements {
    /// As much of `disputed`, in minor units, as was given back of what was taken, rounded half up;
    /// `None` where nothing was taken, as far as is known.
    fn share_of(self, disputed: Money) -> Option<i64> {
        let (taken, back) = (
            i128::from(self.withdrawn_minor),
            i128::from(self.reinstated_minor),
        );
        let twice = i128::from(disputed.amount_minor)
            .checked_mul(back)?
            .checked_mul(2)?;
        let share = twice
            .checked_add(taken)?
            .checked_div(taken.checked_mul(2)?)?;
        i64::try_from(share).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DisputeStatus::{Lost, UnderReview, Won};

    /// What was taken and given back, in this currency.
    fn moved(withdrawn_minor: i64, reinstated_minor: i64, currency: &str) -> FundsReport {
        FundsReport {
            is_withdrawn: withdrawn_minor > 0,
            is_reinstated: reinstated_minor > 0,
            movements: Movements {
                withdrawn_minor,
                reinstated_minor,
                currency: currency.parse().ok(),
            },
        }
    }

    #[test]
    fn as_much_is_booked_as_was_given_back() {
        for (report, status, expected) in [
            (moved(0, 0, ""), UnderReview, "untouched"),
            (moved(1_000, 0, "eur"), UnderReview, "0"),
            (moved(1_000, 1_000, "eur"), Won, "1000"),
            (moved(1_000, 300, "eur"), Lost, "300"),
            (moved(1_000, 1_001, "eur"), Won, "1000"),
            // Money that is reinstated was withdrawn before, whichever is heard of first.
            (moved(0, 300, "eur"), Lost, "300"),
            // Our balance is in another currency, whose rate has changed meanwhile.
            (moved(1_100, 1_090, "usd"), Won, "1000"),
            (moved(1_100, 330, "usd"), Lost, "300, unclear"),
            (moved(1_100, 331, "usd"), Lost, "301, unclear"),
            (moved(1_100, 1_200, "usd"), Lost, "1000, unclear"),
            (moved(0, 330, "usd"), Lost, "0, unclear"),
            (moved(1_100, 330, "???"), Lost, "0, unclear"),
            (moved(i64::MAX, i64::MAX, "usd"), Lost, "1000, unclear"),
        ] {
            let disputed = Money::new(1_000, "eur".parse().unwrap());

            let found = report.of(disputed, status);

            let said = match found.funds {
                DisputedFunds::Untouched => "untouched".to_owned(),
                DisputedFunds::Withdrawn { reinstated_minor } => reinstated_minor.to_string(),
            };
            let unclear = if found.is_unclear { ", unclear" } else { "" };
            assert_eq!(said + unclear, expected, "{report:?}");
        }
    }

    #[test]
    fn an_event_says_by_its_type_alone_no_amount_unless_the_dispute_is_won() {
        let disputed = Money::new(1_000, "eur".parse().unwrap());
        for listed in [moved(0, 0, ""), moved(1_000, 0, "eur")] {
            for (status, reinstated_minor, is_unclear) in [(Lost, 0, true), (Won, 1_000, false)] {
                let report = FundsReport {
                    is_reinstated: true,
                    ..listed
                };

                let found = report.of(disputed, status);

                assert_eq!(
                    found.funds.reinstated_minor(),
                    reinstated_minor,
                    "{report:?}"
                );
                assert!(found.funds >= DisputedFunds::TAKEN, "{report:?}");
                assert_eq!(found.is_unclear, is_unclear, "{report:?} {status:?}");
            }
        }
    }
}
