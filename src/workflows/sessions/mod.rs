//! What becomes of Stripe's sessions: asked about, waited for, and closed before seats go free.
//! What Stripe answers is settled on the one path there is.

mod check;
mod release;
mod verify;
mod verify_booking;

pub use release::{cancel, close_if_still_payable, close_lapsed, close_payable, end_hold};
pub use verify::verify;
pub use verify_booking::{VerifiedBooking, verify_booking};
