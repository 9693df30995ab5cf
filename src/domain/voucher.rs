//! Vouchers: what they take off a price, and when they can be used.

use chrono::{DateTime, Utc};

use super::calendar::{YEARS_SENTENCE, has_instant};
use super::field_errors::FieldErrors;
use super::ids::VoucherId;
use super::money::Money;
use super::refusal::Refusal;

const CODE_CHARACTERS_MAX: usize = 64;
/// As often as can be counted while the next buyer waits.
const USES_MAX: i64 = 100_000;

/// A voucher, and how often it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voucher {
    /// Its id.
    pub id: VoucherId,
    /// What it grants.
    pub terms: VoucherTerms,
    /// How many live bookings have it.
    pub used: i64,
}

/// What a voucher grants, and to whom it comes in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoucherTerms {
    /// What buyers write, in capitals or not.
    pub code: String,
    /// What it takes off.
    pub reduction: Reduction,
    /// How many live bookings may have it at a time; `None` for any number.
    pub max_uses: Option<i64>,
    /// From when on, if not always.
    pub valid_from: Option<DateTime<Utc>>,
    /// The first instant at which it is too late, if there is one.
    pub valid_until: Option<DateTime<Utc>>,
    /// False once an admin has switched it off.
    pub active: bool,
}

/// What a voucher takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// A part of the price.
    Percent(u32),
    /// An amount, of prices in its currency.
    Amount(Money),
}

impl Reduction {
    /// The percentage, or the amount.
    pub fn parts(self) -> (Option<u32>, Option<Money>) {
        match self {
            Self::Percent(percent) => (Some(percent), None),
            Self::Amount(amount) => (None, Some(amount)),
        }
    }
}

/// A voucher as an admin describes it, not yet checked.
#[derive(Debug, Clone)]
pub struct VoucherDraft {
    pub(crate) code: String,
    pub(crate) percent_off: Option<u32>,
    pub(crate) amount_off: Option<Money>,
    pub(crate) max_uses: Option<i64>,
    pub(crate) valid_from: Option<DateTime<Utc>>,
    pub(crate) valid_until: Option<DateTime<Utc>>,
    pub(crate) active: bool,
}

/// What a voucher has taken off one price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedVoucher {
    /// The voucher.
    pub id: VoucherId,
    /// Its code, as the admin has written it.
    pub code: String,
    /// How much it has taken off: more than nothing, and no more than the price.
    pub discount: Money,
}

impl VoucherDraft {
    /// What this describes. Refuses with `validation_failed`, naming all that is wrong.
    pub fn check(self) -> Result<VoucherTerms, Refusal> {
        let mut errors = FieldErrors::default();
        errors.add_if(
            !is_code(&self.code),
            "code",
            format!("must have 1 to {CODE_CHARACTERS_MAX} visible ASCII characters"),
        );
        errors.add_if(
            self.max_uses
                .is_some_and(|uses| !(1..=USES_MAX).contains(&uses)),
            "maxUses",
            format!("must be between 1 and {USES_MAX}"),
        );
        self.check_window(&mut errors);
        let reduction = self.reduction(&mut errors);
        errors.finish(())?;
        let reduction = reduction.ok_or_else(|| Refusal::field("", "cannot be a voucher"))?;
        Ok(VoucherTerms {
            code: self.code,
            reduction,
            max_uses: self.max_uses,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            active: self.active,
        })
    }

    fn check_window(&self, errors: &mut FieldErrors) {
        for (field, at) in [
            ("validFrom", self.valid_from),
            ("validUntil", self.valid_until),
        ] {
            let is_lost = at.is_some_and(|at| !has_instant(at));
            errors.add_if(is_lost, field, YEARS_SENTENCE);
        }
        let window = self.valid_from.zip(self.valid_until);
        errors.add_if(
            window.is_some_and(|(from, until)| from >= until),
            "validUntil",
            "must be later than validFrom",
        );
    }

    fn reduction(&self, errors: &mut FieldErrors) -> Option<Reduction> {
        match (self.percent_off, self.amount_off) {
            (Some(percent), None) => {
                let fits = (1..=100).contains(&percent);
                errors.add_if(!fits, "percentOff", "must be between 1 and 100");
                Some(Reduction::Percent(percent))
            }
            (None, Some(amount)) => {
                let nothing = (amount.amount_minor == 0).then(|| "must be above 0".to_owned());
                if let Some(message) = amount.price_error().or(nothing) {
                    errors.add("amountOff.amountMinor", message);
                }
                Some(Reduction::Amount(amount))
            }
            (Some(_), Some(_)) => {
                errors.add("amountOff", "does not go with percentOff");
                None
            }
            (None, None) => {
                errors.add("percentOff", "must be given where there is no amountOff");
                None
            }
        }
    }
}

fn is_code(code: &str) -> bool {
    (1..=CODE_CHARACTERS_MAX).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_graphic())
}

impl Voucher {
    /// Whether this is its code.
    pub fn is_called(&self, code: &str) -> bool {
        self.terms.code.eq_ignore_ascii_case(code)
    }

