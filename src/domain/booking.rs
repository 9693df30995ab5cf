//! A booking: its states, and what has been paid of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::booking_request::Ui;
use super::ids::{AttemptId, BookingId, ShowId};
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
    /// Whether a booking that stands so has its seats.
    pub fn is_live(self) -> bool {
        match self {
            Self::Pending | Self::Processing | Self::Confirmed => true,
            Self::Expired | Self::Cancelled | Self::Failed | Self::Review => false,
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
}

/// What is booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, Serialize, utoipa::ToSchema)]
#[sqlx(type_name = "booking_kind", rename_all = "snake_case")]
#[serde(rename_all = "camelCase")]
pub enum BookingKind {
    /// Seats of a show.
    Show,
    /// A slot of a service.
    Service,
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

/// What a payment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "payment_part", rename_all = "snake_case")]
pub enum PaymentPart {
    /// The whole booking.
    Full,
    /// The first part of it.
    Deposit,
    /// The rest of it.
    Balance,
}

impl PaymentPart {
    /// The word that travels in Stripe's metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Deposit => "deposit",
            Self::Balance => "balance",
        }
    }
}

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "attempt_status", rename_all = "snake_case")]
pub enum AttemptStatus {
    /// Our row is committed; Stripe has not answered yet.
    Creating,
    /// The buyer can pay.
    Open,
    /// The buyer has paid by a delayed method.
    Processing,
    /// Its capture is recorded.
    Paid,
    /// Stripe says that it can no longer be paid.
    Expired,
    /// Stripe refused it, or the delayed payment did not come.
    Failed,
}

/// An attempt to be stored before Stripe is asked.
#[derive(Debug, Clone)]
pub struct NewAttempt {
    /// Its id.
    pub id: AttemptId,
    /// Which part of the booking it pays.
    pub part: PaymentPart,
    /// Where the buyer pays.
    pub ui: Ui,
    /// What it asks for, in the booking's currency.
    pub amount_minor: i64,
    /// What Stripe is sent, to the letter.
    pub parameters: String,
    /// When the session ends.
    pub expires_at: DateTime<Utc>,
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
    /// What is booked.
    pub kind: BookingKind,
    /// Where it stands.
    pub status: BookingStatus,
    /// The seats asked for, in natural order; they stay named when the claims are released.
    pub seats: Vec<String>,
    /// How much is due for confirmation.
    pub payment_option: PaymentOption,
    /// What it costs.
    pub total: Money,
    /// What is due for confirmation.
    pub due: Money,
    /// What was captured and applied.
    pub paid: Money,
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
}

/// A booking with what is shown beside it.
#[derive(Debug, Clone)]
pub struct BookingDetails {
    /// The booking.
    pub booking: Booking,
    /// The show, for a booking of seats.
    pub show: Option<BookedShow>,
    /// The attempt that can be paid, if one is open.
    pub checkout: Option<OpenCheckout>,
}

/// The show of a booking, in brief.
#[derive(Debug, Clone)]
pub struct BookedShow {
    /// Its id.
    pub id: ShowId,
    /// Its title.
    pub title: String,
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// The IANA zone of its place.
    pub timezone: String,
}

/// A session that the buyer can pay.
#[derive(Debug, Clone)]
pub struct OpenCheckout {
    /// `cs_…`
    pub session_id: String,
    /// The payment link, for a hosted page.
    pub url: Option<String>,
    /// What an embedded or custom page needs.
    pub client_secret: Option<String>,
    /// When Stripe closes it.
    pub expires_at: DateTime<Utc>,
}

impl BookingDetails {
    /// The session, if the booking can be paid right now.
    pub fn payable(&self, now: DateTime<Utc>) -> Option<&OpenCheckout> {
        let waits = self.booking.status == BookingStatus::Pending;
        self.checkout
            .as_ref()
            .filter(|checkout| waits && checkout.expires_at > now)
    }
}

impl Booking {
    /// True when everything due for confirmation has been captured.
    pub fn is_paid(&self) -> bool {
        match self.payment_status() {
            PaymentStatus::Paid | PaymentStatus::DepositPaid => true,
            PaymentStatus::Unpaid | PaymentStatus::Processing => false,
        }
    }

    /// What was paid, in one word. A booking that costs nothing is paid once it is confirmed.
    pub fn payment_status(&self) -> PaymentStatus {
        let paid_minor = self.paid.amount_minor;
        let due_is_met = paid_minor >= self.due.amount_minor;
        if self.status == BookingStatus::Processing {
            PaymentStatus::Processing
        } else if paid_minor == 0 && self.status != BookingStatus::Confirmed {
            PaymentStatus::Unpaid
        } else if paid_minor >= self.total.amount_minor {
            PaymentStatus::Paid
        } else if due_is_met {
            PaymentStatus::DepositPaid
        } else {
            PaymentStatus::Unpaid
        }
    }
}

/// The letters of a reference, without those that are easily confused: 0 and O, 1 and I, and U.
const REFERENCE_LETTERS: [char; 31] = [
    '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'J', 'K', 'L',
    'M', 'N', 'P', 'Q', 'R', 'S', 'T', 'V', 'W', 'X', 'Y', 'Z',
];

/// The reference made of six of `random`'s numbers: `HF-` and six letters, nearly a billion of
/// them.
pub fn reference_of(random: [u8; 6]) -> String {
    let letters = random.map(|number| {
        REFERENCE_LETTERS
            .iter()
            .cycle()
            .nth(usize::from(number))
            .copied()
    });
    letters
        .into_iter()
        .flatten()
        .fold(String::from("HF-"), |mut reference, letter| {
            reference.push(letter);
            reference
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_easy_to_say() {
        assert_eq!(reference_of([0, 1, 2, 30, 31, 255]), "HF-234Z29");
    }
}
