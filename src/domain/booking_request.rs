//! What a buyer asks for, before anything is held for them.

use super::attempt::Ui;
use super::booking::Reservation;
use super::idempotency::IdempotencyKey;
use super::user::User;

/// Who wants what, and how they come to pay.
#[derive(Debug, Clone)]
pub struct BookingRequest {
    /// The buyer.
    pub user: User,
    /// What they want, each seat named once.
    pub reservation: Reservation,
    /// Where they pay.
    pub ui: Ui,
    /// The front end that they come from.
    pub origin: String,
    /// The idempotency key of the request.
    pub key: Option<IdempotencyKey>,
}
