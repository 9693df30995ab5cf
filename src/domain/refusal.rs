//! Why the business says no: a rule is in the way, and nothing has failed.

use chrono::TimeDelta;

use super::booking::BookingStatus;
use super::ids::BookingId;
use super::money::Money;
use super::refund_block::RefundBlock;
use super::unpaid_hold::UnpaidHold;

/// Whoever names a hundred seats is not told all of them again.
pub const SEATS_REPEATED_MAX: usize = 20;

/// A no with a stable code. `Display` is the sentence for people; nothing in it is secret.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The request is not what its media type says, or not readable at all.
    #[error("{0}")]
    MalformedRequest(String),
    /// A webhook whose signature is not valid.
    #[error("{0}")]
    InvalidSignature(&'static str),
    /// No session token, or one that is not valid.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// A valid user without the needed role.
    #[error("This needs the role admin.")]
    Forbidden,
    /// A request by cookie that changes something, from an origin that is not ours.
    #[error("A request that is authenticated by cookie must come from one of the allowed origins.")]
    OriginNotAllowed,
    /// There is none, or it belongs to somebody else.
    #[error("There is no such {0}.")]
    NotFound(&'static str),
    /// Someone else, or the caller's own pending booking, holds wanted seats; or they are blocked.
    #[error("{} no longer free.", seats_sentence(seats))]
    SeatUnavailable {
        /// The wanted seats that cannot be had, in natural order.
        seats: Vec<String>,
        /// The caller's own pending booking that holds one of them.
        own_booking: Option<BookingId>,
    },
    /// Nobody has this slot free, or it cannot be booked now.
    #[error("This slot is not free.")]
    SlotUnavailable,
    /// The show is not on sale, or it has begun.
    #[error("This show is not on sale any more.")]
    ShowClosed,
    /// More seats than one booking of this show may have.
    #[error("One booking of this show may have at most {maximum} seats.")]
    TooManySeats {
        /// The most seats of one booking.
        maximum: usize,
    },
    /// More seats than one user may have of this show.
    #[error("One person may have at most {maximum} seats of this show, held and bought together.")]
    TooManySeatsOfUser {
        /// The most seats of one user.
        maximum: usize,
    },
    /// The caller holds as much unpaid as they may.
    #[error("You hold {} unpaid. Pay or cancel first.", references(holds))]
    TooManyHolds {
        /// How many they may hold: of this show one, or in all.
        maximum: usize,
        /// What they hold: of this show, or in all.
        holds: Vec<UnpaidHold>,
    },
    /// The caller has let holds of this show lapse.
    #[error(
        "Your last two holds of this show lapsed unpaid; book again in {} seconds.",
        whole_seconds(*wait)
    )]
    HoldsLapsed {
        /// For how long they cannot hold it.
        wait: TimeDelta,
    },
    /// Labels that the show does not have.
    #[error("This show has no seat {}.", named(seats))]
    UnknownSeat {
        /// The unknown labels.
        seats: Vec<String>,
    },
    /// Stripe does not charge so little.
    #[error(
        "The total is below the smallest amount that can be charged, {} {}.",
        minimum.amount_minor, minimum.currency
    )]
    AmountTooSmall {
        /// The smallest amount that can be charged in this currency.
        minimum: Money,
    },
    /// Stripe does not charge so little, in a currency of which it does not say how much that is.
    #[error("The total is too small to be charged. Stripe says: {0}")]
    AmountRefused(String),
    /// No such voucher, or none that can be used now.
    #[error("This voucher cannot be used.")]
    VoucherInvalid,
    /// The booking is in a state in which nothing can be paid.
    #[error("This booking cannot be paid: it is {}.", booking_status.as_str())]
    BookingNotPayable {
        /// What the booking is now.
        booking_status: BookingStatus,
    },
    /// Everything due has been paid.
    #[error("This booking has been paid.")]
    AlreadyPaid,
    /// The hold has ended.
    #[error("The hold of this booking has ended; book again.")]
    BookingExpired,
    /// The booking has changed since the caller has seen it.
    #[error("The booking has changed in the meantime; read it again. It is at version {version}.")]
    VersionConflict {
        /// What the booking is at now.
        version: i64,
    },
    /// What is booked has begun.
    #[error("What is booked has begun; it cannot be cancelled any more.")]
    OutsidePolicy,
    /// Nobody has to decide about the booking.
    #[error("This booking is not under review: it is {}.", booking_status.as_str())]
    NotUnderReview {
        /// What the booking is now.
        booking_status: BookingStatus,
    },
    /// So much would go back only if a refund that is under way failed.
    #[error("A refund of this payment is under way; wait for its end.")]
    RefundInProgress,
    /// More than can be given back of one payment.
    #[error("{}", excess_sentence(*refundable, *block))]
    RefundExceedsPayment {
        /// The most that can.
        refundable: Money,
        /// Why a payment cannot be given back that has more.
        block: Option<RefundBlock>,
    },
    /// Fields that are missing, unknown or out of bounds.
    #[error("{}", fields_sentence(.0))]
    ValidationFailed(Vec<FieldError>),
    /// The same key was used for another request.
    #[error("This Idempotency-Key was used for another request; use a new key.")]
    IdempotencyKeyReused,
    /// The first request with this key is still running.
    #[error("The first request with this Idempotency-Key is still running; ask again in a moment.")]
    IdempotencyInProgress,
}

