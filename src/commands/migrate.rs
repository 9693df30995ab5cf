//! `holdfast migrate`: the schema of the database, brought up to date.

use holdfast::app;
use holdfast::config::{self, Config};
use holdfast::repositories::database;

use super::{Failure, say};

pub(super) async fn run() -> Result<(), Failure> {
    let db = app::pool(&Config::read_database_url(config::environment)?)?;
    let mut connection = db.acquire().await?;
    let pending = database::pending_migrations(&mut connection).await?;
    drop(connection);
    database::migrate(&db).await?;
    say(&format!("{pending} migrations applied; the schema is up to date"))?;
    Ok(())
}
