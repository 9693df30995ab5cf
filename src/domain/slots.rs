//! Slots: when a service can be had, and what that costs.

use std::ops::Range;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::attempt::PaymentPart;
use super::booking::{BookedService, PaymentOption, Reservation, ReservedSlot};
use super::catalogue::Service;
use super::money::Money;
use super::quote::{Price, Quote, QuoteItem, refuse_too_large, refuse_too_small};
use super::refusal::Refusal;
use super::timetable::{Resource, Timetable};
use super::voucher::Voucher;

/// A slot of a service that can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSlot {
    pub(crate) starts_at: DateTime<Utc>,
    pub(crate) ends_at: DateTime<Utc>,
    /// How many resources have it free.
    pub(crate) free: usize,
}

/// Hours that pass, whatever the clock on the wall shows meanwhile.
fn hours(count: u32) -> TimeDelta {
    TimeDelta::hours(count.into())
}

impl Service {
    /// When it is open on a day of its place. A change of daylight saving makes that shorter or
    /// longer than the clock on the wall says.
    fn opening(&self, date: NaiveDate) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let opens_at = instant(date, self.opens_at, self.timezone)?;
        let closes_at = last_instant(date, self.closes_at, self.timezone)?;
        Some((opens_at, closes_at))
    }

    /// The time that a slot takes of its resource: what has to lie after it is a part of that.
    pub(crate) fn taken_until(&self, ends_at: DateTime<Utc>) -> DateTime<Utc> {
        ends_at + TimeDelta::minutes(self.buffer_minutes.into())
    }

    /// Whether a slot that begins then may be booked now.
    fn is_bookable(&self, starts_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let first = now + TimeDelta::minutes(self.lead_minutes.into());
        let last = now + TimeDelta::days(self.horizon_days.into());
        starts_at > now && (first..=last).contains(&starts_at)
    }

    /// The slots of `count` hours that begin within the window, may be booked now, and that some
    /// resource has free, soonest first. One begins at each hour from opening.
    pub fn free_slots(
        &self,
        count: u32,
        window: Range<DateTime<Utc>>,
        timetable: &Timetable,
        now: DateTime<Utc>,
    ) -> Vec<FreeSlot> {
        let day_of = |at: DateTime<Utc>| at.with_timezone(&self.timezone).date_naive();
        let days = day_of(window.start).iter_days();
        let days = days.take_while(|date| *date <= day_of(window.end));
        let starts = days.flat_map(|date| self.starts(date, count));
        let starts = starts.filter(|at| window.contains(at) && self.is_bookable(*at, now));
        let slots = starts.map(|starts_at| {
            let ends_at = starts_at + hours(count);
            FreeSlot {
                starts_at,
                ends_at,
                free: timetable.count_free(starts_at, self.taken_until(ends_at)),
            }
        });
        slots.filter(|slot| slot.free > 0).collect()
    }

    /// When slots of `count` hours begin on a day.
    fn starts(&self, date: NaiveDate, count: u32) -> Vec<DateTime<Utc>> {
        let Some((opens_at, closes_at)) = self.opening(date) else {
            return Vec::new();
        };
        let starts = (0..=25).map(|hour| opens_at + hours(hour));
        starts
            .take_while(|starts_at| *starts_at + hours(count) <= closes_at)
            .collect()
    }

    /// Refuses hours that are too few or too many for one booking.
    pub fn check_hours(&self, hours: u32) -> Result<(), Refusal> {
        let (min, max) = (self.min_hours, self.max_hours);
        if (min..=max).contains(&hours) {
            return Ok(());
        }
        let message = format!("must be between {min} and {max}");
        Err(Refusal::field("hours", message))
    }

    /// What the slot costs with a voucher, or why it cannot be had. Whether a resource has it free,
    /// the database decides.
    pub fn quote(
        &self,
        wanted: &WantedSlot,
        resource: &Resource,
        voucher: Option<&Voucher>,
        now: DateTime<Utc>,
    ) -> Result<Quote, Refusal> {
        self.check_hours(wanted.hours)?;
        let ends_at = wanted.ends_at();
        if !self.is_offered(wanted, now) {
            return Err(Refusal::SlotUnavailable);
        }
        let full = self.total(wanted.hours);
        refuse_too_large(full, "hours")?;
        let price = Price::of(full, voucher, now)?;
        let total = price.rest;
        let (part, due) = match wanted.payment_option {
            PaymentOption::Full => (PaymentPart::Full, total),
            PaymentOption::Half => (PaymentPart::Deposit, self.deposit(total)),
        };
        refuse_too_small(due)?;
        refuse_too_small(total.checked_sub(due).unwrap_or(total))?;
        let slot = ReservedSlot {
            service_id: self.id,
            resource_id: resource.id,
            starts_at: wanted.starts_at,
            ends_at,
        };
        Ok(Quote {
            reservation: Reservation::Slot(slot),
            show: None,
            service: Some(BookedService {
                id: self.id,
                slug: self.slug.clone(),
                title: self.title.clone(),
                timezone: self.timezone.name().to_owned(),
                resource: resource.name.clone(),
            }),
            total,
            payment_option: wanted.payment_option,
            due,
            part,
            items: vec![item(&self.title, self.timezone, &slot, part, due)],
            voucher: price.voucher,
            cancellation_policy: self.cancellation_policy.clone(),
            max_seats_per_booking: None,
            max_seats_per_user: None,
            delayed_methods: false,
        })
    }

    fn is_offered(&self, wanted: &WantedSlot, now: DateTime<Utc>) -> bool {
        let starts_at = wanted.starts_at;
        let date = starts_at.with_timezone(&self.timezone).date_naive();
        self.is_bookable(starts_at, now) && self.starts(date, wanted.hours).contains(&starts_at)
    }

    fn total(&self, count: u32) -> Money {
        let price = self.price_per_hour;
        let total_minor = price.amount_minor.saturating_mul(count.into());
        Money::new(total_minor, price.currency)
    }

    /// The part of the total that confirms, rounded up to the currency's step.
    fn deposit(&self, total: Money) -> Money {
        let step = total.currency.step_minor();
        // The total of a service is at most eight digits.
        let hundredfold = total
            .amount_minor
            .saturating_mul(self.deposit_percent.into());
        let unit = step.saturating_mul(100);
        let steps = hundredfold
            .saturating_add(unit.saturating_sub(1))
            .checked_div(unit)
            .unwrap_or_default();
        let deposit_minor = steps.saturating_mul(step).min(total.amount_minor);
        Money::new(deposit_minor, total.currency)
    }
}

