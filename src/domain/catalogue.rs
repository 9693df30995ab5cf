//! What there is to book: movies, shows, their tiers, and the cancellation policy that is frozen at
//! sale.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::calendar::{YEARS_SENTENCE, has_date, has_instant};
use super::currency::Currency;
use super::ids::{MovieId, ShowId};
use super::money::Money;
use super::refusal::{FieldError, Refusal};
use super::seats::{Seat, SeatRow, lay_out};

/// The longest title, in characters.
pub const TITLE_CHARACTERS_MAX: usize = 200;
/// The most tiers of one show. Each may be one line item, and Stripe takes at most 100.
pub const TIERS_MAX: usize = 20;
/// The most seats that one booking may ever have.
pub const BOOKING_SEATS_MAX: u32 = 100;
/// The most seats of one booking where the admin names no number.
pub const BOOKING_SEATS_DEFAULT: u32 = 10;
/// The most steps of a cancellation policy.
const POLICY_STEPS_MAX: usize = 10;

/// A movie of the programme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movie {
    /// Its id.
    pub id: MovieId,
    /// What there is to know of it.
    pub details: MovieDetails,
}

/// What an admin says of a movie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovieDetails {
    /// The title.
    pub title: String,
    /// A paragraph about it.
    pub overview: Option<String>,
    /// Its length, in minutes.
    pub runtime_minutes: Option<i32>,
    /// When it was first shown.
    pub release_date: Option<NaiveDate>,
    /// Names of genres.
    pub genres: Vec<String>,
    /// An absolute URL of its poster.
    pub poster_url: Option<String>,
}

/// A price category of a show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tier {
    /// Such as "regular"; unique within the show.
    pub name: String,
    /// What one seat costs.
    pub price: Money,
}

/// One step of a cancellation policy: who cancels at least so many hours before gets so much back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyStep {
    /// Hours before the start.
    pub hours_before: u32,
    /// Per cent of what was paid.
    pub refund_percent: u8,
}

/// The policy of a show that names none: everything back until a day before, then nothing.
pub fn default_policy() -> Vec<PolicyStep> {
    vec![
        PolicyStep {
            hours_before: 24,
            refund_percent: 100,
        },
        PolicyStep {
            hours_before: 0,
            refund_percent: 0,
        },
    ]
}

/// What a show is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, Serialize, utoipa::ToSchema)]
#[sqlx(type_name = "show_status", rename_all = "snake_case")]
#[serde(rename_all = "camelCase")]
pub enum ShowStatus {
    /// Seats can be booked.
    OnSale,
    /// No more seats are sold.
    Closed,
    /// It does not take place.
    Cancelled,
}

impl ShowStatus {
    /// The status as seen at `now`: a show that has begun is closed.
    #[must_use]
    pub fn at(self, starts_at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        match self {
            Self::OnSale if starts_at <= now => Self::Closed,
            Self::OnSale | Self::Closed | Self::Cancelled => self,
        }
    }
}

/// A show as it is listed.
#[derive(Debug, Clone)]
pub struct Show {
    /// Its id.
    pub id: ShowId,
    /// The movie that is shown, if it is one of the programme.
    pub movie: Option<Movie>,
    /// The title as sold.
    pub title: String,
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// The IANA zone of its place.
    pub timezone: String,
    /// Whether it is on sale, regardless of its start.
    pub status: ShowStatus,
    /// The currency of its prices.
    pub currency: Currency,
    /// Its price categories.
    pub tiers: Vec<Tier>,
    /// The most seats of one booking.
    pub max_seats_per_booking: i32,
    /// All its seats.
    pub seats_total: i64,
    /// Those that can be booked now.
    pub seats_free: i64,
    /// The policy of bookings that are made now.
    pub cancellation_policy: Vec<PolicyStep>,
}

