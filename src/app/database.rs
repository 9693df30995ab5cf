//! Connections and transactions.

use sqlx::{Postgres, Transaction};

use crate::error::{Error, Result, explain};

/// Requests of one failed batch that are handled alone at once: as many as the smallest pool has
/// connections, so that they do not wait for each other's.
pub const HANDLED_ALONE_MAX: usize = 6;

/// Commits. A connection that breaks meanwhile leaves open whether that was done:
/// [`Error::OutcomeUnknown`]. Any other error means that it was not.
pub(super) async fn commit(tx: Transaction<'_, Postgres>) -> Result<()> {
    tx.commit().await.map_err(|error| {
        let error = Error::from(error);
        if error.is_database_unavailable() {
            Error::OutcomeUnknown(explain(&error))
        } else {
            error
        }
    })
}
