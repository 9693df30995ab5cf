//! Cancelling what has what it reserves: a paid booking by its policy, and all bookings of a show
//! that does not take place.

mod ending;
mod paid;
mod progress;
mod show;

pub use paid::{cancel_confirmed, preview};
pub use progress::find_run;
pub use show::{begin_run, go_on_with_run};
