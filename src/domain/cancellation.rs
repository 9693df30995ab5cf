//! What a buyer who cancels gets back, by the policy that was frozen into their booking.

use chrono::{DateTime, TimeDelta, Utc};

use super::attempt::PaymentPart;
use super::booking::BookingStatus;
use super::catalogue::PolicyStep;
use super::currency::Currency;
use super::ids::PaymentId;
use super::money::Money;
use super::refund_block::RefundBlock;
use super::refund_request::GrantedRefund;
use super::refusal::Refusal;

/// So long what a preview has said counts for who cancels by its version.
const PREVIEW_KEPT: TimeDelta = TimeDelta::minutes(5);

/// All that decides about a cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancellationTerms {
    /// Where the booking stands.
    pub status: BookingStatus,
    /// What the booking is at.
    pub version: i64,
    /// The booking's.
    pub currency: Currency,
    /// As it was when the booking was made, most hours first.
    pub policy: Vec<PolicyStep>,
    /// When what is booked begins.
    pub starts_at: DateTime<Utc>,
    /// Whether it does not take place: then all goes back, whatever the policy and the time.
    pub is_called_off: bool,
    /// What was paid and applied, newest first.
    pub payments: Vec<PaidPart>,
}

/// A payment that was applied to a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaidPart {
    /// The payment.
    pub payment_id: PaymentId,
    /// What it was for.
    pub part: PaymentPart,
    /// How much was captured.
    pub paid: Money,
    /// How much of it is back with the buyer, or was asked back, in minor units.
    pub asked_back_minor: i64,
    /// Why none of it can be given back, for now or for good.
    pub block: Option<RefundBlock>,
    /// How much of it banks have given back for good, in minor units.
    pub given_back_minor: i64,
}

/// What a cancellation gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancellationQuote {
    /// Of what was paid, by the step of the policy that counts.
    pub refund_percent: u8,
    /// The sum of what goes back now.
    pub refund: Money,
    /// All payments, newest first.
    pub payments: Vec<PartRefund>,
    /// What the policy gives back beside that, of payments of which a bank has given back a part:
    /// Stripe refunds none of them, so that it has to go another way.
    pub owed_elsewhere: Vec<GrantedRefund>,
}

/// What goes back of one payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartRefund {
    /// The payment.
    pub payment_id: PaymentId,
    /// What it was for.
    pub part: PaymentPart,
    /// How much was captured.
    pub paid: Money,
    /// How much of it goes back; may be nothing.
    pub refund: Money,
}

impl CancellationQuote {
    /// The refunds that are to be asked for.
    pub fn refunds(&self) -> impl Iterator<Item = GrantedRefund> {
        let granted = self.payments.iter().map(|payment| GrantedRefund {
            payment_id: payment.payment_id,
            amount: payment.refund,
        });
        granted.filter(|granted| granted.amount.amount_minor > 0)
    }
}

impl PaidPart {
    /// How much can be given back, in minor units.
    fn left_minor(&self) -> i64 {
        let left = self.paid.amount_minor.saturating_sub(self.asked_back_minor);
        if self.is_gone() { 0 } else { left.max(0) }
    }

    /// Whether a bank has given it back for good.
    fn is_gone(&self) -> bool {
        self.block.is_some_and(RefundBlock::is_for_good)
    }

    /// What goes back of what a bank has not given back, and cannot go through Stripe.
    fn owed_elsewhere(&self, refund_percent: u8) -> Option<GrantedRefund> {
        let kept_minor = self.paid.amount_minor.saturating_sub(self.given_back_minor);
        let owed = Money::new(kept_minor, self.paid.currency).percent(refund_percent.into());
        let owed_minor = owed.amount_minor.saturating_sub(self.asked_back_minor);
        (self.is_gone() && owed_minor > 0).then(|| GrantedRefund {
            payment_id: self.payment_id,
            amount: Money::new(owed_minor, self.paid.currency),
        })
    }
}

/// What the booking's buyer gets back who cancels at `now`, and was told so a moment before: a step
/// of the policy that has passed since then does not count against them.
pub fn decide_as_previewed(
    terms: &CancellationTerms,
    now: DateTime<Utc>,
) -> Result<CancellationQuote, Refusal> {
    let quote = decide(terms, now)?;
    let previewed = decide(terms, now - PREVIEW_KEPT)?;
    let is_more = previewed.refund.amount_minor > quote.refund.amount_minor;
    Ok(if is_more { previewed } else { quote })
}

