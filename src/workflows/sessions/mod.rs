//! What becomes of Stripe's sessions: asked about, waited for, and closed before seats go free.
//! What Stripe answers is settled on the one path there is.

mod check;
mod release;
mod verify;

pub use release::{cancel, end_hold};
pub use verify::verify;
