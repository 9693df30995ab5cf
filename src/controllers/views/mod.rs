//! Resources as the API shows them, in the one shape that each has wherever it appears.

mod booking;
mod movie;
mod payment;
mod service;
mod show;

pub(super) use booking::BookingView;
pub(super) use movie::MovieView;
pub(super) use payment::{MethodView, PaymentView};
pub(super) use service::{FreeSlotView, ServiceView};
pub(super) use show::{PolicyStepView, ShowView};
