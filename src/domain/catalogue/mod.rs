//! What there is to book: movies, shows with their tiers, and the cancellation policy that is
//! frozen at sale.

mod cancellation_policy;
mod movie;
mod show;
mod show_draft;
mod title;

pub use cancellation_policy::PolicyStep;
pub use movie::{Movie, MovieDetails};
pub use show::{Show, ShowStatus, Tier};
pub use show_draft::{BOOKING_SEATS_MAX, NewShow, ShowDraft};
