//! A reconciliation: all that Stripe has of a stretch of time, compared with our records.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::currency::Currency;
use super::ids::{BookingId, DiscrepancyId, ReconciliationId};
use super::stripe_report::Change;

/// So much of each kind is kept of what one finds: its row is read and written whole after each
/// page. Discrepancies are all kept as rows of their own, and so is what has happened to bookings.
pub const FINDINGS_KEPT_MAX: usize = 1_000;

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
    /// Refunds, whenever their payments were made.
    Refunds(Option<String>),
    /// Disputes, likewise.
    Disputes(Option<String>),
    /// Payments of ours that were on no page, newest first; after the id of one of them.
    Payments(Option<String>),
    /// Captures that a person was to look at before, in the order of their PaymentIntents.
    Doubtful(Option<String>),
}

impl Progress {
    /// What comes after this step.
    pub fn next_step(&self) -> Option<Self> {
        match self {
            Self::Events(_) => Some(Self::Sessions(None)),
            Self::Sessions(_) => Some(Self::Captures(None)),
            Self::Captures(_) => Some(Self::Refunds(None)),
            Self::Refunds(_) => Some(Self::Disputes(None)),
            Self::Disputes(_) => Some(Self::Payments(None)),
            Self::Payments(_) => Some(Self::Doubtful(None)),
            Self::Doubtful(_) => None,
        }
    }

    /// The rest of this step, after an object.
    #[must_use]
    pub fn rest_after(&self, id: String) -> Self {
        match self {
            Self::Events(_) => Self::Events(Some(id)),
            Self::Sessions(_) => Self::Sessions(Some(id)),
            Self::Captures(_) => Self::Captures(Some(id)),
            Self::Refunds(_) => Self::Refunds(Some(id)),
            Self::Disputes(_) => Self::Disputes(Some(id)),
            Self::Payments(_) => Self::Payments(Some(id)),
            Self::Doubtful(_) => Self::Doubtful(Some(id)),
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

impl Sums {
    /// Nothing of this currency.
    pub fn none(currency: Currency) -> Self {
        Self {
            currency,
            captured: 0,
            refunded: 0,
            disputed: 0,
            stripe_captured: 0,
            stripe_refunded: 0,
        }
    }
}

/// What one page of Stripe's list has come to.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Objects that were compared.
    pub checked: i64,
    /// What was put right, at most [`FINDINGS_KEPT_MAX`].
    pub healed: Vec<Healed>,
    /// How much more than that was put right.
    pub healed_more: i64,
    /// What a person has to look at, at most [`FINDINGS_KEPT_MAX`].
    pub discrepancies: Vec<DiscrepancyId>,
    /// How much more than that a person has to look at.
    pub discrepancies_more: i64,
    /// The sums, one for each currency.
    pub sums: Vec<Sums>,
    /// Whether Stripe's side of the sums could not be had. Then there are none: ours alone would
    /// look as if they agreed.
    pub without_sums: bool,
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
    /// Undelivered events that were made since then are listed; all that Stripe keeps, if it is
    /// `None`.
    pub events_since: Option<DateTime<Utc>>,
    /// Of those that were listed, all made before then are decided here.
    pub events_decided_to: Option<DateTime<Utc>>,
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
        self.healed_more = self
            .healed_more
            .saturating_add(others.healed_more)
            .saturating_add(cut(&mut self.healed));
        self.discrepancies.extend(others.discrepancies);
        self.discrepancies_more = self
            .discrepancies_more
            .saturating_add(others.discrepancies_more)
            .saturating_add(cut(&mut self.discrepancies));
        self.without_sums |= others.without_sums;
        if self.without_sums {
            self.sums.clear();
        }
        for sums in others.sums {
            self.add(&sums);
        }
        self
    }

    /// Adds to the sums of a currency, if there are sums.
    pub fn add(&mut self, more: &Sums) {
        if self.without_sums {
            return;
        }
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

/// Leaves as much as is kept; returns how much more there was.
fn cut<T>(found: &mut Vec<T>) -> i64 {
    let more = found.len().saturating_sub(FINDINGS_KEPT_MAX);
    found.truncate(FINDINGS_KEPT_MAX);
    i64::try_from(more).unwrap_or(i64::MAX)
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
    fn sums_that_one_page_could_not_compare_are_left_out_of_all() {
        let page = |without_sums: bool| Findings {
            sums: if without_sums {
                Vec::new()
            } else {
                vec![Sums::none("eur".parse().unwrap())]
            },
            without_sums,
            ..Findings::default()
        };
        assert_eq!(page(false).and(page(false)).sums.len(), 1);
        for pages in [
            [true, false, false],
            [false, true, false],
            [false, false, true],
        ] {
            let all = pages.map(page).into_iter();

            let all = all.fold(Findings::default(), Findings::and);

            assert_eq!(
                (all.sums, all.without_sums),
                (Vec::new(), true),
                "{pages:?}"
            );
        }
    }

    #[test]
    fn so_much_is_kept_of_what_is_found_and_the_rest_is_counted() {
        let page = |count: usize| Findings {
            healed: vec![
                Healed {
                    booking_id: BookingId::new(),
                    what: "the booking is confirmed".to_owned(),
                };
                count
            ],
            discrepancies: (0..count).map(|_| DiscrepancyId::new()).collect(),
            ..Findings::default()
        };
        let first = page(FINDINGS_KEPT_MAX - 1);
        let kept = first.discrepancies.clone();

        let all = first.and(page(3)).and(page(4));

        assert_eq!(all.healed.len(), FINDINGS_KEPT_MAX);
        assert_eq!(all.discrepancies.len(), FINDINGS_KEPT_MAX);
        assert_eq!(all.discrepancies[..kept.len()], kept);
        assert_eq!((all.healed_more, all.discrepancies_more), (6, 6));
    }

    #[test]
    fn every_step_is_followed_by_the_next_until_the_last() {
        let mut progress = Progress::Events(None);
        let mut steps = 1;
        while let Some(next) = progress.rest_after("id".to_owned()).next_step() {
            progress = next;
            steps += 1;
        }

        assert_eq!(steps, 7);
        assert_eq!(progress, Progress::Doubtful(None));
    }
}
