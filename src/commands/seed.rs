//! `holdfast seed`: shows for the coming two weeks.

use holdfast::app::{Clock, Pools};
use holdfast::config::{self, Config};
use holdfast::repositories::database;
use holdfast::workflows::seed;

use super::failure::{Failure, connect};
use super::output::say;

pub(super) async fn run() -> Result<(), Failure> {
    let url = Config::read_database_url(config::environment)?;
    database::schema(&mut connect(&url).await?).await?.suits()?;
    let line = match seed::load(&Pools::new(&url)?.requests, Clock::system().now()).await? {
        0 => "there are shows to come already; nothing was added".to_owned(),
        added => format!("{added} shows added for the coming two weeks"),
    };
    say(&line)?;
    Ok(())
}