    /// The voucher as an admin wants it. Refuses with `validation_failed`, also where it is used
    /// more often already than it is to be.
    pub fn changed(&self, draft: VoucherDraft) -> Result<Self, Refusal> {
        let is_fewer = draft.max_uses.is_some_and(|max| max < self.used);
        if is_fewer && draft.max_uses != self.terms.max_uses {
            let message = format!("must not be below {}: so often it is used", self.used);
            return Err(Refusal::field("maxUses", message));
        }
        Ok(Self {
            terms: draft.check()?,
            ..self.clone()
        })
    }

    /// What it takes off `price`; `None` if that is nothing, for then it is not used. Refuses with
    /// `voucher_invalid` where it cannot be used now, or not for this price.
    ///
    /// A percentage is rounded half up to the step of the currency.
    pub fn apply(
        &self,
        price: Money,
        now: DateTime<Utc>,
    ) -> Result<Option<AppliedVoucher>, Refusal> {
        if !self.terms.is_valid(now) || self.terms.max_uses.is_some_and(|max| self.used >= max) {
            return Err(Refusal::VoucherInvalid);
        }
        let discount_minor = match self.terms.reduction {
            Reduction::Percent(percent) => price.percent(percent).amount_minor,
            Reduction::Amount(amount) if amount.currency == price.currency => amount.amount_minor,
            Reduction::Amount(_) => return Err(Refusal::VoucherInvalid),
        };
        let discount_minor = discount_minor.min(price.amount_minor);
        Ok((discount_minor > 0).then(|| AppliedVoucher {
            id: self.id,
            code: self.terms.code.clone(),
            discount: Money::new(discount_minor, price.currency),
        }))
    }
}

impl VoucherTerms {
    fn is_valid(&self, now: DateTime<Utc>) -> bool {
        self.active
            && self.valid_from.is_none_or(|from| from <= now)
            && self.valid_until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount_minor: i64, code: &str) -> Money {
        Money::new(amount_minor, code.parse().unwrap())
    }

    fn now() -> DateTime<Utc> {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    fn voucher(reduction: Reduction) -> Voucher {
        Voucher {
            id: VoucherId::new(),
            terms: VoucherTerms {
                code: "Spring".to_owned(),
                reduction,
                max_uses: None,
                valid_from: None,
                valid_until: None,
                active: true,
            },
            used: 0,
        }
    }

    #[test]
    fn a_percentage_is_rounded_half_up_and_nothing_falls_below_0() {
        for (reduction, price, discount_minor) in [
            (Reduction::Percent(10), money(1_004, "usd"), 100),
            (Reduction::Percent(10), money(1_005, "usd"), 101),
            (Reduction::Percent(50), money(1_001, "usd"), 501),
            (Reduction::Percent(100), money(1_001, "usd"), 1_001),
            (Reduction::Percent(10), money(1_040, "kwd"), 100),
            (Reduction::Percent(10), money(1_050, "kwd"), 110),
            (Reduction::Percent(33), money(1_500, "isk"), 500),
            (
                Reduction::Percent(100),
                money(i64::MAX / 100, "usd"),
                i64::MAX / 100,
            ),
            (
                Reduction::Amount(money(300, "usd")),
                money(1_000, "usd"),
                300,
            ),
            (
                Reduction::Amount(money(3_000, "usd")),
                money(1_000, "usd"),
                1_000,
            ),
        ] {
            let applied = voucher(reduction).apply(price, now()).unwrap().unwrap();

            assert_eq!(
                applied.discount,
                money(discount_minor, price.currency.as_str())
            );
        }
    }

    #[test]
    fn what_takes_nothing_off_is_not_used() {
        for (reduction, price) in [
            (Reduction::Percent(50), money(0, "usd")),
            (Reduction::Percent(1), money(49, "usd")),
            (Reduction::Amount(money(300, "usd")), money(0, "usd")),
        ] {
            assert_eq!(voucher(reduction).apply(price, now()), Ok(None));
        }
    }

    #[test]
    fn a_voucher_is_refused_where_it_is_not_valid() {
        type Change = fn(&mut Voucher);
        let cases: [(Change, bool); 9] = [
            (|_| (), true),
            (|voucher| voucher.terms.active = false, false),
            (|voucher| voucher.terms.valid_from = Some(now()), true),
            (
                |voucher| voucher.terms.valid_from = Some(now() + chrono::TimeDelta::seconds(1)),
                false,
            ),
            (|voucher| voucher.terms.valid_until = Some(now()), false),
            (
                |voucher| voucher.terms.valid_until = Some(now() + chrono::TimeDelta::seconds(1)),
                true,
            ),
            (|voucher| voucher.terms.max_uses = Some(1), true),
            (
                |voucher| (voucher.terms.max_uses, voucher.used) = (Some(2), 2),
                false,
            ),
            (
                |voucher| voucher.terms.reduction = Reduction::Amount(money(100, "eur")),
                false,
            ),
        ];
        for (number, (change, is_valid)) in cases.into_iter().enumerate() {
            let mut changed = voucher(Reduction::Percent(10));
            change(&mut changed);

            let applied = changed.apply(money(1_000, "usd"), now());

            assert_eq!(applied.is_ok(), is_valid, "{number}");
        }
    }

    #[test]
    fn buyers_write_capitals_or_not() {
        let voucher = voucher(Reduction::Percent(10));

        assert!(voucher.is_called("SPRING") && voucher.is_called("spring"));
        assert!(!voucher.is_called("spring "));
    }
}
