//! One id type per table, so that a show's id can never be passed where a booking's is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            sqlx::Type, utoipa::ToSchema,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id (UUIDv7): ids of one process sort in the order they were made.
            #[expect(clippy::new_without_default, reason = "every call gives another id")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id as the database has it.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }
    )+};
}

ids! {
    /// A movie.
    MovieId,
    /// A show: one performance, with its seats.
    ShowId,
    /// A service, sold by the hour.
    ServiceId,
    /// A booking.
    BookingId,
    /// An attempt: one Stripe Checkout Session of ours. Stripe's idempotency key is `cs-<id>`.
    AttemptId,
    /// A payment: money that Stripe captured.
    PaymentId,
    /// A refund. Stripe's first idempotency key for it is `re-<id>`.
    RefundId,
    /// One movement of money between two accounts of the ledger.
    TransferId,
    /// A dispute.
    DisputeId,
    /// A difference between what Stripe reports and our records.
    DiscrepancyId,
    /// A voucher.
    VoucherId,
    /// One comparison of all that Stripe has with our records.
    ReconciliationId,
    /// The cancellation of a whole show.
    RunId,
}

impl RefundId {
    /// The `Idempotency-Key` under which Stripe is asked for this refund, on every try until it has
    /// refused and stored that under it; `keys_spent` says how often that was so.
    pub fn stripe_key(self, keys_spent: i32) -> String {
        match keys_spent {
            0 => format!("re-{self}"),
            spent => format!("re-{self}-{spent}"),
        }
    }
}

impl AttemptId {
    /// The `Idempotency-Key` under which Stripe is asked for this attempt's session, on every try.
    pub fn stripe_key(self) -> String {
        format!("cs-{self}")
    }
}
