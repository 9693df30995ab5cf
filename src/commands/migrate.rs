//! `holdfast migrate`: the schema of the database, brought up to date.

use holdfast::app;
use holdfast::config::{self, Config};
use holdfast::repositories::database::{self, Schema};

use super::failure::{Failure, connect};
use super::output::say;

pub(super) async fn run() -> Result<(), Failure> {
    let url = Config::read_database_url(config::environment)?;
    let before = database::schema(&mut connect(&url).await?).await?;
    database::migrate(&app::command_pool(&url)?).await?;
    let after = database::schema(&mut connect(&url).await?).await?;
    let applied = match before {
        Schema::Outdated(pending) => pending,
        Schema::UpToDate | Schema::Later(_) | Schema::Unsuitable(_) | Schema::Foreign(_) => 0,
    };
    say(&format!("{applied} migrations applied; {}", after.suits()?))?;
    Ok(())
}
