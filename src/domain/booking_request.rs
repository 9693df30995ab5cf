//! What a buyer asks for, before anything is held for them.

use super::attempt::Ui;
use super::booking::ReservedSeats;
use super::idempotency::IdempotencyKey;
use super::ids::ServiceId;
use super::slots::WantedSlot;
use super::user::User;

/// What a buyer wants.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// Seats of a show, each named once.
    Seats(ReservedSeats),
    /// A slot of a service, of whichever resource has it free.
    Slot(SlotRequest),
}

/// A slot of a service that somebody wants.
#[derive(Debug, Clone)]
pub struct SlotRequest {
    /// The service.
    pub service_id: ServiceId,
    /// When, how long, and how it is to be paid.
    pub wanted: WantedSlot,
    /// What the buyer wants the service to know.
    pub details: Option<serde_json::Value>,
}

impl BookingRequest {
    /// The seats, if they are what is wanted.
    pub fn seats(&self) -> Option<&ReservedSeats> {
        match &self.wanted {
            Wanted::Seats(seats) => Some(seats),
            Wanted::Slot(_) => None,
        }
    }
}

/// Who wants what, and how they come to pay.
#[derive(Debug, Clone)]
pub struct BookingRequest {
    /// The buyer.
    pub user: User,
    /// What they want.
    pub wanted: Wanted,
    /// The code of the voucher that they want to use.
    pub voucher: Option<String>,
    /// Where they pay.
    pub ui: Ui,
    /// The front end that they come from.
    pub origin: String,
    /// The idempotency key of the request.
    pub key: Option<IdempotencyKey>,
}
