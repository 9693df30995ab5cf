//! Types, rules and state machines of bookings and money. Pure: no I/O, no `async`, no reading of
//! the time.

pub mod booking;
pub mod booking_request;
pub mod calendar;
pub mod catalogue;
pub mod currency;
mod field_errors;
pub mod idempotency;
pub mod ids;
pub mod job;
pub mod money;
pub mod refusal;
pub mod seat_availability;
pub mod seats;
pub mod settlement;
pub mod surplus;
pub mod user;
