//! The one error of the crate: a refusal by a rule, or a fault of ours or of the world.

use std::any::Any;

use crate::connection::{SqlState, is_broken};
use crate::domain::refusal::Refusal;

/// Why something did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The business says no; the caller is told why.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// The database failed, refused, or could not be reached.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The database could not be asked: nothing was done, and asking again may help.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The database was asked and did not answer: it may have been done. Whoever repeats it under
    /// the same idempotency key learns it.
    #[error("whether it was done is not known: {0}")]
    OutcomeUnknown(String),
    /// Stripe did not answer, or not in a way that settles the question; what was asked may or may
    /// not have happened.
    #[error("Stripe could not be reached: {0}")]
    ProviderUnavailable(String),
    /// A payment page of the booking is still open, so that what it reserves cannot be freed:
    /// Stripe has to close it first.
    #[error("a payment page of the booking is still open")]
    StillPayable,
    /// Stripe answered no, or what cannot be understood.
    #[error("Stripe refused: {reason} (request {request_id})")]
    ProviderRefused {
        /// Why, in words that are the same each time.
        reason: String,
        /// Stripe's id of the request.
        request_id: String,
    },
    /// The issuer's keys could not be had, so that a session token could not be checked.
    #[error("the issuer's keys cannot be had: {0}")]
    IdentityUnavailable(String),
    /// Something that cannot be, or a fault of ours; the text is for the log.
    #[error("{0}")]
    Fault(String),
}

/// What most functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A fault of ours, described for the log.
    pub fn fault(description: impl Into<String>) -> Self {
        Self::Fault(description.into())
    }

    /// The name of the database constraint that was violated, if that is what happened.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.constraint(),
            _ => None,
        }
    }

    /// What Postgres' code for what went wrong means, if it gave one.
    pub fn sqlstate(&self) -> Option<SqlState> {
        match self {
            Self::Database(error) => SqlState::of(error),
            _ => None,
        }
    }

    /// Whether the connection to the database has broken: on another one, it may be done.
    pub fn is_connection_broken(&self) -> bool {
        matches!(self, Self::Database(error) if is_broken(error))
    }

    /// Whether it says nothing of what was asked for: the database or Stripe is not there, and
    /// anything else that is asked for now fails in the same way.
    pub fn is_of_the_world(&self) -> bool {
        match self {
            Self::OutcomeUnknown(_)
            | Self::ProviderUnavailable(_)
            | Self::IdentityUnavailable(_) => true,
            Self::Database(_) | Self::Unavailable(_) => {
                self.is_database_unavailable()
                    || self.is_connection_broken()
                    || self.sqlstate() == Some(SqlState::UndefinedTable)
            }
            Self::Refusal(_)
            | Self::StillPayable
            | Self::ProviderRefused { .. }
            | Self::Fault(_) => false,
        }
    }

    /// What went wrong, in words that are the same as long as the cause is.
    pub fn lasting_words(&self) -> String {
        match self {
            Self::ProviderRefused { reason, .. } => format!("Stripe refused: {reason}"),
            Self::Refusal(_)
            | Self::Database(_)
            | Self::Unavailable(_)
            | Self::OutcomeUnknown(_)
            | Self::ProviderUnavailable(_)
            | Self::StillPayable
            | Self::IdentityUnavailable(_)
            | Self::Fault(_) => explain(self),
        }
    }

    /// Whether the database could not be reached, or had no connection or lock to give in time, so
    /// that asking again may help.
    pub fn is_database_unavailable(&self) -> bool {
        match self {
            Self::Database(
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed,
            )
            | Self::Unavailable(_) => true,
            Self::Database(error) => SqlState::of(error).is_some_and(SqlState::is_transient),
            Self::OutcomeUnknown(_)
            | Self::Refusal(_)
            | Self::ProviderUnavailable(_)
            | Self::StillPayable
            | Self::ProviderRefused { .. }
            | Self::IdentityUnavailable(_)
            | Self::Fault(_) => false,
        }
    }
}

/// An error and what caused it, the cause last; a cause that repeats what was said is left out.
pub fn explain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let words = deeper.to_string();
        if !said.contains(&words) {
            said = format!("{said}: {words}");
        }
        cause = deeper.source();
    }
    said
}

/// What a panic said.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}
