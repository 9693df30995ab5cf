//! Services to be sold: what an admin describes, and what keeps to all rules.

use std::collections::BTreeSet;

use chrono::NaiveTime;
use chrono_tz::Tz;

use super::cancellation_policy::{self, PolicyStep, default_policy};
use super::service::Service;
use super::title;
use crate::domain::field_errors::FieldErrors;
use crate::domain::ids::ServiceId;
use crate::domain::money::{AMOUNT_MINOR_MAX, Money};
use crate::domain::refusal::Refusal;

const SLUG_LETTERS_MAX: usize = 100;
const DESCRIPTION_CHARACTERS_MAX: usize = 5_000;
const RESOURCES_MAX: usize = 100;
const HOURS_MAX: u32 = 24;
/// A week.
const BUFFER_MINUTES_MAX: u32 = 7 * 24 * 60;
/// Ninety days.
const LEAD_MINUTES_MAX: u32 = 90 * 24 * 60;
const HORIZON_DAYS_MAX: u32 = 1_000;
const HORIZON_DAYS_DEFAULT: u32 = 365;

/// A new service as an admin describes it, not yet checked.
#[derive(Debug, Clone)]
pub struct ServiceDraft {
    pub(crate) slug: String,
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    /// An IANA name.
    pub(crate) timezone: String,
    pub(crate) price_per_hour: Money,
    pub(crate) deposit_percent: u32,
    pub(crate) min_hours: u32,
    pub(crate) max_hours: u32,
    pub(crate) buffer_minutes: Option<u32>,
    pub(crate) lead_minutes: Option<u32>,
    pub(crate) horizon_days: Option<u32>,
    /// `09:00`
    pub(crate) opens_at: String,
    pub(crate) closes_at: String,
    pub(crate) resources: Vec<String>,
    /// None for the default.
    pub(crate) cancellation_policy: Option<Vec<PolicyStep>>,
}

impl ServiceDraft {
    /// The service that this describes. Refuses with `validation_failed`, naming all that is wrong.
    pub fn check(self) -> Result<Service, Refusal> {
        let mut errors = FieldErrors::default();
        self.check_texts(&mut errors);
        self.check_numbers(&mut errors);
        self.check_resources(&mut errors);
        let timezone: Option<Tz> = self.timezone.parse().ok();
        errors.add_if(
            timezone.is_none(),
            "timezone",
            "must be an IANA time zone such as \"Europe/Berlin\"",
        );
        let opens_at = time_of_day(&mut errors, "opensAt", &self.opens_at);
        let closes_at = time_of_day(&mut errors, "closesAt", &self.closes_at);
        errors.add_if(
            opens_at
                .zip(closes_at)
                .is_some_and(|(open, close)| open >= close),
            "closesAt",
            "must be later than opensAt",
        );
        let cancellation_policy = self.cancellation_policy.unwrap_or_else(default_policy);
        cancellation_policy::check(&mut errors, &cancellation_policy);
        errors.finish(())?;
        let (Some(timezone), Some(opens_at), Some(closes_at)) = (timezone, opens_at, closes_at)
        else {
            return Err(Refusal::field("", "cannot be a service"));
        };
        Ok(Service {
            id: ServiceId::new(),
            slug: self.slug,
            title: self.title,
            description: self.description,
            timezone,
            price_per_hour: self.price_per_hour,
            deposit_percent: self.deposit_percent,
            min_hours: self.min_hours,
            max_hours: self.max_hours,
            buffer_minutes: self.buffer_minutes.unwrap_or_default(),
            lead_minutes: self.lead_minutes.unwrap_or_default(),
            horizon_days: self.horizon_days.unwrap_or(HORIZON_DAYS_DEFAULT),
            opens_at,
            closes_at,
            resources: self.resources,
            cancellation_policy,
        })
    }

    fn check_texts(&self, errors: &mut FieldErrors) {
        errors.add_if(
            !is_slug(&self.slug),
            "slug",
            format!(
                "must be 1 to {SLUG_LETTERS_MAX} lower-case letters and digits, \
                 with single hyphens between"
            ),
        );
        title::check(errors, "title", &self.title);
        let characters = self.description.as_ref().map(|text| text.chars().count());
        errors.add_if(
            characters.is_some_and(|count| count > DESCRIPTION_CHARACTERS_MAX),
            "description",
            format!("must have at most {DESCRIPTION_CHARACTERS_MAX} characters"),
        );
    }

    fn check_numbers(&self, errors: &mut FieldErrors) {
        for (field, value, min, max) in [
            ("depositPercent", self.deposit_percent, 1, 100),
            ("minHours", self.min_hours, 1, HOURS_MAX),
            ("maxHours", self.max_hours, 1, HOURS_MAX),
            (
                "bufferMinutes",
                self.buffer_minutes.unwrap_or_default(),
                0,
                BUFFER_MINUTES_MAX,
            ),
            (
                "leadMinutes",
                self.lead_minutes.unwrap_or_default(),
                0,
                LEAD_MINUTES_MAX,
            ),
            (
                "horizonDays",
                self.horizon_days.unwrap_or(HORIZON_DAYS_DEFAULT),
                1,
                HORIZON_DAYS_MAX,
            ),
        ] {
            errors.add_if(
                !(min..=max).contains(&value),
                field,
                format!("must be between {min} and {max}"),
            );
        }
        errors.add_if(
            self.min_hours > self.max_hours,
            "maxHours",
            "must be at least minHours",
        );
        if let Some(message) = self.price_per_hour.price_error() {
            errors.add("pricePerHour.amountMinor", message);
        }
        let most = self
            .price_per_hour
            .amount_minor
            .saturating_mul(self.max_hours.into());
        errors.add_if(
            (1..=HOURS_MAX).contains(&self.max_hours)
                && self.price_per_hour.price_error().is_none()
                && most > AMOUNT_MINOR_MAX,
            "maxHours",
            format!("must not cost more than {AMOUNT_MINOR_MAX}"),
        );
    }

    fn check_resources(&self, errors: &mut FieldErrors) {
        errors.add_if(
            !(1..=RESOURCES_MAX).contains(&self.resources.len()),
            "resources",
            format!("must be 1 to {RESOURCES_MAX}"),
        );
        let names: BTreeSet<&String> = self.resources.iter().collect();
        errors.add_if(
            names.len() < self.resources.len(),
            "resources",
            "name a resource twice",
        );
        for (index, name) in self.resources.iter().enumerate() {
            title::check(errors, &format!("resources[{index}]"), name);
        }
    }
}

fn is_slug(slug: &str) -> bool {
    let is_word = |word: &str| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        !word.is_empty() && word.bytes().all(fits)
    };
    slug.len() <= SLUG_LETTERS_MAX && slug.split('-').all(is_word)
}

fn time_of_day(errors: &mut FieldErrors, field: &str, text: &str) -> Option<NaiveTime> {
    let time = NaiveTime::parse_from_str(text, "%H:%M").ok();
    errors.add_if(time.is_none(), field, "must be a time such as \"09:00\"");
    time
}
