//! `holdfast seed`: a programme for the coming two weeks.

use holdfast::app::{self, Clock};
use holdfast::config::{self, Config};
use holdfast::workflows::programme;

use super::{Failure, say};

pub(super) async fn run() -> Result<(), Failure> {
    let db = app::pool(&Config::read_database_url(config::environment)?)?;
    let line = match programme::load(&db, Clock::system().now()).await? {
        0 => "there are shows to come already; nothing was added".to_owned(),
        added => format!("{added} shows added for the coming two weeks"),
    };
    say(&line)?;
    Ok(())
}
