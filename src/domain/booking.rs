//! A booking: its states, and what has been paid of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::attempt::{OpenCheckout, PaymentPart};
use super::dispute_status::DisputeStatus;
use super::ids::{BookingId, MovieId, ServiceId, ShowId};
use super::money::Money;
use super::user::UserId;

/// Where a booking stands. `pending` → `processing` → `confirmed`; the others end it, `review`
/// waits for a person.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, Serialize, Deserialize, utoipa::ToSchema,
)]
#[sqlx(type_name = "booking_status", rename_all = "snake_case")]
#[serde(rename_all = "camelCase")]
pub enum BookingStatus {
    /// Holds its seats and waits for the buyer to pay.
    Pending,
    /// The buyer has paid by a method that takes days to settle.
    Processing,
    /// Everything due has been captured.
    Confirmed,
    /// The hold ended unpaid.
    Expired,
    /// Called off.
    Cancelled,
    /// The delayed payment did not come.
    Failed,
    /// Money came that does not match; a person decides.
    Review,
}

impl BookingStatus {
    /// Whether a booking that stands so has what it reserves.
    pub fn is_live(self) -> bool {
        match self {
            Self::Pending | Self::Processing | Self::Confirmed | Self::Review => true,
            Self::Expired | Self::Cancelled | Self::Failed => false,
        }
    }

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Confirmed => "confirmed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Review => "review",
        }
    }
}

/// What was paid, in one word; derived, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum PaymentStatus {
    /// Nothing was captured.
    Unpaid,
    /// A delayed method is under way.
    Processing,
    /// The deposit was captured, the balance was not.
    DepositPaid,
    /// Nothing is left to pay.
    Paid,
    /// A part of what was paid is back with the buyer, or on its way there.
    PartiallyRefunded,
    /// All of it is.
    Refunded,
    /// A bank has taken back what was paid, or may.
    Disputed,
}

/// What is booked.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, Serialize, Deserialize, utoipa::ToSchema,
)]
#[sqlx(type_name = "booking_kind", rename_all = "snake_case")]
#[serde(rename_all = "camelCase")]
pub enum BookingKind {
    /// Seats of a show.
    Show,
    /// A slot of a service.
    Service,
}

/// What a booking reserves: claimed when it is made, kept while it is live, released when it ends,
/// and claimed again when late money finds it still free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reservation {
    /// Seats of a show.
    Seats(ReservedSeats),
    /// A slot of a service.
    Slot(ReservedSlot),
}

/// Seats of a show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservedSeats {
    /// The show.
    pub show_id: ShowId,
    /// Their labels, in natural order; they stay named when the claims are released.
    pub labels: Vec<String>,
}

/// Some time of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReservedSlot {
    /// The service that sells it.
    pub service_id: ServiceId,
    /// Whose time it is.
    pub resource_id: ResourceId,
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// Whole hours later.
    pub ends_at: DateTime<Utc>,
}

/// A resource of a service, by the number that the database has given it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct ResourceId(pub i32);

impl ReservedSlot {
    /// How long it lasts.
    pub fn hours(&self) -> i64 {
        self.ends_at
            .signed_duration_since(self.starts_at)
            .num_hours()
    }
}

impl Reservation {
    /// What kind of booking it makes.
    pub fn kind(&self) -> BookingKind {
        match self {
            Self::Seats(_) => BookingKind::Show,
            Self::Slot(_) => BookingKind::Service,
        }
    }

    /// The seats, if it is of seats.
    pub fn seats(&self) -> Option<&ReservedSeats> {
        match self {
            Self::Seats(seats) => Some(seats),
            Self::Slot(_) => None,
        }
    }

    /// The slot, if it is of one.
    pub fn slot(&self) -> Option<&ReservedSlot> {
        match self {
            Self::Seats(_) => None,
            Self::Slot(slot) => Some(slot),
        }
    }
}

/// How much is due for confirmation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, Serialize, Deserialize, utoipa::ToSchema,
)]
#[sqlx(type_name = "payment_option", rename_all = "snake_case")]
#[serde(rename_all = "camelCase")]
pub enum PaymentOption {
    /// All of it.
    Full,
    /// A deposit; services only.
    Half,
}

/// A booking as it is stored.
#[derive(Debug, Clone)]
pub struct Booking {
    /// Its id.
    pub id: BookingId,
    /// What people say on the phone: `HF-7K3Q9X`.
    pub reference: String,
    /// Whose it is.
    pub user_id: UserId,
    /// What it reserves.
    pub reservation: Reservation,
    /// Where it stands.
    pub status: BookingStatus,
    /// How much is due for confirmation.
    pub payment_option: PaymentOption,
    /// What it costs.
    pub total: Money,
    /// What is due for confirmation.
    pub due: Money,
    /// What was captured and applied.
    pub paid: Money,
    /// By how much less than was due a person has confirmed it, in minor units; below 0 where more
    /// had come.
    pub conceded_minor: i64,
    /// How much of that is back with the buyer, or on its way there at Stripe.
    pub refunded: Money,
    /// When the hold ends.
    pub hold_expires_at: Option<DateTime<Utc>>,
    /// When it was confirmed.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When it was called off.
    pub cancelled_at: Option<DateTime<Utc>>,
    /// Goes up with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// How the worst chargeback of what it was paid with stands, if there is one that is not won.
    pub disputed: Option<DisputeStatus>,
}

