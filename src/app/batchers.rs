//! The batchers of a process, and what is asked of them. Their handlers are bound where the process
//! is built.

use std::sync::{Arc, OnceLock};

use super::batcher::Batcher;
use crate::domain::booking::{BookingDetails, NewAttempt, OpenCheckout};
use crate::domain::booking_request::BookingRequest;
use crate::domain::ids::{AttemptId, ShowId};
use crate::domain::seats::{Layout, TakenSeats};
use crate::domain::settlement::Outcome;
use crate::gateways::stripe::webhook::Event;

/// What is asked for so often that many share a statement or a transaction.
pub struct Batchers {
    /// Seats to be held: the booking, and the attempt to pay for it unless it costs nothing.
    pub holds: Batcher<BookingRequest, (BookingDetails, Option<NewAttempt>)>,
    /// Sessions to be stored: whether the attempt waited for it.
    pub sessions: Batcher<CreatedSession, bool>,
    /// Events to be settled.
    pub events: Batcher<ReceivedEvent, Outcome>,
    /// Seat maps to be read: `None` where there is no such show.
    pub seat_maps: Batcher<ShowId, Option<Arc<SeatMap>>>,
}

/// A session that Stripe has created for an attempt.
#[derive(Debug)]
pub struct CreatedSession {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its session.
    pub checkout: OpenCheckout,
}

/// An event of Stripe's, whose signature is good.
pub struct ReceivedEvent {
    /// What it says.
    pub event: Event,
    /// Its body as it came.
    pub payload: String,
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
