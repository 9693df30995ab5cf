//! A quote: what is booked, and what it costs. Nothing is held yet: the database decides that.

use super::attempt::PaymentPart;
use super::booking::{BookedService, BookedShow, PaymentOption, Reservation};
use super::catalogue::PolicyStep;
use super::money::Money;

/// What a booking would reserve, and at which price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// What it would reserve.
    pub reservation: Reservation,
    /// The show, for a booking of seats.
    pub show: Option<BookedShow>,
    /// The service, for a booking of a slot.
    pub service: Option<BookedService>,
    /// What all of it costs.
    pub total: Money,
    /// How much of it is due for confirmation.
    pub payment_option: PaymentOption,
    /// What is due for confirmation.
    pub due: Money,
    /// Which part that is.
    pub part: PaymentPart,
    /// What makes up the sum that is due.
    pub items: Vec<QuoteItem>,
    /// What is given back after a cancellation: frozen into the booking.
    pub cancellation_policy: Vec<PolicyStep>,
}

/// Some of what is booked, at one price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteItem {
    /// What it is, for people.
    pub name: String,
    /// The price of one.
    pub unit: Money,
    /// How many.
    pub quantity: u64,
}
