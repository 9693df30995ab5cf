//! The one path on which anything that Stripe says takes effect.
//!
//! Whoever brings a report, by a webhook, by asking, or by a replay, it is settled here: `plan`
//! decides, purely, and `execute` carries it out, in one transaction for all reports of a batch.
//! A single report is a batch of one. Nothing here asks Stripe, or knows who brought the report.

mod checkouts;
mod disputes;
mod ending;
mod events;
mod execute;
mod mismatches;
mod plan;
mod refund_requests;
mod refunds;
mod replay;
mod reports;
mod reviews;
mod round;
mod sentences;
mod settle;
mod unpayable;

pub use disputes::hold_back_refund;
pub use ending::{CancelledBooking, cancel_booking};
pub use events::{SettleEvents, replay, settle_deferred, settle_events};
pub use refund_requests::{lock_refundable, request_refunds};
pub use replay::{ReadEvent, read, replay_checkouts, replay_returns, replay_unmatched};
pub use reports::{AttemptAnswer, settle_answer, settle_dispute, settle_refunds, settle_refusal};
pub use reviews::{ReviewDecision, resolve_review};
pub use unpayable::end_unpayable;
