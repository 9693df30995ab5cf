//! Amounts of money: whole minor units of one currency, never a float.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::currency::Currency;

/// The largest amount of one charge: eight digits.
/// <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>
pub const AMOUNT_MINOR_MAX: i64 = 99_999_999;

/// An amount in the minor unit of its currency: `{"amountMinor": 1055, "currency": "usd"}` is 10.55
/// dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Money {
    /// Whole minor units.
    pub amount_minor: i64,
    /// Lower-case ISO 4217 code.
    #[schema(value_type = String, example = "eur")]
    pub currency: Currency,
}

impl Money {
    /// `amount_minor` of `currency`.
    pub fn new(amount_minor: i64, currency: Currency) -> Self {
        Self {
            amount_minor,
            currency,
        }
    }

    /// The sum, or `None` where the currencies differ or the amount leaves an `i64`.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let amount_minor = self.amount_minor.checked_add(other.amount_minor)?;
        (self.currency == other.currency).then_some(Self::new(amount_minor, self.currency))
    }

    /// The difference, or `None` where the currencies differ or the amount leaves an `i64`.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        let amount_minor = self.amount_minor.checked_sub(other.amount_minor)?;
        (self.currency == other.currency).then_some(Self::new(amount_minor, self.currency))
    }

    /// A percentage of it, rounded half up to the step of the currency.
    #[must_use]
    pub fn percent(self, percent: u32) -> Self {
        let step = self.currency.step_minor();
        let hundredfold = self.amount_minor.saturating_mul(percent.into());
        // Half a step more, rounded down.
        let rounded = hundredfold.saturating_add(step.saturating_mul(50));
        let steps = rounded.checked_div(step.saturating_mul(100));
        let amount_minor = steps.unwrap_or_default().saturating_mul(step);
        Self::new(amount_minor, self.currency)
    }

    /// Why this cannot be a price, as a sentence, or `None` where it can.
    pub fn price_error(self) -> Option<String> {
        let step_minor = self.currency.step_minor();
        if !(0..=AMOUNT_MINOR_MAX).contains(&self.amount_minor) {
            Some(format!("must be between 0 and {AMOUNT_MINOR_MAX}"))
        } else if self.amount_minor.checked_rem(step_minor) != Some(0) {
            Some(format!(
                "must be a multiple of {step_minor} in {}",
                self.currency
            ))
        } else {
            None
        }
    }
}

/// For people: `24.00 EUR`.
impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.currency.decimals();
        let digits = format!(
            "{:0>1$}",
            self.amount_minor.unsigned_abs(),
            decimals.saturating_add(1)
        );
        let (whole, rest) = digits.split_at(digits.len().saturating_sub(decimals));
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        let point = if decimals == 0 { "" } else { "." };
        let code = self.currency.as_str().to_uppercase();
        write!(formatter, "{sign}{whole}{point}{rest} {code}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount_minor: i64, code: &str) -> Money {
        Money::new(amount_minor, code.parse().unwrap())
    }

    #[test]
    fn people_read_an_amount_in_the_decimals_of_its_currency() {
        for (money, text) in [
            (money(2_400, "eur"), "24.00 EUR"),
            (money(5, "eur"), "0.05 EUR"),
            (money(0, "usd"), "0.00 USD"),
            (money(-105, "usd"), "-1.05 USD"),
            (money(500, "jpy"), "500 JPY"),
            (money(1_500, "kwd"), "1.500 KWD"),
            (money(10_000, "isk"), "100.00 ISK"),
        ] {
            assert_eq!(money.to_string(), text);
        }
    }

    #[test]
    fn a_percentage_is_rounded_half_up_to_the_step_of_its_currency() {
        for (amount, percent, currency, expected) in [
            (1_001, 50, "eur", 501),
            (1_001, 49, "eur", 490),
            (999, 50, "jpy", 500),
            (1_010, 50, "kwd", 510),
            (1_010, 49, "kwd", 490),
            (300, 50, "isk", 200),
            (300, 49, "isk", 100),
            (300, 100, "isk", 300),
        ] {
            let share = money(amount, currency).percent(percent);
            assert_eq!(share, money(expected, currency), "{percent} % of {amount}");
        }
    }

    #[test]
    fn different_currencies_never_mix() {
        assert_eq!(money(1, "eur").checked_add(money(1, "usd")), None);
        assert_eq!(money(1, "eur").checked_sub(money(1, "usd")), None);
        assert_eq!(
            money(1, "eur").checked_add(money(2, "eur")),
            Some(money(3, "eur"))
        );
        assert_eq!(money(i64::MAX, "eur").checked_add(money(1, "eur")), None);
    }

    #[test]
    fn a_price_keeps_to_the_step_and_the_bounds() {
        assert_eq!(money(0, "eur").price_error(), None);
        assert_eq!(money(AMOUNT_MINOR_MAX, "eur").price_error(), None);
        assert!(money(-1, "eur").price_error().is_some());
        assert!(money(AMOUNT_MINOR_MAX + 1, "eur").price_error().is_some());
        assert!(money(1_005, "kwd").price_error().is_some());
        assert_eq!(money(1_010, "kwd").price_error(), None);
        assert!(money(150, "isk").price_error().is_some());
    }
}
