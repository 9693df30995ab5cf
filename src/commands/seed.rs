//! `holdfast seed`: shows for the coming two weeks.

use holdfast::app::{Clock, Pools};
use holdfast::config::{Config, Environment};
use holdfast::repositories::database;
use holdfast::workflows::seed;

use super::failure::{Failure, connect};
use super::output::say;
use super::progress::Bar;

pub(super) async fn run(environment: &Environment) -> Result<(), Failure> {
    let url = Config::read_database_url(|variable| environment.get(variable))?;
    database::schema(&mut connect(&url).await?).await?.suits()?;
    let bar = Bar::new("shows");
    let pool = Pools::new(&url)?.requests;
    let added = seed::load(&pool, Clock::system().now(), |done, of| bar.show(done, of)).await?;
    bar.end();
    let line = match added {
        0 => "there are shows to come already; nothing was added".to_owned(),
        added => format!("{added} shows added for the coming two weeks"),
    };
    say(&line)?;
    Ok(())
}
