//! `holdfast seed`: shows for the coming two weeks.

use holdfast::app::{Clock, Pools};
use holdfast::config::{self, Config};
use holdfast::repositories::database;
use holdfast::workflows::seed;

use super::failure::{Failure, connect, outdated};
use super::output::say;

pub(super) async fn run() -> Result<(), Failure> {
    let url = Config::read_database_url(config::environment)?;
    let pending = database::pending_migrations(&mut connect(&url).await?).await?;
    if pending > 0 {
        return Err(outdated(pending).into());
    }
    let line = match seed::load(&Pools::new(&url)?.requests, Clock::system().now()).await? {
        0 => "there are shows to come already; nothing was added".to_owned(),
        added => format!("{added} shows added for the coming two weeks"),
    };
    say(&line)?;
    Ok(())
}
