//! An availability: a show with wanted seats of it, what they cost, and why they may not be had.

use chrono::{DateTime, Utc};

use super::attempt::PaymentPart;
use super::booking::{
    BookedMovie, BookedShow, BookingStatus, PaymentOption, Reservation, ReservedSeats,
};
use super::catalogue::{PolicyStep, ShowStatus};
use super::checkout::DELAYED_METHOD_MAX;
use super::currency::Currency;
use super::hold_limits::Holder;
use super::ids::{BookingId, ShowId};
use super::money::Money;
use super::quote::{Price, Quote, QuoteItem, refuse_too_large, refuse_too_small};
use super::refusal::Refusal;
use super::seats::sort_naturally;
use super::user::UserId;
use super::voucher::Voucher;

/// A show and the wanted seats of it, as the database has them before a hold.
#[derive(Debug, Clone)]
pub struct SeatAvailability {
    /// The show.
    pub show_id: ShowId,
    /// Its title.
    pub title: String,
    /// Its start.
    pub starts_at: DateTime<Utc>,
    /// The IANA zone of its place.
    pub timezone: String,
    /// The film that is shown, if it is one.
    pub movie: Option<BookedMovie>,
    /// Whether it is on sale.
    pub status: ShowStatus,
    /// The currency of its prices.
    pub currency: Currency,
    /// The most seats of one booking.
    pub max_seats_per_booking: usize,
    /// The most seats that one user may have, held and bought together.
    pub max_seats_per_user: Option<usize>,
    /// Whether seats may wait for methods of payment that take days.
    pub delayed_methods: bool,
    /// The policy that is frozen into the booking.
    pub cancellation_policy: Vec<PolicyStep>,
    /// What the buyer has already. Of nobody where the first of the wanted seats is gone.
    pub holder: Holder,
    /// Those of the wanted seats that the show has.
    pub seats: Vec<WantedSeat>,
}

/// One wanted seat.
#[derive(Debug, Clone)]
pub struct WantedSeat {
    /// Its label.
    pub label: String,
    /// Its tier.
    pub tier: String,
    /// Its price, in minor units of the show's currency.
    pub price_minor: i64,
    /// False for a blocked seat.
    pub sellable: bool,
    /// The booking that has it, with its owner and status.
    pub claimed_by: Option<(BookingId, UserId, BookingStatus)>,
}

impl SeatAvailability {
    /// What `wanted` costs `buyer` with a voucher, or why they cannot have it, whatever they have
    /// already. Nothing is held yet: the database decides that.
    ///
    /// `wanted` names each seat once.
    pub fn quote(
        &self,
        wanted: &[String],
        buyer: &UserId,
        voucher: Option<&Voucher>,
        now: DateTime<Utc>,
    ) -> Result<Quote, Refusal> {
        if self.status.at(self.starts_at, now) != ShowStatus::OnSale {
            return Err(Refusal::ShowClosed);
        }
        if wanted.len() > self.max_seats_per_booking {
            let maximum = self.max_seats_per_booking;
            return Err(Refusal::TooManySeats { maximum });
        }
        let mut wanted = wanted.to_vec();
        sort_naturally(&mut wanted);
        let seats = self.known(&wanted)?;
        refuse_unavailable(&seats, buyer)?;
        self.price(&seats, voucher, now)
    }

    fn known(&self, wanted: &[String]) -> Result<Vec<&WantedSeat>, Refusal> {
        let find = |label: &String| self.seats.iter().find(|seat| &seat.label == label);
        let unknown: Vec<String> = wanted
            .iter()
            .filter(|label| find(label).is_none())
            .cloned()
            .collect();
        if unknown.is_empty() {
            Ok(wanted.iter().filter_map(find).collect())
        } else {
            Err(Refusal::UnknownSeat { seats: unknown })
        }
    }

