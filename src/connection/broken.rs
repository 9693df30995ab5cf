//! Which errors say that a connection is of no use any more.

use sqlx::Error;

/// Read-only: its server has changed roles.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const READ_ONLY: &str = "25006";

/// Whether an error means that the connection is of no use any more, and likely those that were
/// made before it.
pub fn is_broken(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
        // 57P01 to 57P05: its server ends it. Class 08: its server, or a pooler, has lost it.
        Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            code == READ_ONLY || code.starts_with("57P") || code.starts_with("08")
        }
        _ => false,
    }
}

/// Whether it is of no use because it can only be read from: a new one may be no better.
pub(super) fn is_read_only(error: &Error) -> bool {
    let database_error = error.as_database_error();
    database_error.is_some_and(|error| error.code().is_some_and(|code| code == READ_ONLY))
}
