//! A quote: what is booked, and what it costs. Nothing is held yet: the database decides that.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::attempt::PaymentPart;
use super::booking::{BookedService, BookedShow, PaymentOption, Reservation};
use super::catalogue::PolicyStep;
use super::money::{AMOUNT_MINOR_MAX, Money};
use super::refusal::Refusal;
use super::voucher::{AppliedVoucher, Voucher};

/// What a booking would reserve, and at which price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// What it would reserve.
    pub reservation: Reservation,
    /// The show, for a booking of seats.
    pub show: Option<BookedShow>,
    /// The service, for a booking of a slot.
    pub service: Option<BookedService>,
    /// What all of it costs, with what the voucher takes off.
    pub total: Money,
    /// The voucher that takes something off.
    pub voucher: Option<AppliedVoucher>,
    /// How much of it is due for confirmation.
    pub payment_option: PaymentOption,
    /// What is due for confirmation.
    pub due: Money,
    /// Which part that is.
    pub part: PaymentPart,
    /// What makes up the sum that is due.
    pub items: Vec<QuoteItem>,
    /// What is given back after a cancellation: frozen into the booking.
    pub cancellation_policy: Vec<PolicyStep>,
    /// How many seats one booking of the show may have, where it is one of seats.
    pub max_seats_per_booking: Option<usize>,
    /// How many seats of the show its buyer may have in all, if that is limited.
    pub max_seats_per_user: Option<usize>,
    /// Whether it may be paid by methods that take days.
    pub delayed_methods: bool,
}

impl Quote {
    /// Whether nothing has to be paid.
    pub fn is_free(&self) -> bool {
        self.total.amount_minor == 0
    }

    /// The time zone of its place, if that is one.
    pub fn timezone(&self) -> Option<Tz> {
        let of_show = self.show.as_ref().map(|show| &show.timezone);
        let of_service = self.service.as_ref().map(|service| &service.timezone);
        of_show.or(of_service)?.parse().ok()
    }
}

/// Some of what is booked, at one price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteItem {
    /// What it is of, for people: the title of the film, the show or the service.
    pub name: String,
    /// Which part of that, for people: the seats, or the slot in the time of its place.
    pub description: String,
    /// The price of one.
    pub unit: Money,
    /// How many.
    pub quantity: u64,
}

/// A price, and what is left of it.
#[derive(Debug, Clone)]
pub(super) struct Price {
    /// What is to be paid.
    pub(super) rest: Money,
    /// What has taken something off.
    pub(super) voucher: Option<AppliedVoucher>,
}

impl Price {
    /// What is left of `full` with a voucher, if there is one. Refuses with `voucher_invalid`.
    pub(super) fn of(
        full: Money,
        voucher: Option<&Voucher>,
        now: DateTime<Utc>,
    ) -> Result<Self, Refusal> {
        let applied = voucher
            .map(|voucher| voucher.apply(full, now))
            .transpose()?;
        let voucher = applied.flatten();
        let discount_minor = voucher
            .as_ref()
            .map_or(0, |voucher| voucher.discount.amount_minor);
        Ok(Self {
            rest: Money::new(
                full.amount_minor.saturating_sub(discount_minor),
                full.currency,
            ),
            voucher,
        })
    }

    /// The items of the full price with what is taken off spread over them by what they cost, each
    /// in one piece: the sum is the rest.
    pub(super) fn spread(&self, items: Vec<QuoteItem>) -> Vec<QuoteItem> {
        let Some(voucher) = &self.voucher else {
            return items;
        };
        let full = self
            .rest
            .amount_minor
            .saturating_add(voucher.discount.amount_minor);
        // Of all items up to each, so that what is rounded off of one is left to the next.
        let taken_off = |minor: i64| {
            let step = self.rest.currency.step_minor();
            let share = minor
                .saturating_mul(voucher.discount.amount_minor)
                .checked_div(full)
                .unwrap_or_default();
            share.saturating_sub(share.checked_rem(step).unwrap_or_default())
        };
        let mut before_minor: i64 = 0;
        let reduced = items.into_iter().map(|item| {
            let item_minor = item.sum_minor();
            let after_minor = before_minor.saturating_add(item_minor);
            let off_minor = taken_off(after_minor).saturating_sub(taken_off(before_minor));
            before_minor = after_minor;
            let unit = item_minor.saturating_sub(off_minor);
            QuoteItem {
                name: item.name,
                description: item.description,
                unit: Money::new(unit, item.unit.currency),
                quantity: 1,
            }
        });
        reduced.collect()
    }
}

impl QuoteItem {
    fn sum_minor(&self) -> i64 {
        let quantity = i64::try_from(self.quantity).unwrap_or(i64::MAX);
        self.unit.amount_minor.saturating_mul(quantity)
    }
}

/// Refuses a sum that is too small for Stripe to charge; nothing is not charged at all.
pub(super) fn refuse_too_small(sum: Money) -> Result<(), Refusal> {
    let minimum = Money::new(sum.currency.minimum_minor(), sum.currency);
    if sum.amount_minor > 0 && sum.amount_minor < minimum.amount_minor {
        return Err(Refusal::AmountTooSmall { minimum });
    }
    Ok(())
}

/// Refuses a sum that is more than Stripe charges at once.
pub(super) fn refuse_too_large(sum: Money, field: &str) -> Result<(), Refusal> {
    if sum.amount_minor > AMOUNT_MINOR_MAX {
        return Err(Refusal::field(
            field,
            "cost more than can be charged at once",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::ids::VoucherId;
    use super::*;

    fn money(amount_minor: i64, code: &str) -> Money {
        Money::new(amount_minor, code.parse().unwrap())
    }

    #[test]
    fn items_with_a_voucher_sum_to_the_rest() {
        for (code, discount_minor, reduced) in [
            ("eur", 1, [2_400, 2_499]),
            ("eur", 490, [2_160, 2_250]),
            ("eur", 501, [2_155, 2_244]),
            ("eur", 4_899, [1, 0]),
            ("kwd", 490, [2_160, 2_250]),
            ("kwd", 500, [2_160, 2_240]),
        ] {
            let full = [("A2, A10", 1_200, 2), ("B1", 2_500, 1)];
            let items = full.map(|(name, unit_minor, quantity)| QuoteItem {
                name: name.to_owned(),
                description: String::new(),
                unit: money(unit_minor, code),
                quantity,
            });
            let discount = money(discount_minor, code);
            let price = Price {
                rest: money(4_900 - discount_minor, code),
                voucher: Some(AppliedVoucher {
                    id: VoucherId::new(),
                    code: "SPRING".to_owned(),
                    discount,
                }),
            };

            let items = price.spread(items.to_vec());

            let sums: Vec<i64> = items.iter().map(QuoteItem::sum_minor).collect();
            assert_eq!(sums, reduced, "{discount}");
            assert_eq!(sums.iter().sum::<i64>(), price.rest.amount_minor);
        }
    }
}
