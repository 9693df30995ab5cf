//! The batchers of a process, and what is asked of them. Their handlers are bound where the process
//! is built.

use std::sync::{Arc, OnceLock};

use super::batcher::Batcher;
use crate::domain::attempt::{NewAttempt, NewSession};
use crate::domain::booking::BookingDetails;
use crate::domain::booking_request::BookingRequest;
use crate::domain::ids::{BookingId, ShowId};
use crate::domain::payment::SettledBy;
use crate::domain::payment_event::Delivery;
use crate::domain::seats::{Layout, TakenSeats};
use crate::domain::user::User;
use crate::gateways::stripe::event::Event;

/// What is asked for so often that many share a statement or a transaction.
pub struct Batchers {
    /// Users to be stored.
    pub users: Batcher<User, ()>,
    /// Bookings to be read: `None` where there is no such booking.
    pub bookings: Batcher<BookingId, Option<BookingDetails>>,
    /// Bookings to be held.
    pub holds: Batcher<BookingRequest, HeldBooking>,
    /// Sessions to be stored: whether the attempt waited for it.
    pub sessions: Batcher<NewSession, bool>,
    /// Events to be settled.
    pub events: Batcher<ReceivedEvent, Delivery>,
    /// Seat maps to be read: `None` where there is no such show.
    pub seat_maps: Batcher<ShowId, Option<Arc<SeatMap>>>,
}

/// A booking that is committed, and the attempt to pay for it unless it costs nothing.
pub struct HeldBooking {
    /// The booking.
    pub details: BookingDetails,
    /// The attempt, which Stripe has not been asked for yet.
    pub attempt: Option<NewAttempt>,
}

/// An event of Stripe's, whose signature is good, or that Stripe has listed.
pub struct ReceivedEvent {
    /// What it says.
    pub event: Event,
    /// Its body as it came.
    pub payload: String,
    /// How it came.
    pub settled_by: SettledBy,
}

/// The seats of a show as they were read at one moment, one for all who asked together.
pub struct SeatMap {
    /// What there is.
    pub layout: Arc<Layout>,
    /// What is taken of it.
    pub taken: TakenSeats,
    /// Both as JSON, once the first who asked has drawn it.
    pub json: OnceLock<Arc<[u8]>>,
}
