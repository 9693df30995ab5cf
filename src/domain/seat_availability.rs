//! An availability: a show with wanted seats of it, what they cost, and why they may not be had.

use chrono::{DateTime, Utc};

use super::booking::{BookedShow, BookingStatus};
use super::catalogue::{PolicyStep, ShowStatus};
use super::currency::Currency;
use super::ids::{BookingId, ShowId};
use super::money::{AMOUNT_MINOR_MAX, Money};
use super::refusal::Refusal;
use super::seats::sort_naturally;
use super::user::UserId;

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
    /// Whether it is on sale.
    pub status: ShowStatus,
    /// The currency of its prices.
    pub currency: Currency,
    /// The most seats of one booking.
    pub max_seats_per_booking: usize,
    /// The policy that is frozen into the booking.
    pub cancellation_policy: Vec<PolicyStep>,
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

/// What the seats of a booking cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// The labels, in natural order.
    pub seats: Vec<String>,
    /// The sum.
    pub total: Money,
    /// One line per tier, in the order of the first seat of each.
    pub lines: Vec<QuoteLine>,
}

/// Seats of one tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteLine {
    /// The name of the tier.
    pub tier: String,
    /// The price of one seat.
    pub unit: Money,
    /// The seats, in natural order.
    pub seats: Vec<String>,
}

impl SeatAvailability {
    /// What `wanted` costs `buyer`, or why he cannot have it. Nothing is held yet: the database
    /// decides that.
    ///
    /// `wanted` names each seat once.
    pub fn quote(
        &self,
        wanted: &[String],
        buyer: &UserId,
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
        self.price(&seats)
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

    fn price(&self, seats: &[&WantedSeat]) -> Result<Quote, Refusal> {
        let mut total_minor: i64 = 0;
        let mut lines: Vec<QuoteLine> = Vec::new();
        for seat in seats {
            total_minor = total_minor.saturating_add(seat.price_minor);
            match lines.iter_mut().find(|line| line.tier == seat.tier) {
                Some(line) => line.seats.push(seat.label.clone()),
                None => lines.push(QuoteLine {
                    tier: seat.tier.clone(),
                    unit: Money::new(seat.price_minor, self.currency),
                    seats: vec![seat.label.clone()],
                }),
            }
        }
        let minimum_minor = self.currency.minimum_minor();
        if total_minor > 0 && total_minor < minimum_minor {
            let minimum = Money::new(minimum_minor, self.currency);
            return Err(Refusal::AmountTooSmall { minimum });
        }
        if total_minor > AMOUNT_MINOR_MAX {
            return Err(Refusal::field(
                "seats",
                "cost more together than can be charged at once",
            ));
        }
        Ok(Quote {
            seats: seats.iter().map(|seat| seat.label.clone()).collect(),
            total: Money::new(total_minor, self.currency),
            lines,
        })
    }
}

impl From<SeatAvailability> for BookedShow {
    fn from(availability: SeatAvailability) -> Self {
        Self {
            id: availability.show_id,
            title: availability.title,
            starts_at: availability.starts_at,
            timezone: availability.timezone,
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
            status: ShowStatus::OnSale,
            currency: "eur".parse().unwrap(),
            max_seats_per_booking: 3,
            cancellation_policy: vec![],
            seats: vec![
                seat("A2", "regular", 1_200),
                seat("A10", "regular", 1_200),
                seat("B1", "box", 2_500),
            ],
        }
    }

    fn quote(availability: &SeatAvailability, wanted: &[&str]) -> Result<Quote, Refusal> {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        availability.quote(&wanted, &buyer(), "2026-11-21T12:00:00Z".parse().unwrap())
    }

    fn buyer() -> UserId {
        UserId("user_1".to_owned())
    }

    #[test]
    fn a_quote_has_a_line_per_tier_and_seats_in_natural_order() {
        let quote = quote(&availability(), &["B1", "A10", "A2"]).unwrap();

        assert_eq!(quote.seats, ["A2", "A10", "B1"]);
        assert_eq!(quote.total.amount_minor, 4_900);
        assert_eq!(quote.lines.len(), 2);
        assert_eq!(quote.lines[0].seats, ["A2", "A10"]);
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
                    availability.seats[0].claimed_by =
                        Some((BookingId::new(), buyer(), BookingStatus::Confirmed))
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
    fn free_seats_cost_nothing_and_are_not_below_the_minimum() {
        let mut free = availability();
        free.seats[0].price_minor = 0;

        assert_eq!(quote(&free, &["A2"]).unwrap().total.amount_minor, 0);
    }
}