/// A booking with what is shown beside it.
#[derive(Debug, Clone)]
pub struct BookingDetails {
    /// The booking.
    pub booking: Booking,
    /// The show, for a booking of seats.
    pub show: Option<BookedShow>,
    /// The service, for a booking of a slot.
    pub service: Option<BookedService>,
    /// The attempt that is open, if one is.
    pub open_attempt: Option<OpenAttempt>,
}

/// The show of a booking, in brief.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookedShow {
    /// Its id.
    pub id: ShowId,
    /// Its title.
    pub title: String,
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// The IANA zone of its place.
    pub timezone: String,
    /// The film that is shown, if it is one.
    pub movie: Option<BookedMovie>,
}

/// The film of a booking's show, in brief.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookedMovie {
    /// Its id.
    pub id: MovieId,
    /// Its title.
    pub title: String,
    /// Absolute.
    pub poster_url: Option<String>,
    /// How long it takes.
    pub runtime_minutes: Option<i32>,
}

/// The service of a booking, in brief.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookedService {
    /// Its id.
    pub id: ServiceId,
    /// What its page is called.
    pub slug: String,
    /// Its title.
    pub title: String,
    /// The IANA zone of its place.
    pub timezone: String,
    /// The name of the resource whose time is booked.
    pub resource: String,
}

/// An attempt whose session is open.
#[derive(Debug, Clone)]
pub struct OpenAttempt {
    /// Which part of the booking it pays.
    pub part: PaymentPart,
    /// Its session.
    pub checkout: OpenCheckout,
}

impl BookingDetails {
    /// The IANA zone of the place where what is booked happens.
    pub fn timezone(&self) -> Option<&str> {
        let show = self.show.as_ref().map(|show| &show.timezone);
        let service = self.service.as_ref().map(|service| &service.timezone);
        show.or(service).map(String::as_str)
    }

    /// The session that can be paid at `now`: the open one, if it pays what is due.
    pub fn payable_checkout(&self, now: DateTime<Utc>) -> Option<&OpenCheckout> {
        let open = self.open_attempt.as_ref()?;
        let pays_what_is_due = self.booking.part_due() == Some(open.part);
        Some(&open.checkout).filter(|checkout| pays_what_is_due && checkout.expires_at > now)
    }
}

impl Booking {
    /// The part that the buyer has to pay next, if anything is due.
    pub fn part_due(&self) -> Option<PaymentPart> {
        match self.status {
            BookingStatus::Pending => Some(match self.payment_option {
                PaymentOption::Full => PaymentPart::Full,
                PaymentOption::Half => PaymentPart::Deposit,
            }),
            BookingStatus::Confirmed => {
                let is_settled = self.met_minor() >= self.total.amount_minor;
                (!is_settled).then_some(PaymentPart::Balance)
            }
            BookingStatus::Processing
            | BookingStatus::Expired
            | BookingStatus::Cancelled
            | BookingStatus::Failed
            | BookingStatus::Review => None,
        }
    }

    /// True when everything due for confirmation has been captured, has not been given back, and no
    /// bank has taken it back for good.
    pub fn is_paid(&self) -> bool {
        // Only one that has kept the money is among those that were prevented.
        if let Some(DisputeStatus::Lost | DisputeStatus::Prevented) = self.disputed {
            return false;
        }
        let kept_minor = self.met_minor().saturating_sub(self.refunded.amount_minor);
        let is_kept = kept_minor >= self.due.amount_minor;
        match self.status_of_paid() {
            PaymentStatus::Paid | PaymentStatus::DepositPaid => is_kept,
            PaymentStatus::Unpaid
            | PaymentStatus::Processing
            | PaymentStatus::PartiallyRefunded
            | PaymentStatus::Refunded
            | PaymentStatus::Disputed => false,
        }
    }

    /// What was paid, in one word.
    pub fn payment_status(&self) -> PaymentStatus {
        if self.disputed.is_some() {
            PaymentStatus::Disputed
        } else if self.refunded.amount_minor == 0 {
            self.status_of_paid()
        } else if self.refunded.amount_minor >= self.paid.amount_minor {
            PaymentStatus::Refunded
        } else {
            PaymentStatus::PartiallyRefunded
        }
    }

    /// What is left to pay.
    pub fn balance(&self) -> Money {
        let left = self.total.amount_minor.saturating_sub(self.met_minor());
        Money::new(left, self.total.currency)
    }

    /// How much of the total is met, in minor units.
    fn met_minor(&self) -> i64 {
        self.paid.amount_minor.saturating_add(self.conceded_minor)
    }

    /// What was paid, whoever disputes it or has it back. A booking that costs nothing is paid once
    /// it is confirmed.
    fn status_of_paid(&self) -> PaymentStatus {
        let met_minor = self.met_minor();
        let due_is_met = met_minor >= self.due.amount_minor;
        if self.status == BookingStatus::Processing {
            PaymentStatus::Processing
        } else if met_minor == 0 && self.status != BookingStatus::Confirmed {
            PaymentStatus::Unpaid
        } else if met_minor >= self.total.amount_minor {
            PaymentStatus::Paid
        } else if due_is_met {
            PaymentStatus::DepositPaid
        } else {
            PaymentStatus::Unpaid
        }
    }
}

/// A booking under its lock.
#[derive(Debug, Clone, Copy)]
pub struct LockedBooking {
    /// Where it stands.
    pub status: BookingStatus,
    /// What is due for confirmation.
    pub due: Money,
    /// What all of it costs.
    pub total: Money,
    /// What has been paid of it.
    pub paid: Money,
    /// What is left to pay of it.
    pub balance: Money,
    /// Whether it has been confirmed, wherever it stands now.
    pub was_confirmed: bool,
}
