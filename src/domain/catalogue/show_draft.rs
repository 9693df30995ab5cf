//! Shows to be put on sale: what an admin describes, and what keeps to all rules.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::cancellation_policy::{self, PolicyStep, default_policy};
use super::show::Tier;
use super::title;
use crate::domain::calendar::{YEARS_SENTENCE, has_instant};
use crate::domain::currency::Currency;
use crate::domain::field_errors::FieldErrors;
use crate::domain::ids::{MovieId, ShowId};
use crate::domain::refusal::Refusal;
use crate::domain::seats::{Seat, SeatRow, lay_out};

/// The most seats that one booking may ever have.
pub const BOOKING_SEATS_MAX: u32 = 100;
/// The most seats of one booking where the admin names no number.
const BOOKING_SEATS_DEFAULT: u32 = 10;
/// The most seats that an admin may name as the limit of one user: any show has fewer.
const USER_SEATS_MAX: u32 = 10_000;
/// Each tier may be one line item, and Stripe takes at most 100.
const TIERS_MAX: usize = 20;

/// A new show as an admin describes it, not yet checked.
#[derive(Debug, Clone)]
pub struct ShowDraft {
    /// If what is shown is a movie of the catalogue.
    pub(crate) movie_id: Option<MovieId>,
    /// As sold.
    pub(crate) title: String,
    pub(crate) starts_at: DateTime<Utc>,
    /// The IANA name of the zone of its place.
    pub(crate) timezone: String,
    pub(crate) max_seats_per_booking: Option<u32>,
    /// None for no limit.
    pub(crate) max_seats_per_user: Option<u32>,
    /// Whether its seats may wait for methods of payment that take days.
    pub(crate) delayed_methods: bool,
    pub(crate) tiers: Vec<Tier>,
    pub(crate) rows: Vec<SeatRow>,
    /// Labels of seats that are not sold.
    pub(crate) blocked: Vec<String>,
    /// None for the default.
    pub(crate) cancellation_policy: Option<Vec<PolicyStep>>,
}

/// A show that keeps to all rules, ready to be stored.
#[derive(Debug, Clone)]
pub struct NewShow {
    pub(crate) id: ShowId,
    pub(crate) movie_id: Option<MovieId>,
    pub(crate) title: String,
    pub(crate) starts_at: DateTime<Utc>,
    pub(crate) timezone: Tz,
    /// 1 to [`BOOKING_SEATS_MAX`].
    pub(crate) max_seats_per_booking: u32,
    /// 1 to [`USER_SEATS_MAX`].
    pub(crate) max_seats_per_user: Option<u32>,
    pub(crate) delayed_methods: bool,
    /// Of all tiers.
    pub(crate) currency: Currency,
    /// In the order given.
    pub(crate) tiers: Vec<Tier>,
    /// In natural order.
    pub(crate) seats: Vec<Seat>,
    /// Hours strictly descending.
    pub(crate) cancellation_policy: Vec<PolicyStep>,
}

impl ShowDraft {
    /// The show that this describes. Refuses with `validation_failed`, naming all that is wrong.
    pub fn check(self, now: DateTime<Utc>) -> Result<NewShow, Refusal> {
        let mut errors = FieldErrors::default();
        title::check(&mut errors, "title", &self.title);
        check_start(&mut errors, self.starts_at, now);
        let timezone = check_timezone(&mut errors, &self.timezone);
        let max_seats_per_booking = self.max_seats_per_booking.unwrap_or(BOOKING_SEATS_DEFAULT);
        errors.add_if(
            !(1..=BOOKING_SEATS_MAX).contains(&max_seats_per_booking),
            "maxSeatsPerBooking",
            format!("must be between 1 and {BOOKING_SEATS_MAX}"),
        );
        let max_seats_per_user = self.max_seats_per_user;
        errors.add_if(
            max_seats_per_user.is_some_and(|seats| !(1..=USER_SEATS_MAX).contains(&seats)),
            "maxSeatsPerUser",
            format!("must be between 1 and {USER_SEATS_MAX}, or null"),
        );
        let currency = check_tiers(&mut errors, &self.tiers);
        check_tiers_of_rows(&mut errors, &self.rows, &self.tiers);
        let seats = errors.take(lay_out(&self.rows, &self.blocked));
        let cancellation_policy = self.cancellation_policy.unwrap_or_else(default_policy);
        cancellation_policy::check(&mut errors, &cancellation_policy);
        errors.finish(())?;
        let (Some(timezone), Some(currency), Some(seats)) = (timezone, currency, seats) else {
            return Err(Refusal::field("", "cannot be a show"));
        };
        Ok(NewShow {
            id: ShowId::new(),
            movie_id: self.movie_id,
            title: self.title,
            starts_at: self.starts_at,
            timezone,
            max_seats_per_booking,
            max_seats_per_user,
            delayed_methods: self.delayed_methods,
            currency,
            tiers: self.tiers,
            seats,
            cancellation_policy,
        })
    }
}

fn check_start(errors: &mut FieldErrors, starts_at: DateTime<Utc>, now: DateTime<Utc>) {
    errors.add_if(starts_at <= now, "startsAt", "must lie in the future");
    errors.add_if(!has_instant(starts_at), "startsAt", YEARS_SENTENCE);
}

