//! A reconciliation: all that Stripe has of a stretch of time, compared with our records.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::currency::Currency;
use super::ids::{BookingId, DiscrepancyId, ReconciliationId};
use super::stripe_report::Change;

/// Where a reconciliation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, Serialize, utoipa::ToSchema)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "camelCase")]
pub enum ReconciliationState {
    /// There is more to compare.
    Running,
    /// All is compared.
    Done,
    /// It has taken too long, and was given up.
    Failed,
}

/// What is compared next, and after which object of Stripe's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", content = "after", rename_all = "camelCase")]
pub enum Progress {
    /// Events that no endpoint has acknowledged.
    Events(Option<String>),
    /// Checkout Sessions.
    Sessions(Option<String>),
    /// PaymentIntents, for what was captured and what was given back of it.
    Captures(Option<String>),
}

impl Progress {
    /// What comes after this step.
    pub fn next_step(&self) -> Option<Self> {
        match self {
            Self::Events(_) => Some(Self::Sessions(None)),
            Self::Sessions(_) => Some(Self::Captures(None)),
            Self::Captures(_) => None,
        }
    }

    /// The rest of this step, after an object.
    #[must_use]
    pub fn rest_after(&self, id: String) -> Self {
        match self {
            Self::Events(_) => Self::Events(Some(id)),
            Self::Sessions(_) => Self::Sessions(Some(id)),
            Self::Captures(_) => Self::Captures(Some(id)),
        }
    }
}

/// What a reconciliation has put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Healed {
    /// The booking.
    pub booking_id: BookingId,
    /// A sentence for people.
    pub what: String,
}

impl From<Change> for Healed {
    fn from(change: Change) -> Self {
        Self {
            booking_id: change.booking_id,
            what: change.what.to_owned(),
        }
    }
}

/// What was captured and given back in one currency, in our records and at Stripe, in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sums {
    /// The currency.
    pub currency: Currency,
    /// Captured, by our records.
    pub captured: i64,
    /// Given back, by our records.
    pub refunded: i64,
    /// Taken back by banks, by our records.
    pub disputed: i64,
    /// Captured, at Stripe.
    pub stripe_captured: i64,
    /// Given back, at Stripe.
    pub stripe_refunded: i64,
}

/// What one page of Stripe's list has come to.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Objects that were compared.
    pub checked: i64,
    /// What was put right.
    pub healed: Vec<Healed>,
    /// What a person has to look at.
    pub discrepancies: Vec<DiscrepancyId>,
    /// The sums, one for each currency.
    pub sums: Vec<Sums>,
}

/// A reconciliation.
#[derive(Debug, Clone)]
pub struct Reconciliation {
    /// Our id of it.
    pub id: ReconciliationId,
    /// Where it stands.
    pub state: ReconciliationState,
    /// What Stripe has made since then is compared.
    pub since: DateTime<Utc>,
    /// What comes next, while it is running.
    pub progress: Progress,
    /// What was found so far.
    pub findings: Findings,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
}

impl Findings {
    /// These findings and those of another page.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.checked = self.checked.saturating_add(others.checked);
        self.healed.extend(others.healed);
        self.discrepancies.extend(others.discrepancies);
        for sums in others.sums {
            self.add(&sums);
        }
        self
    }

    /// Adds to the sums of a currency.
    pub fn add(&mut self, more: &Sums) {
        let of_currency = |sums: &&mut Sums| sums.currency == more.currency;
        let Some(sums) = self.sums.iter_mut().find(of_currency) else {
            self.sums.push(more.clone());
            return;
        };
        for (sum, more) in [
            (&mut sums.captured, more.captured),
            (&mut sums.refunded, more.refunded),
            (&mut sums.disputed, more.disputed),
            (&mut sums.stripe_captured, more.stripe_captured),
            (&mut sums.stripe_refunded, more.stripe_refunded),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_one_currency_add_up_and_others_stand_apart() {
        let sums = |code: &str, captured| Sums {
            currency: code.parse().unwrap(),
            captured,
            refunded: 1,
            disputed: 3,
            stripe_captured: captured,
            stripe_refunded: 2,
        };
        let page = |sums: Vec<Sums>| Findings {
            checked: 1,
            sums,
            ..Findings::default()
        };

        let both = page(vec![sums("eur", 5)]).and(page(vec![sums("usd", 7), sums("eur", 6)]));

        assert_eq!(both.checked, 2);
        let eur = Sums {
            refunded: 2,
            disputed: 6,
            stripe_refunded: 4,
            ..sums("eur", 11)
        };
        assert_eq!(both.sums, [eur, sums("usd", 7)]);
    }

    #[test]
    fn every_step_is_followed_by_the_next_until_the_last() {
        let mut progress = Progress::Events(None);
        let mut steps = 1;
        while let Some(next) = progress.rest_after("id".to_owned()).next_step() {
            progress = next;
            steps += 1;
        }

        assert_eq!(steps, 3);
        assert_eq!(progress, Progress::Captures(None));
    }
}