/// What an admin says of a new show, not yet checked.
#[derive(Debug, Clone)]
pub struct ShowDraft {
    /// The movie that is shown, if it is one of the programme.
    pub movie_id: Option<MovieId>,
    /// The title as sold.
    pub title: String,
    /// The instant at which it begins.
    pub starts_at: DateTime<Utc>,
    /// The IANA name of the zone of the place.
    pub timezone: String,
    /// The most seats of one booking.
    pub max_seats_per_booking: Option<u32>,
    /// The price categories, all in one currency.
    pub tiers: Vec<Tier>,
    /// The seats.
    pub rows: Vec<SeatRow>,
    /// Labels of seats that are not sold.
    pub blocked: Vec<String>,
    /// The policy, or none for the default.
    pub cancellation_policy: Option<Vec<PolicyStep>>,
}

/// A show that keeps to all rules, ready to be stored.
#[derive(Debug, Clone)]
pub struct NewShow {
    /// Its id.
    pub id: ShowId,
    /// The movie that is shown, if it is one of the programme.
    pub movie_id: Option<MovieId>,
    /// The title as sold.
    pub title: String,
    /// The instant at which it begins.
    pub starts_at: DateTime<Utc>,
    /// The zone of the place.
    pub timezone: Tz,
    /// The most seats of one booking, 1 to [`BOOKING_SEATS_MAX`].
    pub max_seats_per_booking: u32,
    /// The currency of all tiers.
    pub currency: Currency,
    /// The price categories, in the order given.
    pub tiers: Vec<Tier>,
    /// The seats, in natural order.
    pub seats: Vec<Seat>,
    /// Hours strictly descending.
    pub cancellation_policy: Vec<PolicyStep>,
}

impl ShowDraft {
    /// The show that this describes. Refuses with `validation_failed`, naming every fault at once.
    pub fn check(self, now: DateTime<Utc>) -> Result<NewShow, Refusal> {
        let mut errors = FieldErrors::default();
        errors.title("title", &self.title);
        errors.add_if("startsAt", self.starts_at <= now, "must lie in the future");
        errors.add_if("startsAt", !has_instant(self.starts_at), YEARS_SENTENCE);
        let timezone = self.timezone.parse::<Tz>().ok();
        errors.add_if(
            "timezone",
            timezone.is_none(),
            "must be an IANA time zone such as \"Europe/Berlin\"",
        );
        let max_seats_per_booking = self.max_seats_per_booking.unwrap_or(BOOKING_SEATS_DEFAULT);
        errors.add_if(
            "maxSeatsPerBooking",
            !(1..=BOOKING_SEATS_MAX).contains(&max_seats_per_booking),
            format!("must be between 1 and {BOOKING_SEATS_MAX}"),
        );
        let currency = errors.tiers(&self.tiers);
        errors.row_tiers(&self.rows, &self.tiers);
        let seats = errors.take(lay_out(&self.rows, &self.blocked));
        let cancellation_policy = self.cancellation_policy.unwrap_or_else(default_policy);
        errors.policy(&cancellation_policy);
        match (timezone, currency, seats, errors.0.is_empty()) {
            (Some(timezone), Some(currency), Some(seats), true) => Ok(NewShow {
                id: ShowId::new(),
                movie_id: self.movie_id,
                title: self.title,
                starts_at: self.starts_at,
                timezone,
                max_seats_per_booking,
                currency,
                tiers: self.tiers,
                seats,
                cancellation_policy,
            }),
            _ => Err(Refusal::ValidationFailed(errors.0)),
        }
    }
}

impl MovieDetails {
    /// Refuses with `validation_failed`, naming every fault at once.
    pub fn check(self) -> Result<Self, Refusal> {
        let mut errors = FieldErrors::default();
        errors.title("title", &self.title);
        errors.add_if(
            "runtimeMinutes",
            self.runtime_minutes
                .is_some_and(|minutes| !(1..=10_000).contains(&minutes)),
            "must be between 1 and 10000",
        );
        errors.add_if(
            "overview",
            self.overview
                .as_ref()
                .is_some_and(|text| text.chars().count() > 5_000),
            "must have at most 5000 characters",
        );
        errors.add_if(
            "releaseDate",
            self.release_date.is_some_and(|date| !has_date(date)),
            YEARS_SENTENCE,
        );
        errors.add_if("genres", self.genres.len() > 20, "must be at most 20");
        for (index, genre) in self.genres.iter().enumerate() {
            errors.title(&format!("genres[{index}]"), genre);
        }
        errors.add_if(
            "posterUrl",
            self.poster_url.as_ref().is_some_and(|url| !is_web_url(url)),
            "must be an absolute http or https URL of at most 2000 characters",
        );
        if errors.0.is_empty() {
            Ok(self)
        } else {
            Err(Refusal::ValidationFailed(errors.0))
        }
    }
}

