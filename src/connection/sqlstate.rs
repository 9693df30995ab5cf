//! What Postgres' codes mean to us, of all errors that we tell apart by them.
//! <https://www.postgresql.org/docs/current/errcodes-appendix.html>

use sqlx::Error;

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlState {
    /// The server only reads: it has changed roles, or was told to.
    ReadOnly,
    /// The server ends the connection, or it, or a pooler, has lost it.
    ConnectionLost,
    /// What was said is not understood. Poolers refuse so:
    /// <https://github.com/pgbouncer/pgbouncer/blob/master/src/client.c> has the sentences.
    ProtocolViolation,
    /// The server has no time, memory or lock to give: later, it may.
    Busy,
    /// A table is not there.
    UndefinedTable,
    /// Anything else.
    Other,
}

impl SqlState {
    /// What the code of an error means; `None` where Postgres has not given it.
    pub fn of(error: &Error) -> Option<Self> {
        let error = error.as_database_error()?;
        Some(Self::of_code(&error.code().unwrap_or_default()))
    }

    fn of_code(code: &str) -> Self {
        match code {
            "25006" => Self::ReadOnly,
            "08P01" => Self::ProtocolViolation,
            "42P01" => Self::UndefinedTable,
            // A lock was waited for too long; two waited for each other.
            "55P03" | "40P01" => Self::Busy,
            // 57P01 to 57P05: stopped, or ended by somebody.
            _ if code.starts_with("57P") || code.starts_with("08") => Self::ConnectionLost,
            // Class 57: broken off, for its time for example; 53: too few resources.
            _ if code.starts_with("57") || code.starts_with("53") => Self::Busy,
            _ => Self::Other,
        }
    }

    /// Whether the connection is of no use any more, and likely those that were made before it.
    pub(super) fn breaks_connection(self) -> bool {
        match self {
            Self::ReadOnly | Self::ConnectionLost | Self::ProtocolViolation => true,
            Self::Busy | Self::UndefinedTable | Self::Other => false,
        }
    }

    /// Whether asking again may help, on this connection or another.
    pub fn is_transient(self) -> bool {
        self == Self::Busy || self.breaks_connection()
    }
}

/// Whether an error means that the connection is of no use any more.
pub fn is_broken(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
        _ => SqlState::of(error).is_some_and(SqlState::breaks_connection),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_whether_the_connection_is_of_use_and_whether_to_ask_again() {
        for (code, meaning, breaks_connection, is_transient) in [
            ("08000", SqlState::ConnectionLost, true, true),
            ("08006", SqlState::ConnectionLost, true, true),
            ("08P01", SqlState::ProtocolViolation, true, true),
            ("25006", SqlState::ReadOnly, true, true),
            ("25001", SqlState::Other, false, false),
            ("25P03", SqlState::Other, false, false),
            ("40001", SqlState::Other, false, false),
            ("40P01", SqlState::Busy, false, true),
            ("42P01", SqlState::UndefinedTable, false, false),
            ("53100", SqlState::Busy, false, true),
            ("53300", SqlState::Busy, false, true),
            ("55P03", SqlState::Busy, false, true),
            ("57014", SqlState::Busy, false, true),
            ("57P01", SqlState::ConnectionLost, true, true),
            ("57P02", SqlState::ConnectionLost, true, true),
            ("57P03", SqlState::ConnectionLost, true, true),
            ("57P05", SqlState::ConnectionLost, true, true),
            ("23505", SqlState::Other, false, false),
            ("", SqlState::Other, false, false),
        ] {
            let found = SqlState::of_code(code);
            assert_eq!(found, meaning, "{code}");
            assert_eq!(found.breaks_connection(), breaks_connection, "{code}");
            assert_eq!(found.is_transient(), is_transient, "{code}");
        }
    }
}
