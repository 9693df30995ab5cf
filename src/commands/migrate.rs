//! `holdfast migrate`: the schema of the database, brought up to date.

use holdfast::app;
use holdfast::config::{self, Config};
use holdfast::repositories::database;

use super::failure::{Failure, connect};
use super::output::say;

pub(super) async fn run() -> Result<(), Failure> {
    let url = Config::read_database_url(config::environment)?;
    let pending = database::pending_migrations(&mut connect(&url).await?).await?;
    database::migrate(&app::command_pool(&url)?).await?;
    say(&format!(
        "{pending} migrations applied; the schema is up to date"
    ))?;
    Ok(())
}