fn is_web_url(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let has_host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    has_host && url.len() <= 2_000 && !url.contains(char::is_whitespace)
}

/// What is wrong with a request so far, field by field.
#[derive(Default)]
struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    fn add_if(&mut self, field: impl Into<String>, wrong: bool, message: impl Into<String>) {
        if wrong {
            self.0.push(FieldError {
                field: field.into(),
                message: message.into(),
            });
        }
    }

    fn take<T>(&mut self, result: Result<T, Vec<FieldError>>) -> Option<T> {
        result.map_err(|errors| self.0.extend(errors)).ok()
    }

    fn title(&mut self, field: &str, title: &str) {
        let characters = title.trim().chars().count();
        self.add_if(
            field,
            !(1..=TITLE_CHARACTERS_MAX).contains(&characters),
            format!("must have 1 to {TITLE_CHARACTERS_MAX} characters"),
        );
    }

    /// The one currency of the tiers.
    fn tiers(&mut self, tiers: &[Tier]) -> Option<Currency> {
        let wrong_count = !(1..=TIERS_MAX).contains(&tiers.len());
        self.add_if(
            "tiers",
            wrong_count,
            format!("must be 1 to {TIERS_MAX} tiers"),
        );
        let names: BTreeSet<&str> = tiers.iter().map(|tier| tier.name.as_str()).collect();
        self.add_if("tiers", names.len() < tiers.len(), "name a tier twice");
        let currency = tiers.first().map(|tier| tier.price.currency);
        for (index, tier) in tiers.iter().enumerate() {
            self.title(&format!("tiers[{index}].name"), &tier.name);
            if let Some(message) = tier.price.price_error() {
                self.add_if(format!("tiers[{index}].price.amountMinor"), true, message);
            }
            self.add_if(
                format!("tiers[{index}].price.currency"),
                Some(tier.price.currency) != currency,
                "must be the same for all tiers",
            );
        }
        currency
    }

    fn row_tiers(&mut self, rows: &[SeatRow], tiers: &[Tier]) {
        for (index, row) in rows.iter().enumerate() {
            let known = tiers.iter().any(|tier| tier.name == row.tier);
            self.add_if(
                format!("rows[{index}].tier"),
                !known,
                "is not one of the tiers",
            );
        }
    }

    fn policy(&mut self, steps: &[PolicyStep]) {
        self.add_if(
            "cancellationPolicy",
            steps.len() > POLICY_STEPS_MAX,
            format!("must be at most {POLICY_STEPS_MAX} steps"),
        );
        let descending = steps.is_sorted_by(|a, b| a.hours_before > b.hours_before);
        self.add_if(
            "cancellationPolicy",
            !descending,
            "must have strictly descending hoursBefore",
        );
        let percent_fits = steps.iter().all(|step| step.refund_percent <= 100);
        self.add_if(
            "cancellationPolicy",
            !percent_fits,
            "must have a refundPercent of at most 100",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> ShowDraft {
        ShowDraft {
            movie_id: None,
            title: "Metropolis".to_owned(),
            starts_at: "2026-12-24T19:30:00Z".parse().unwrap(),
            timezone: "Europe/Berlin".to_owned(),
            max_seats_per_booking: None,
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
    fn every_fault_of_a_show_is_named() {
        type Change = fn(&mut ShowDraft);
        let cases: [(Change, &str); 13] = [
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
                    draft.cancellation_policy = Some([default_policy(), default_policy()].concat())
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

    #[test]
    fn a_show_that_has_begun_is_closed() {
        assert_eq!(ShowStatus::OnSale.at(now(), now()), ShowStatus::Closed);
        assert_eq!(
            ShowStatus::Cancelled.at(now(), now()),
            ShowStatus::Cancelled
        );
    }
}