/// What the booking's buyer gets back who cancels at `now`: the percentage of what was paid, less
/// what goes back already, of the newest payments first. What a bank has given back for good does
/// not count as paid. Refuses what has begun, and what waits for a bank or a person.
pub fn decide(terms: &CancellationTerms, now: DateTime<Utc>) -> Result<CancellationQuote, Refusal> {
    let refund_percent = match terms.status {
        BookingStatus::Confirmed if terms.is_called_off => 100,
        BookingStatus::Confirmed if now >= terms.starts_at => return Err(Refusal::OutsidePolicy),
        BookingStatus::Confirmed | BookingStatus::Pending => percent_at(terms, now),
        BookingStatus::Processing | BookingStatus::Review => return Err(Refusal::AlreadyPaid),
        BookingStatus::Expired | BookingStatus::Cancelled | BookingStatus::Failed => 0,
    };
    let ours = || terms.payments.iter().filter(|one| !one.is_gone());
    let paid_minor = sum(ours().map(|one| one.paid.amount_minor));
    let asked_back_minor = sum(ours().map(|one| one.asked_back_minor));
    let owed = Money::new(paid_minor, terms.currency).percent(refund_percent.into());
    let mut owed_minor = owed.amount_minor.saturating_sub(asked_back_minor).max(0);
    let payments: Vec<_> = terms
        .payments
        .iter()
        .map(|one| {
            let refund_minor = one.left_minor().min(owed_minor);
            owed_minor = owed_minor.saturating_sub(refund_minor);
            PartRefund {
                payment_id: one.payment_id,
                part: one.part,
                paid: one.paid,
                refund: Money::new(refund_minor, one.paid.currency),
            }
        })
        .collect();
    let refund_minor = sum(payments.iter().map(|one| one.refund.amount_minor));
    let elsewhere = terms.payments.iter();
    let elsewhere = elsewhere.filter_map(|one| one.owed_elsewhere(refund_percent));
    Ok(CancellationQuote {
        refund_percent,
        refund: Money::new(refund_minor, terms.currency),
        payments,
        owed_elsewhere: elsewhere.collect(),
    })
}

/// The percentage of the first step whose hours are met; 0 where none is.
fn percent_at(terms: &CancellationTerms, now: DateTime<Utc>) -> u8 {
    let left = terms.starts_at.signed_duration_since(now);
    let is_met = |step: &&PolicyStep| left >= TimeDelta::hours(i64::from(step.hours_before));
    let step = terms.policy.iter().find(is_met);
    step.map_or(0, |step| step.refund_percent)
}

