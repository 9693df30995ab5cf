//! The lines of a process, and who waits in them.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;

use super::line::{Line, Request};
use crate::domain::booking::{BookingDetails, NewAttempt, OpenCheckout};
use crate::domain::booking_request::BookingRequest;
use crate::domain::ids::{AttemptId, BookingId, ShowId};
use crate::domain::seats::{Layout, TakenSeats};
use crate::domain::settlement::Outcome;
use crate::domain::user::User;
use crate::gateways::stripe::webhook::Event;

/// What is asked for so often that many share a statement or a transaction.
pub struct Lines {
    /// Users to be stored.
    pub users: Arc<Line<User>>,
    /// Seats to be held.
    pub wishes: Arc<Line<BookingRequest>>,
    /// Sessions to be stored.
    pub openings: Arc<Line<Opening>>,
    /// Events to be settled.
    pub arrivals: Arc<Line<Arrival>>,
    /// Seat maps to be read.
    pub looks: Arc<Line<Looking>>,
    /// Bookings to be read.
    pub readings: Arc<Line<Reading>>,
}

impl Lines {
    /// Empty lines. Where one batch at a time is made, it is larger, and Postgres has less to do.
    /// Events come in storms of their own: measured, three batches at once settle a quarter more of
    /// them, while one is written and another comes in.
    pub(super) fn new() -> Self {
        Self {
            users: Arc::new(Line::new(1)),
            wishes: Arc::new(Line::new(1)),
            openings: Arc::new(Line::new(1)),
            arrivals: Arc::new(Line::new(3)),
            looks: Arc::new(Line::new(1)),
            readings: Arc::new(Line::new(1)),
        }
    }
}

impl Request for User {
    type Answer = ();

    fn subjects(&self) -> Vec<String> {
        vec![self.id.0.clone()]
    }
}

impl Request for BookingRequest {
    /// The booking, and the attempt to pay for it unless it costs nothing.
    type Answer = (BookingDetails, Option<NewAttempt>);

    /// Its key; two who want the same seat do go together.
    fn subjects(&self) -> Vec<String> {
        self.key
            .iter()
            .map(|key| format!("{} {}", key.caller, key.value))
            .collect()
    }
}

/// A session that Stripe has given for an attempt.
#[derive(Debug)]
pub struct Opening {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Its session.
    pub checkout: OpenCheckout,
}

impl Request for Opening {
    /// Whether the attempt waited for it.
    type Answer = bool;

    fn subjects(&self) -> Vec<String> {
        vec![self.attempt_id.to_string()]
    }
}

/// An event of Stripe's.
pub struct Arrival {
    /// What it says.
    pub event: Event,
    /// Its body as it came.
    pub payload: String,
}

impl Request for Arrival {
    type Answer = Outcome;

    fn subjects(&self) -> Vec<String> {
        let subject = &self.event.subject;
        let attempt_id = subject.attempt_id.map(|id| id.to_string());
        let known = attempt_id
            .or_else(|| subject.session_id.clone())
            .or_else(|| subject.payment_intent_id.clone());
        vec![known.unwrap_or_else(|| self.event.id.clone())]
    }
}

/// A booking that is looked at.
#[derive(Debug)]
pub struct Reading(pub BookingId);

impl Request for Reading {
    type Answer = Option<BookingDetails>;
}

/// A show whose seats are looked at.
#[derive(Debug)]
pub struct Looking(pub ShowId);

/// The seats of a show as they were read at one moment.
pub struct SeatMap {
    /// What there is.
    pub layout: Arc<Layout>,
    /// What is taken of it.
    pub taken: TakenSeats,
    /// Both as JSON, once it is drawn.
    pub json: OnceLock<Bytes>,
}

impl Request for Looking {
    /// None where there is no such show.
    type Answer = Option<Arc<SeatMap>>;
}
