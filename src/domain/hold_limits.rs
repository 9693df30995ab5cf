//! How much one user may hold unpaid, and have of a show, so that no account keeps it sold out.
//! Only a new hold is limited: money that comes for an old one is never refused for this.

use std::num::NonZeroU32;

use chrono::{DateTime, TimeDelta, Utc};

use super::quote::Quote;
use super::refusal::Refusal;
use super::unpaid_hold::UnpaidHold;

/// Holds of one user and show that lapse within this of each other make them wait.
const LAPSES_WITHIN: TimeDelta = TimeDelta::hours(1);

/// What one user may hold.
#[derive(Debug, Clone, Copy)]
pub struct HoldLimits {
    /// Unpaid bookings at once, one of them per show. `None` lifts both limits, and the pause.
    pub per_user: Option<NonZeroU32>,
    /// How long a hold lasts.
    pub hold: TimeDelta,
}

/// What a user has, as far as it counts against what they may hold of one show, or of a service.
#[derive(Debug, Clone, Default)]
pub struct Holder {
    /// All that they hold unpaid, of whatever show or service, oldest first.
    pub holds: Vec<UnpaidHold>,
    /// How many seats of the show they hold or have bought.
    pub seats: usize,
    /// The ends of the last and of the first of their unpaid holds that together have lasted as
    /// long as two, if that counts any more: of this show, or of services. One that was called off
    /// counts as the part of it that it lasted.
    pub lapses: Vec<DateTime<Utc>>,
}

/// What has to be counted of a user before they may hold more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// After when lapses count, if holds do.
    pub lapsed_after: Option<DateTime<Utc>>,
    /// Whether the seats of the show do.
    pub seats: bool,
}

impl Holder {
    /// As the database has counted.
    pub fn counted(holds: Vec<UnpaidHold>, seats: i64, lapses: Vec<DateTime<Utc>>) -> Self {
        let seats = usize::try_from(seats).unwrap_or_default();
        Self {
            holds,
            seats,
            lapses,
        }
    }
}

impl HoldLimits {
    /// What has to be counted before what was quoted may be held, if anything limits that.
    pub fn counted(&self, quote: &Quote, now: DateTime<Utc>) -> Option<Counted> {
        let counted = Counted {
            lapsed_after: self.lapsed_after(now).filter(|_| !quote.is_free()),
            seats: self.seats_max(quote).is_some(),
        };
        (counted.seats || counted.lapsed_after.is_some()).then_some(counted)
    }