fn sum(amounts: impl Iterator<Item = i64>) -> i64 {
    amounts.fold(0, i64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::DisputeId;

    const START: i64 = 1_000_000_000;

    /// Payments by what was captured and asked back, newest first.
    fn paid(payments: &[(i64, i64)]) -> Vec<PaidPart> {
        let parts = payments.iter().map(|(paid, asked_back)| PaidPart {
            payment_id: PaymentId::new(),
            part: PaymentPart::Full,
            paid: Money::new(*paid, "eur".parse().unwrap()),
            asked_back_minor: *asked_back,
            block: None,
            given_back_minor: 0,
        });
        parts.collect()
    }

    fn steps(steps: &[(u32, u8)]) -> Vec<PolicyStep> {
        let steps = steps.iter().map(|(hours_before, percent)| PolicyStep {
            hours_before: *hours_before,
            refund_percent: *percent,
        });
        steps.collect()
    }

    fn terms(policy: &[(u32, u8)], payments: Vec<PaidPart>) -> CancellationTerms {
        CancellationTerms {
            status: BookingStatus::Confirmed,
            version: 2,
            currency: "eur".parse().unwrap(),
            policy: steps(policy),
            starts_at: DateTime::from_timestamp(START, 0).unwrap(),
            is_called_off: false,
            payments,
        }
    }

    /// The percentage, and what goes back of each payment, so many seconds before the start.
    fn said(terms: &CancellationTerms, before: i64) -> String {
        let now = terms.starts_at - TimeDelta::seconds(before);
        match decide(terms, now) {
            Ok(quote) => {
                let refunds = quote.payments.iter().map(|one| one.refund.amount_minor);
                assert_eq!(quote.refund.amount_minor, refunds.clone().sum::<i64>());
                let refunds: Vec<_> = refunds.map(|minor| minor.to_string()).collect();
                format!("{} %: {}", quote.refund_percent, refunds.join(" + "))
            }
            Err(refusal) => refusal.code().to_owned(),
        }
    }

    #[test]
    fn the_first_step_whose_hours_are_met_counts() {
        const HOUR: i64 = 3_600;
        let policy = [(48, 100), (24, 50), (2, 10)];
        for (policy, before, expected) in [
            (&policy[..], 49 * HOUR, "100 %: 1000"),
            (&policy, 48 * HOUR, "100 %: 1000"),
            (&policy, 48 * HOUR - 1, "50 %: 500"),
            (&policy, 24 * HOUR, "50 %: 500"),
            (&policy, 24 * HOUR - 1, "10 %: 100"),
            (&policy, 2 * HOUR, "10 %: 100"),
            (&policy, 2 * HOUR - 1, "0 %: 0"),
            (&policy, 1, "0 %: 0"),
            (&policy, 0, "outside_policy"),
            (&policy, -1, "outside_policy"),
            (&[], 1_000 * HOUR, "0 %: 0"),
            (&[(0, 100)], 1, "100 %: 1000"),
            (&[(0, 100)], 0, "outside_policy"),
        ] {
            let terms = terms(policy, paid(&[(1_000, 0)]));
            assert_eq!(said(&terms, before), expected, "{policy:?} {before}");
        }
    }

    #[test]
    fn all_goes_back_of_what_does_not_take_place() {
        let policy = [(24, 50)];
        for (status, before, expected) in [
            (BookingStatus::Confirmed, 1, "100 %: 700"),
            (BookingStatus::Confirmed, -1, "100 %: 700"),
            (BookingStatus::Review, 1, "already_paid"),
        ] {
            let terms = CancellationTerms {
                status,
                is_called_off: true,
                ..terms(&policy, paid(&[(1_000, 300)]))
            };
            assert_eq!(said(&terms, before), expected, "{status:?} {before}");
        }
    }

    #[test]
    fn the_share_goes_back_of_the_newest_payments_first() {
        for (percent, payments, expected) in [
            (100, &[(500, 0), (501, 0)][..], "100 %: 500 + 501"),
            (50, &[(500, 0), (501, 0)], "50 %: 500 + 1"),
            (49, &[(500, 0), (501, 0)], "49 %: 490 + 0"),
            (50, &[(1, 0)], "50 %: 1"),
            (49, &[(1, 0)], "49 %: 0"),
            (0, &[(1_000, 0)], "0 %: 0"),
            (100, &[], "100 %: "),
            // What goes back already counts, of whichever payment.
            (100, &[(1_000, 300)], "100 %: 700"),
            (100, &[(1_000, 1_000)], "100 %: 0"),
            (50, &[(1_000, 300)], "50 %: 200"),
            (50, &[(1_000, 600)], "50 %: 0"),
            (50, &[(500, 0), (500, 400)], "50 %: 100 + 0"),
            (80, &[(500, 400), (500, 0)], "80 %: 100 + 300"),
        ] {
            let terms = terms(&[(0, percent)], paid(payments));
            assert_eq!(said(&terms, 1), expected, "{percent} % of {payments:?}");
        }
    }

    #[test]
    fn what_a_bank_has_given_back_is_not_owed_and_what_it_may_take_is() {
        let dispute = DisputeId::new();
        for (block, percent, expected) in [
            (RefundBlock::GivenBack(dispute), 100, "100 %: 500 + 0"),
            (RefundBlock::GivenBack(dispute), 50, "50 %: 250 + 0"),
            (RefundBlock::Disputed(dispute), 100, "100 %: 500 + 401"),
        ] {
            let mut payments = paid(&[(500, 0), (501, 100)]);
            payments[1].block = Some(block);
            let terms = terms(&[(0, percent)], payments);
            assert_eq!(said(&terms, 1), expected, "{block:?}");
        }
    }

    #[test]
    fn what_is_left_of_a_payment_that_a_bank_has_given_back_in_part_is_owed_elsewhere() {
        for (percent, given_back_minor, asked_back, owed) in [
            (100, 100, 0, vec![901]),
            (50, 100, 0, vec![451]),
            (0, 100, 0, vec![]),
            (100, 1_001, 0, vec![]),
            // What had gone back before, the bank has given back to us.
            (100, 701, 300, vec![]),
            (100, 601, 300, vec![100]),
        ] {
            let mut payments = paid(&[(1_001, asked_back), (500, 0)]);
            payments[0].block = Some(RefundBlock::GivenBack(DisputeId::new()));
            payments[0].given_back_minor = given_back_minor;
            let terms = terms(&[(0, percent)], payments);

            let quote = decide(&terms, terms.starts_at - TimeDelta::seconds(1)).unwrap();

            let found: Vec<_> = quote
                .owed_elsewhere
                .iter()
                .map(|one| one.amount.amount_minor)
                .collect();
            assert_eq!(
                found, owed,
                "{percent} % after {given_back_minor}, {asked_back}"
            );
        }
    }

    #[test]
    fn a_step_that_has_just_passed_counts_for_who_has_seen_it() {
        const HOUR: i64 = 3_600;
        let terms = terms(&[(48, 100), (24, 50)], paid(&[(1_000, 0)]));
        for (before, expected) in [
            (48 * HOUR, Some(1_000)),
            (48 * HOUR - 300, Some(1_000)),
            (48 * HOUR - 301, Some(500)),
            (0, None),
        ] {
            let now = terms.starts_at - TimeDelta::seconds(before);

            let quote = decide_as_previewed(&terms, now).ok();

            let refund = quote.map(|quote| quote.refund.amount_minor);
            assert_eq!(refund, expected, "{before}");
        }
    }

    #[test]
    fn where_the_booking_stands_says_whether_anything_is_decided_by_the_policy() {
        use BookingStatus as Status;
        for (status, before, expected) in [
            (Status::Pending, 1, "100 %: 1000"),
            (Status::Pending, 0, "100 %: 1000"),
            (Status::Processing, 1, "already_paid"),
            (Status::Review, 1, "already_paid"),
            (Status::Expired, 1, "0 %: 0"),
            (Status::Cancelled, 0, "0 %: 0"),
            (Status::Failed, 1, "0 %: 0"),
        ] {
            let terms = CancellationTerms {
                status,
                ..terms(&[(0, 100)], paid(&[(1_000, 0)]))
            };
            assert_eq!(said(&terms, before), expected, "{status:?}");
        }
    }
}