    fn price(
        &self,
        seats: &[&WantedSeat],
        voucher: Option<&Voucher>,
        now: DateTime<Utc>,
    ) -> Result<Quote, Refusal> {
        let mut total_minor: i64 = 0;
        let mut tiers: Vec<(&WantedSeat, Vec<String>)> = Vec::new();
        for seat in seats {
            total_minor = total_minor.saturating_add(seat.price_minor);
            match tiers.iter_mut().find(|(first, _)| first.tier == seat.tier) {
                Some((_, labels)) => labels.push(seat.label.clone()),
                None => tiers.push((seat, vec![seat.label.clone()])),
            }
        }
        let full = Money::new(total_minor, self.currency);
        refuse_too_large(full, "seats")?;
        let price = Price::of(full, voucher, now)?;
        let total = price.rest;
        refuse_too_small(total)?;
        let items = tiers.into_iter().map(|(seat, labels)| QuoteItem {
            name: self.title.clone(),
            description: format!("{} · {}", seat.tier, labels.join(", ")),
            unit: Money::new(seat.price_minor, self.currency),
            quantity: u64::try_from(labels.len()).unwrap_or_default(),
        });
        Ok(Quote {
            reservation: Reservation::Seats(ReservedSeats {
                show_id: self.show_id,
                labels: seats.iter().map(|seat| seat.label.clone()).collect(),
            }),
            show: Some(self.booked_show()),
            service: None,
            total,
            payment_option: PaymentOption::Full,
            due: total,
            part: PaymentPart::Full,
            items: price.spread(items.collect()),
            voucher: price.voucher,
            cancellation_policy: self.cancellation_policy.clone(),
            max_seats_per_booking: Some(self.max_seats_per_booking),
            max_seats_per_user: self.max_seats_per_user,
            delayed_methods: self.offers_delayed_methods(now),
        })
    }

    /// A method that takes days must have ended before the show begins.
    fn offers_delayed_methods(&self, now: DateTime<Utc>) -> bool {
        self.delayed_methods && self.starts_at > now + DELAYED_METHOD_MAX
    }

    fn booked_show(&self) -> BookedShow {
        BookedShow {
            id: self.show_id,
            title: self.title.clone(),
            starts_at: self.starts_at,
            timezone: self.timezone.clone(),
            movie: self.movie.clone(),
        }
    }
}

fn refuse_unavailable(seats: &[&WantedSeat], buyer: &UserId) -> Result<(), Refusal> {
    let gone: Vec<&&WantedSeat> = seats
        .iter()
        .filter(|seat| !seat.sellable || seat.claimed_by.is_some())
        .collect();
    if gone.is_empty() {
        return Ok(());
    }
    let own_booking = gone.iter().find_map(|seat| match &seat.claimed_by {
        Some((id, owner, BookingStatus::Pending)) if owner == buyer => Some(*id),
        _ => None,
    });
    Err(Refusal::SeatUnavailable {
        seats: gone.iter().map(|seat| seat.label.clone()).collect(),
        own_booking,
    })
}

#[cfg(test)]
mod tests {
    use super::super::money::AMOUNT_MINOR_MAX;
    use super::*;

    fn availability() -> SeatAvailability {
        let seat = |label: &str, tier: &str, price_minor| WantedSeat {
            label: label.to_owned(),
            tier: tier.to_owned(),
            price_minor,
            sellable: true,
            claimed_by: None,
        };
        SeatAvailability {
            show_id: ShowId::new(),
            title: "Metropolis".to_owned(),
            starts_at: "2026-12-24T19:30:00Z".parse().unwrap(),
            timezone: "Europe/Berlin".to_owned(),
            movie: None,
            status: ShowStatus::OnSale,
            currency: "eur".parse().unwrap(),
            max_seats_per_booking: 3,
            max_seats_per_user: Some(4),
            delayed_methods: false,
            cancellation_policy: vec![],
            holder: Holder::default(),
            seats: vec![
                seat("A2", "regular", 1_200),
                seat("A10", "regular", 1_200),
                seat("B1", "box", 2_500),
            ],
        }
    }