    /// Holds that lapsed before this do not count any more. `None` where no holds count.
    pub fn lapsed_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.per_user.map(|_| now - self.hold - LAPSES_WITHIN)
    }

    /// Refuses what was quoted if its buyer has too much already: with `too_many_seats`,
    /// `too_many_holds` or `rate_limited`.
    pub fn check(&self, holder: &Holder, quote: &Quote, now: DateTime<Utc>) -> Result<(), Refusal> {
        let wanted = quote.reservation.seats();
        let seats = wanted.map_or(0, |seats| seats.labels.len());
        if let Some(maximum) = self.seats_max(quote)
            && holder.seats.saturating_add(seats) > maximum
        {
            return Err(Refusal::TooManySeatsOfUser { maximum });
        }
        // What costs nothing is never held: it is confirmed at once.
        let Some(per_user) = self.per_user.filter(|_| !quote.is_free()) else {
            return Ok(());
        };
        let show_id = wanted.map(|seats| seats.show_id);
        let of_show = holder.holds.iter();
        let of_show = of_show.filter(|hold| show_id.is_some() && hold.show_id == show_id);
        let of_show: Vec<_> = of_show.cloned().collect();
        if !of_show.is_empty() {
            return Err(Refusal::TooManyHolds {
                maximum: 1,
                holds: of_show,
            });
        }
        let maximum = usize::try_from(per_user.get()).unwrap_or(usize::MAX);
        if holder.holds.len() >= maximum {
            return Err(Refusal::TooManyHolds {
                maximum,
                holds: holder.holds.clone(),
            });
        }
        match self.pause(&holder.lapses, now) {
            Some(wait) => Err(Refusal::HoldsLapsed { wait }),
            None => Ok(()),
        }
    }

    /// How many seats of the show the buyer may have in all, if that is limited. Of what costs
    /// nothing, no hold is counted and none lapses: they may have those of one booking.
    fn seats_max(&self, quote: &Quote) -> Option<usize> {
        let of_free = quote.max_seats_per_booking;
        let of_free = of_free.filter(|_| quote.is_free() && self.per_user.is_some());
        quote.max_seats_per_user.or(of_free)
    }

    /// How long whoever has let two holds lapse has to wait, if they have to.
    fn pause(&self, lapses: &[DateTime<Utc>], now: DateTime<Utc>) -> Option<TimeDelta> {
        let [last, before] = lapses else { return None };
        // A session can end before the hold that it belongs to.
        let (last, before) = (*last.min(&now), *before.min(&now));
        let wait = last + self.hold - now;
        (last - before <= LAPSES_WITHIN && wait > TimeDelta::zero()).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::super::attempt::PaymentPart;
    use super::super::booking::{PaymentOption, Reservation, ReservedSeats};
    use super::super::ids::{BookingId, ShowId};
    use super::super::money::Money;
    use super::*;

    const HOLD: TimeDelta = TimeDelta::minutes(10);

    fn limits(per_user: u32) -> HoldLimits {
        HoldLimits {
            per_user: NonZeroU32::new(per_user),
            hold: HOLD,
        }
    }

    fn now() -> DateTime<Utc> {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    fn quote(show_id: ShowId, seats: usize, total_minor: i64) -> Quote {
        let total = Money::new(total_minor, "eur".parse().unwrap());
        Quote {
            reservation: Reservation::Seats(ReservedSeats {
                show_id,
                labels: vec!["A1".to_owned(); seats],
            }),
            show: None,
            service: None,
            total,
            voucher: None,
            payment_option: PaymentOption::Full,
            due: total,
            part: PaymentPart::Full,
            items: vec![],
            cancellation_policy: vec![],
            max_seats_per_booking: None,
            max_seats_per_user: None,
            delayed_methods: false,
        }
    }

    fn hold(show_id: Option<ShowId>) -> UnpaidHold {
        UnpaidHold {
            id: BookingId::new(),
            reference: "HF-000001".to_owned(),
            show_id,
            hold_expires_at: now() + HOLD,
        }
    }

    #[test]
    fn one_hold_of_the_show_is_the_first_limit_and_all_holds_the_second() {
        let (show, other) = (ShowId::new(), ShowId::new());
        let of_show = hold(Some(show));
        for (holds, per_user, refused) in [
            (vec![], 1, None),
            (vec![hold(Some(other)), hold(None)], 3, None),
            (vec![of_show.clone()], 3, Some((1, 1))),
            (
                vec![hold(None), of_show.clone(), hold(None)],
                3,
                Some((1, 1)),
            ),
            (vec![hold(Some(other)), hold(None)], 2, Some((2, 2))),
            // From before the limit was lowered.
            (vec![hold(None), hold(None)], 1, Some((1, 2))),
            (vec![of_show, hold(None)], 0, None),
        ] {
            let holder = Holder {
                holds,
                ..Holder::default()
            };

            let checked = limits(per_user).check(&holder, &quote(show, 2, 1_200), now());

            let found = match checked {
                Err(Refusal::TooManyHolds { maximum, holds }) => Some((maximum, holds.len())),
                Ok(()) => None,
                Err(refusal) => panic!("{refusal:?}"),
            };
            assert_eq!(found, refused, "{holder:?}");
            let free = limits(per_user).check(&holder, &quote(show, 2, 0), now());
            assert_eq!(free, Ok(()));
        }
    }

    #[test]
    fn seats_that_are_held_or_bought_count_whatever_they_cost() {
        for (seats, wanted, total_minor, is_refused) in [
            (0, 4, 1_200, false),
            (2, 2, 1_200, false),
            (2, 3, 1_200, true),
            (4, 1, 0, true),
            (9, 1, 0, true),
        ] {
            let holder = Holder {
                seats,
                ..Holder::default()
            };
            let mut quote = quote(ShowId::new(), wanted, total_minor);
            quote.max_seats_per_user = Some(4);

            let checked = limits(0).check(&holder, &quote, now());

            let refusal = Refusal::TooManySeatsOfUser { maximum: 4 };
            let expected = if is_refused { Err(refusal) } else { Ok(()) };
            assert_eq!(checked, expected, "{seats} and {wanted}");
        }
    }

    #[test]
    fn of_what_is_free_a_user_has_the_seats_of_one_booking() {
        for (per_user, total_minor, of_user, held, maximum) in [
            (3, 0, None, 0, None),
            (3, 0, None, 2, Some(3)),
            (3, 0, Some(9), 2, None),
            (3, 1_200, None, 2, None),
            (0, 0, None, 2, None),
        ] {
            let holder = Holder {
                seats: held,
                ..Holder::default()
            };
            let mut quote = quote(ShowId::new(), 2, total_minor);
            quote.max_seats_per_booking = Some(3);
            quote.max_seats_per_user = of_user;

            let checked = limits(per_user).check(&holder, &quote, now());

            let refusal = maximum.map(|maximum| Refusal::TooManySeatsOfUser { maximum });
            assert_eq!(
                checked,
                refusal.map_or(Ok(()), Err),
                "{held} of {of_user:?}"
            );
        }
    }

    #[test]
    fn two_lapses_within_an_hour_cost_as_long_as_a_hold() {
        for (minutes_ago, wait) in [
            (vec![], None),
            (vec![1], None),
            (vec![0, 10], Some(10)),
            (vec![9, 20], Some(1)),
            (vec![9, 69], Some(1)),
            (vec![9, 70], None),
            (vec![10, 20], None),
            // The session had ended before its hold.
            (vec![-5, 0], Some(10)),
        ] {
            let ago = |minutes: &i64| now() - TimeDelta::minutes(*minutes);
            let holder = Holder {
                lapses: minutes_ago.iter().map(ago).collect(),
                ..Holder::default()
            };

            let checked = limits(3).check(&holder, &quote(ShowId::new(), 1, 1_200), now());

            let expected = match wait.map(TimeDelta::minutes) {
                Some(wait) => Err(Refusal::HoldsLapsed { wait }),
                None => Ok(()),
            };
            assert_eq!(checked, expected, "{minutes_ago:?}");
            let counted_after = limits(3).lapsed_after(now()).unwrap();
            let is_counted = |lapse: &DateTime<Utc>| *lapse > counted_after;
            assert!(wait.is_none() || holder.lapses.iter().all(is_counted));
            let unlimited = limits(0).check(&holder, &quote(ShowId::new(), 1, 1_200), now());
            assert_eq!(unlimited, Ok(()));
        }
    }
}
