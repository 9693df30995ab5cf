//! An event of Stripe's, as we keep it: where it stands, and what became of a delivery.

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "payment_event_status", rename_all = "snake_case")]
pub enum EventStatus {
    /// Stored, and being decided.
    Received,
    /// Ours, but what it is about is not here yet.
    Deferred,
    /// Its effect is committed.
    Processed,
    /// Nothing is to be done about it.
    Ignored,
    /// It could not be decided; a person looks.
    Failed,
}

impl EventStatus {
    /// Whether nothing is left to do.
    pub fn is_settled(self) -> bool {
        match self {
            Self::Processed | Self::Ignored => true,
            Self::Received | Self::Deferred | Self::Failed => false,
        }
    }
}

/// What became of a delivery of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// Decided, and the effect is committed.
    Processed,
    /// It had been decided before.
    Duplicate,
    /// Stored, with the reason why there is nothing to do.
    Ignored,
    /// Ours, but what it is about is not here yet; stored, and to be decided later.
    Deferred,
}
