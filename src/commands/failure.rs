//! Why a command ends without having done what it was asked, in words for a person.

use holdfast::app;
use holdfast::config::Secret;
use holdfast::error::{Error, explain};
use holdfast::repositories::database;
use sqlx::PgConnection;

/// Anything that ends a command, told to a person.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A connection to the database, or the reason why there is none.
pub(super) async fn connect(url: &Secret) -> Result<PgConnection, Failure> {
    app::connect(url)
        .await
        .map_err(|error| unusable(&error).into())
}

pub(super) fn unusable(error: &Error) -> String {
    format!("{} ({})", database::advice(error), explain(error))
}
