//! `holdfast migrate`: the schema of the database, brought up to date.

use holdfast::config::{self, Config};
use holdfast::repositories::database;

use super::{Failure, connect, say};

pub(super) async fn run() -> Result<(), Failure> {
    let mut db = connect(&Config::read_database_url(config::environment)?).await?;
    let pending = database::pending_migrations(&mut db).await?;
    database::migrate(&mut db).await?;
    say(&format!("{pending} migrations applied; the schema is up to date"))?;
    Ok(())
}
