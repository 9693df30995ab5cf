//! Types, rules and state machines of bookings and money. Pure: no I/O, no `async`, no reading of
//! the time.

pub mod attempt;
pub mod audit;
pub mod booking;
pub mod booking_event;
pub mod booking_request;
pub mod calendar;
pub mod capture;
pub mod catalogue;
pub mod checkout;
pub mod checkout_state;
pub mod currency;
pub mod discrepancy;
mod field_errors;
pub mod funds;
pub mod idempotency;
pub mod ids;
pub mod job;
pub mod ledger;
pub mod money;
pub mod payment;
pub mod payment_event;
pub mod payment_intent;
pub mod quote;
pub mod reconciliation;
pub mod refund;
pub mod refusal;
pub mod seat_availability;
pub mod seats;
pub mod session_meaning;
pub mod skew;
pub mod stripe_report;
pub mod timeline;
pub mod user;
