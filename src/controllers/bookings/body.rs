//! What a buyer asks for, as it comes.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::attempt::Ui;
use crate::domain::booking::{BookingKind, PaymentOption, ReservedSeats};
use crate::domain::booking_request::{BookingRequest, SlotRequest, Wanted};
use crate::domain::calendar::{YEARS_SENTENCE, has_instant};
use crate::domain::ids::{ServiceId, ShowId};
use crate::domain::refusal::{FieldError, Refusal, SEATS_REPEATED_MAX};
use crate::domain::seats::is_label;
use crate::domain::slots::WantedSlot;
use crate::domain::user::User;

/// As many seats as any booking may have.
const SEATS_MAX: usize = 100;
/// The largest `details`, as JSON.
const DETAILS_BYTES_MAX: usize = 4_000;

/// What a buyer asks for: seats of a show, or a slot of a service. It names no price: prices come
/// from the database.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateBooking {
    kind: BookingKind,
    /// Of a show.
    show_id: Option<ShowId>,
    /// Of a show.
    seats: Option<Vec<String>>,
    /// Of a service.
    service_id: Option<ServiceId>,
    /// Of a service.
    starts_at: Option<DateTime<Utc>>,
    /// Of a service.
    hours: Option<u32>,
    /// Of a service: what it should know, an object.
    #[schema(value_type = Option<Object>)]
    details: Option<Value>,
    payment_option: Option<PaymentOption>,
    /// The code of a voucher, in capitals or not.
    voucher: Option<String>,
    #[serde(default)]
    ui: Ui,
}

impl CreateBooking {
    /// The request, checked as far as it can be without what is booked.
    pub(super) fn request(self, user: User, origin: String) -> Result<BookingRequest, Refusal> {
        let (ui, voucher) = (self.ui, self.voucher.clone());
        let wanted = match self.kind {
            BookingKind::Show => Wanted::Seats(self.seats()?),
            BookingKind::Service => Wanted::Slot(self.slot()?),
        };
        Ok(BookingRequest {
            user,
            wanted,
            voucher,
            ui,
            origin,
            key: None,
        })
    }

    fn seats(self) -> Result<ReservedSeats, Refusal> {
        refuse_given(&[
            ("serviceId", self.service_id.is_some()),
            ("startsAt", self.starts_at.is_some()),
            ("hours", self.hours.is_some()),
            ("details", self.details.is_some()),
        ])?;
        if self.payment_option == Some(PaymentOption::Half) {
            return Err(Refusal::field(
                "paymentOption",
                "must be full: seats are paid in full",
            ));
        }
        let show_id = needed("showId", self.show_id)?;
        let labels = needed("seats", self.seats)?;
        check_labels(&labels)?;
        let distinct: BTreeSet<&String> = labels.iter().collect();
        if distinct.is_empty() || distinct.len() < labels.len() {
            return Err(Refusal::field(
                "seats",
                "must name at least one seat, and each seat once",
            ));
        }
        Ok(ReservedSeats { show_id, labels })
    }

    fn slot(self) -> Result<SlotRequest, Refusal> {
        refuse_given(&[
            ("showId", self.show_id.is_some()),
            ("seats", self.seats.is_some()),
        ])?;
        let starts_at = needed("startsAt", self.starts_at)?;
        if !has_instant(starts_at) {
            return Err(Refusal::field("startsAt", YEARS_SENTENCE));
        }
        let fits =
            |details: &Value| details.is_object() && details.to_string().len() <= DETAILS_BYTES_MAX;
        if self.details.as_ref().is_some_and(|details| !fits(details)) {
            let message = format!("must be an object of at most {DETAILS_BYTES_MAX} bytes");
            return Err(Refusal::field("details", message));
        }
        Ok(SlotRequest {
            service_id: needed("serviceId", self.service_id)?,
            wanted: WantedSlot {
                starts_at,
                hours: needed("hours", self.hours)?,
                payment_option: self.payment_option.unwrap_or(PaymentOption::Full),
            },
            details: self.details,
        })
    }
}

/// Before anybody looks a seat up by it, or repeats it.
fn check_labels(labels: &[String]) -> Result<(), Refusal> {
    if labels.len() > SEATS_MAX {
        let message = format!("must name at most {SEATS_MAX} seats");
        return Err(Refusal::field("seats", message));
    }
    let wrong = labels
        .iter()
        .enumerate()
        .filter(|(_, label)| !is_label(label));
    let errors = wrong.take(SEATS_REPEATED_MAX).map(|(place, _)| FieldError {
        field: format!("seats[{place}]"),
        message: "must have 1 to 32 letters, digits, spaces, dashes and dots".to_owned(),
    });
    let errors: Vec<_> = errors.collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(Refusal::ValidationFailed(errors))
}

fn needed<T>(field: &str, value: Option<T>) -> Result<T, Refusal> {
    value.ok_or_else(|| Refusal::field(field, "is missing"))
}

/// Refuses fields that a booking of this kind does not have.
fn refuse_given(fields: &[(&str, bool)]) -> Result<(), Refusal> {
    match fields.iter().find(|(_, is_given)| *is_given) {
        Some((field, _)) => Err(Refusal::field(*field, "does not go with this kind")),
        None => Ok(()),
    }
}