/// One thing that is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// Where, as in the request: `seats[0]`, `tiers[1].price`; empty for the body as a whole.
    pub field: String,
    /// What is wrong, as the end of a sentence that begins with the field.
    pub message: String,
}

impl Refusal {
    /// A refusal for one field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::ValidationFailed(vec![FieldError {
            field: field.into(),
            message: message.into(),
        }])
    }

    /// The stable code that programs go by.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MalformedRequest(_) => "malformed_request",
            Self::InvalidSignature(_) => "invalid_signature",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::NotFound(_) => "not_found",
            Self::SeatUnavailable { .. } => "seat_unavailable",
            Self::SlotUnavailable => "slot_unavailable",
            Self::ShowClosed => "show_closed",
            Self::TooManySeats { .. } | Self::TooManySeatsOfUser { .. } => "too_many_seats",
            Self::TooManyHolds { .. } => "too_many_holds",
            Self::HoldsLapsed { .. } => "rate_limited",
            Self::UnknownSeat { .. } => "unknown_seat",
            Self::AmountTooSmall { .. } | Self::AmountRefused(_) => "amount_too_small",
            Self::VoucherInvalid => "voucher_invalid",
            Self::BookingNotPayable { .. } | Self::NotUnderReview { .. } => "booking_not_payable",
            Self::AlreadyPaid => "already_paid",
            Self::BookingExpired => "booking_expired",
            Self::VersionConflict { .. } => "version_conflict",
            Self::OutsidePolicy => "outside_policy",
            Self::RefundInProgress => "refund_in_progress",
            Self::RefundExceedsPayment { .. } => "refund_exceeds_payment",
            Self::ValidationFailed(_) => "validation_failed",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::IdempotencyInProgress => "idempotency_in_progress",
        }
    }
}

/// Of seats that are refused, those that are repeated to who has named them.
pub fn repeated(seats: &[String]) -> &[String] {
    seats.get(..SEATS_REPEATED_MAX).unwrap_or(seats)
}

/// The whole seconds after which a wait is over.
pub fn whole_seconds(wait: TimeDelta) -> u64 {
    let seconds = u64::try_from(wait.num_seconds()).unwrap_or_default();
    seconds.saturating_add(u64::from(wait.subsec_nanos() > 0))
}

fn seats_sentence(seats: &[String]) -> String {
    match seats {
        [one] => format!("Seat {one} is"),
        many => format!("Seats {} are", named(many)),
    }
}

fn named(seats: &[String]) -> String {
    let labels = repeated(seats).join(", ");
    match seats.len().saturating_sub(SEATS_REPEATED_MAX) {
        0 => labels,
        more => format!("{labels} and {more} more"),
    }
}

fn references(holds: &[UnpaidHold]) -> String {
    let references: Vec<&str> = holds.iter().map(|hold| hold.reference.as_str()).collect();
    references.join(", ")
}

fn excess_sentence(refundable: Money, block: Option<RefundBlock>) -> String {
    match block {
        Some(block) => block.to_string(),
        None => format!("At most {refundable} of one payment can be refunded."),
    }
}

fn fields_sentence(errors: &[FieldError]) -> String {
    let sentences: Vec<String> = errors
        .iter()
        .map(|error| match error.field.as_str() {
            "" => format!("The request {}.", error.message),
            field => format!("{field} {}.", error.message),
        })
        .collect();
    sentences.join(" ")
}