/// A slot that somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedSlot {
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// How long it lasts.
    pub hours: u32,
    /// How much is due for confirmation.
    pub payment_option: PaymentOption,
}

impl WantedSlot {
    /// When it ends.
    pub fn ends_at(&self) -> DateTime<Utc> {
        self.starts_at + hours(self.hours)
    }
}

/// What is paid for, for the payment page: the service and its slot, in the time of its place.
pub fn item(
    title: &str,
    timezone: Tz,
    slot: &ReservedSlot,
    part: PaymentPart,
    amount: Money,
) -> QuoteItem {
    let part = match part {
        PaymentPart::Full => "",
        PaymentPart::Deposit => " · deposit",
        PaymentPart::Balance => " · balance",
    };
    let starts_at = slot.starts_at.with_timezone(&timezone);
    let ends_at = slot.ends_at.with_timezone(&timezone);
    QuoteItem {
        name: title.to_owned(),
        description: format!(
            "{} – {}{part}",
            starts_at.format("%d %b %Y, %H:%M"),
            ends_at.format("%H:%M")
        ),
        unit: amount,
        quantity: 1,
    }
}

/// The instant of a time on the wall: of two, the first; of one that is skipped, that at which the
/// clock goes on.
fn instant(date: NaiveDate, time: NaiveTime, timezone: Tz) -> Option<DateTime<Utc>> {
    let local = date.and_time(time).and_local_timezone(timezone);
    let found = local.earliest().map(|at| at.with_timezone(&Utc));
    found.or_else(|| after_gap(date, time, timezone))
}

/// The same, but of two the second.
fn last_instant(date: NaiveDate, time: NaiveTime, timezone: Tz) -> Option<DateTime<Utc>> {
    let local = date.and_time(time).and_local_timezone(timezone);
    let found = local.latest().map(|at| at.with_timezone(&Utc));
    found.or_else(|| after_gap(date, time, timezone))
}

/// When the clock goes on that skips this time: it is the first minute that there is after it.
fn after_gap(date: NaiveDate, time: NaiveTime, timezone: Tz) -> Option<DateTime<Utc>> {
    let local = date.and_time(time);
    let minutes = TimeDelta::days(1).num_minutes();
    let mut later = (1..minutes).map(|minute| local + TimeDelta::minutes(minute));
    later.find_map(|at| {
        Some(
            at.and_local_timezone(timezone)
                .earliest()?
                .with_timezone(&Utc),
        )
    })
}