    fn quote(availability: &SeatAvailability, wanted: &[&str]) -> Result<Quote, Refusal> {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        availability.quote(
            &wanted,
            &buyer(),
            None,
            "2026-11-21T12:00:00Z".parse().unwrap(),
        )
    }

    fn buyer() -> UserId {
        UserId("user_1".to_owned())
    }

    #[test]
    fn a_quote_has_an_item_per_tier_and_seats_in_natural_order() {
        let quote = quote(&availability(), &["B1", "A10", "A2"]).unwrap();

        let seats = quote.reservation.seats().unwrap();
        assert_eq!(seats.labels, ["A2", "A10", "B1"]);
        assert_eq!(quote.total.amount_minor, 4_900);
        let items = quote.items.iter();
        let items = items.map(|item| (item.name.as_str(), item.description.as_str()));
        let expected = [
            ("Metropolis", "regular · A2, A10"),
            ("Metropolis", "box · B1"),
        ];
        assert_eq!(items.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn each_no_of_an_offer_has_its_reason() {
        type Change = fn(&mut SeatAvailability);
        let cases: [(Change, &[&str], &str); 8] = [
            (
                |availability| availability.status = ShowStatus::Closed,
                &["A2"],
                "show_closed",
            ),
            (
                |availability| availability.starts_at = DateTime::UNIX_EPOCH,
                &["A2"],
                "show_closed",
            ),
            (
                |availability| availability.max_seats_per_booking = 1,
                &["A2", "B1"],
                "too_many_seats",
            ),
            (|_| (), &["A2", "Z9"], "unknown_seat"),
            (
                |availability| availability.seats[0].sellable = false,
                &["A2"],
                "seat_unavailable",
            ),
            (
                |availability| {
                    let claim = (BookingId::new(), buyer(), BookingStatus::Confirmed);
                    availability.seats[0].claimed_by = Some(claim);
                },
                &["A2"],
                "seat_unavailable",
            ),
            (
                |availability| availability.seats[0].price_minor = 49,
                &["A2"],
                "amount_too_small",
            ),
            (
                |availability| availability.seats[0].price_minor = AMOUNT_MINOR_MAX,
                &["A2", "B1"],
                "validation_failed",
            ),
        ];
        for (change, wanted, code) in cases {
            let mut changed = availability();
            change(&mut changed);

            assert_eq!(quote(&changed, wanted).unwrap_err().code(), code);
        }
    }

    #[test]
    fn only_a_pending_booking_of_ones_own_is_named() {
        let id = BookingId::new();
        for (owner, status, named) in [
            (buyer(), BookingStatus::Pending, Some(id)),
            (buyer(), BookingStatus::Confirmed, None),
            (UserId("user_2".to_owned()), BookingStatus::Pending, None),
        ] {
            let mut taken = availability();
            taken.seats[0].claimed_by = Some((id, owner, status));

            let refusal = quote(&taken, &["A2", "B1"]).unwrap_err();

            let seats = vec!["A2".to_owned()];
            assert_eq!(
                refusal,
                Refusal::SeatUnavailable {
                    seats,
                    own_booking: named
                }
            );
        }
    }

    #[test]
    fn delayed_methods_need_a_show_that_allows_them_and_is_far_enough_away() {
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();
        let second = chrono::TimeDelta::seconds(1);
        for (is_allowed, starts_at, is_offered) in [
            (true, now + DELAYED_METHOD_MAX + second, true),
            (true, now + DELAYED_METHOD_MAX, false),
            (false, now + DELAYED_METHOD_MAX + second, false),
        ] {
            let mut show = availability();
            (show.delayed_methods, show.starts_at) = (is_allowed, starts_at);

            let quoted = quote(&show, &["A2"]).unwrap();

            assert_eq!(quoted.delayed_methods, is_offered, "{starts_at}");
        }
    }

    #[test]
    fn free_seats_cost_nothing_and_are_not_below_the_minimum() {
        let mut free = availability();
        free.seats[0].price_minor = 0;

        assert_eq!(quote(&free, &["A2"]).unwrap().total.amount_minor, 0);
    }
}
