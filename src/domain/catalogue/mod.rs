//! What there is to book: movies, shows with their tiers, services, and the cancellation policy
//! that is frozen at sale.

mod cancellation_policy;
mod movie;
mod service;
mod service_draft;
mod show;
mod show_draft;
mod title;

pub use cancellation_policy::PolicyStep;
pub use movie::{Movie, MovieDetails};
pub use service::Service;
pub use service_draft::ServiceDraft;
pub use show::{Show, ShowStatus, Tier};
pub use show_draft::{BOOKING_SEATS_MAX, NewShow, ShowDraft};