#[cfg(test)]
mod tests {
    use chrono::Timelike;

    use super::super::booking::ResourceId;
    use super::super::timetable::TakenTime;
    use super::*;
    use crate::domain::ids::ServiceId;

    const HOUR_PRICE_MINOR: i64 = 1_001;

    fn service(timezone: &str, opens_at: &str, closes_at: &str) -> Service {
        Service {
            id: ServiceId::new(),
            slug: "baby-care".to_owned(),
            title: "Baby care".to_owned(),
            description: None,
            timezone: timezone.parse().unwrap(),
            price_per_hour: Money::new(HOUR_PRICE_MINOR, "usd".parse().unwrap()),
            deposit_percent: 50,
            min_hours: 1,
            max_hours: 8,
            buffer_minutes: 0,
            lead_minutes: 0,
            horizon_days: 365,
            opens_at: opens_at.parse().unwrap(),
            closes_at: closes_at.parse().unwrap(),
            resources: vec!["Carer 1".to_owned()],
            cancellation_policy: vec![],
        }
    }

    fn carer() -> Resource {
        Resource {
            id: ResourceId(1),
            name: "Carer 1".to_owned(),
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn starts(service: &Service, from: &str, to: &str, count: u32) -> Vec<String> {
        let slots = service.free_slots(
            count,
            at(from)..at(to),
            &Timetable::new(&[carer()], &[]),
            at("2026-01-01T00:00:00Z"),
        );
        slots
            .iter()
            .map(|slot| slot.starts_at.format("%dT%H:%M").to_string())
            .collect()
    }

    #[test]
    fn opening_hours_are_those_of_the_clock_on_the_wall() {
        let service = service("Europe/Berlin", "09:00:00", "11:00:00");

        let spring = starts(&service, "2026-03-28T00:00:00Z", "2026-03-30T00:00:00Z", 2);
        let autumn = starts(&service, "2026-10-24T00:00:00Z", "2026-10-26T00:00:00Z", 2);

        assert_eq!(spring, ["28T08:00", "29T07:00"]);
        assert_eq!(autumn, ["24T07:00", "25T08:00"]);
    }

    #[test]
    fn a_night_in_which_the_clock_is_changed_has_an_hour_less_or_more() {
        let service = service("Europe/Berlin", "01:00:00", "05:00:00");

        let spring = starts(&service, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", 1);
        let autumn = starts(&service, "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", 1);

        assert_eq!(spring, ["29T00:00", "29T01:00", "29T02:00"]);
        assert_eq!(autumn.len(), 5);
        assert_eq!(autumn[0], "24T23:00");
    }

    #[test]
    fn a_skipped_opening_is_when_the_clock_goes_on() {
        let service = service("Europe/Berlin", "02:30:00", "05:00:00");

        let spring = starts(&service, "2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z", 1);

        assert_eq!(spring, ["29T01:00", "29T02:00"]);
    }

    #[test]
    fn a_deposit_rounds_up_and_the_balance_is_the_rest() {
        for (percent, currency, total, deposit) in [
            (50, "usd", 1_001, 501),
            (50, "isk", 100_100, 50_100),
            (50, "kwd", 10_010, 5_010),
            (33, "jpy", 1_000, 330),
            (1, "usd", 1, 1),
            (100, "usd", 1_001, 1_001),
            (50, "usd", 0, 0),
        ] {
            let mut service = service("UTC", "09:00:00", "21:00:00");
            service.deposit_percent = percent;
            let total = Money::new(total, currency.parse().unwrap());

            assert_eq!(service.deposit(total).amount_minor, deposit, "{currency}");
        }
    }

    #[test]
    fn what_lies_between_two_bookings_is_taken_on_both_sides() {
        let mut service = service("UTC", "09:00:00", "18:00:00");
        service.buffer_minutes = 30;
        let taken = TakenTime {
            resource_id: ResourceId(1),
            starts_at: at("2026-03-02T12:00:00Z"),
            ends_at: at("2026-03-02T14:30:00Z"),
        };

        let slots = service.free_slots(
            2,
            at("2026-03-02T00:00:00Z")..at("2026-03-03T00:00:00Z"),
            &Timetable::new(&[carer()], &[taken]),
            at("2026-01-01T00:00:00Z"),
        );

        let starts: Vec<_> = slots.iter().map(|slot| slot.starts_at.hour()).collect();
        assert_eq!(starts, [9, 15, 16]);
    }
}
