//! An attempt: one Stripe Checkout Session of ours, and the part of a booking that it pays.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ids::{AttemptId, BookingId};

/// What a payment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, Serialize, utoipa::ToSchema)]
#[sqlx(type_name = "payment_part", rename_all = "snake_case")]
#[serde(rename_all = "camelCase")]
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

/// An attempt and the booking that it pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttemptOfBooking {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its booking.
    pub booking_id: BookingId,
}

/// An attempt to be stored before Stripe is asked.
#[derive(Debug, Clone)]
pub struct NewAttempt {
    /// The attempt.
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

/// A session that Stripe has opened.
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

/// A session that Stripe has given for an attempt.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its session.
    pub checkout: OpenCheckout,
}

/// Where the buyer pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Ui {
    /// On Stripe's page.
    #[default]
    Hosted,
    /// On Stripe's form inside the front end's page.
    Embedded,
    /// On the front end's own form, of Stripe's elements.
    Custom,
}

impl Ui {
    /// The word that is stored with the attempt.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hosted => "hosted",
            Self::Embedded => "embedded",
            Self::Custom => "custom",
        }
    }
}