fn check_timezone(errors: &mut FieldErrors, name: &str) -> Option<Tz> {
    let timezone = name.parse().ok();
    errors.add_if(
        timezone.is_none(),
        "timezone",
        "must be an IANA time zone such as \"Europe/Berlin\"",
    );
    timezone
}

/// Returns the one currency of the tiers.
fn check_tiers(errors: &mut FieldErrors, tiers: &[Tier]) -> Option<Currency> {
    errors.add_if(
        !(1..=TIERS_MAX).contains(&tiers.len()),
        "tiers",
        format!("must be 1 to {TIERS_MAX} tiers"),
    );
    let names: BTreeSet<&str> = tiers.iter().map(|tier| tier.name.as_str()).collect();
    errors.add_if(names.len() < tiers.len(), "tiers", "name a tier twice");
    let currency = tiers.first().map(|tier| tier.price.currency);
    for (index, tier) in tiers.iter().enumerate() {
        title::check(errors, &format!("tiers[{index}].name"), &tier.name);
        if let Some(message) = tier.price.price_error() {
            errors.add(format!("tiers[{index}].price.amountMinor"), message);
        }
        errors.add_if(
            Some(tier.price.currency) != currency,
            format!("tiers[{index}].price.currency"),
            "must be the same for all tiers",
        );
    }
    currency
}

fn check_tiers_of_rows(errors: &mut FieldErrors, rows: &[SeatRow], tiers: &[Tier]) {
    for (index, row) in rows.iter().enumerate() {
        let known = tiers.iter().any(|tier| tier.name == row.tier);
        errors.add_if(
            !known,
            format!("rows[{index}].tier"),
            "is not one of the tiers",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Money;

    fn draft() -> ShowDraft {
        ShowDraft {
            movie_id: None,
            title: "Metropolis".to_owned(),
            starts_at: "2026-12-24T19:30:00Z".parse().unwrap(),
            timezone: "Europe/Berlin".to_owned(),
            max_seats_per_booking: None,
            max_seats_per_user: None,
            delayed_methods: false,
            tiers: vec![tier("regular", 1_200, "eur")],
            rows: vec![SeatRow {
                row: "A".to_owned(),
                seats: 10,
                tier: "regular".to_owned(),
            }],
            blocked: vec!["A1".to_owned()],
            cancellation_policy: None,
        }
    }

    fn tier(name: &str, amount_minor: i64, currency: &str) -> Tier {
        Tier {
            name: name.to_owned(),
            price: Money::new(amount_minor, currency.parse().unwrap()),
        }
    }

    fn now() -> DateTime<Utc> {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_show_takes_the_defaults() {
        let show = draft().check(now()).unwrap();

        assert_eq!(show.max_seats_per_booking, BOOKING_SEATS_DEFAULT);
        assert_eq!(show.cancellation_policy, default_policy());
        assert_eq!(show.seats.len(), 10);
    }

    #[test]
    fn all_that_is_wrong_with_a_show_is_named() {
        type Change = fn(&mut ShowDraft);
        let cases: [(Change, &str); 15] = [
            (|draft| draft.title = " ".to_owned(), "title"),
            (|draft| draft.starts_at = now(), "startsAt"),
            (
                |draft| draft.starts_at = DateTime::<Utc>::MAX_UTC,
                "startsAt",
            ),
            (|draft| draft.timezone = "Berlin".to_owned(), "timezone"),
            (
                |draft| draft.max_seats_per_booking = Some(0),
                "maxSeatsPerBooking",
            ),
            (
                |draft| draft.max_seats_per_booking = Some(101),
                "maxSeatsPerBooking",
            ),
            (
                |draft| draft.max_seats_per_user = Some(0),
                "maxSeatsPerUser",
            ),
            (
                |draft| draft.max_seats_per_user = Some(10_001),
                "maxSeatsPerUser",
            ),
            (|draft| draft.tiers.push(tier("regular", 1, "eur")), "tiers"),
            (
                |draft| draft.tiers.push(tier("vip", 1, "usd")),
                "tiers[1].price.currency",
            ),
            (
                |draft| draft.tiers.push(tier("vip", -1, "eur")),
                "tiers[1].price.amountMinor",
            ),
            (
                |draft| draft.rows[0].tier = "vip".to_owned(),
                "rows[0].tier",
            ),
            (|draft| draft.blocked.push("Z1".to_owned()), "blocked"),
            (
                |draft| {
                    draft.cancellation_policy = Some([default_policy(), default_policy()].concat());
                },
                "cancellationPolicy",
            ),
            (
                |draft| (draft.rows, draft.blocked) = (Vec::new(), Vec::new()),
                "rows",
            ),
        ];
        for (change, field) in cases {
            let mut wrong = draft();
            change(&mut wrong);

            let Err(Refusal::ValidationFailed(errors)) = wrong.check(now()) else {
                panic!("{field} was not refused");
            };

            assert_eq!(errors.len(), 1, "{errors:?}");
            assert_eq!(errors[0].field, field);
        }
    }
}
