//! Watches over the database: whoever asks it next shall not be the one to find out that it was
//! stopped, has fallen silent, or only reads.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::app::App;
use crate::error::{Error, Result, explain};
use crate::repositories::database;

/// How long one look may take, with its wait at the database.
const LOOK_MAX: Duration = Duration::from_secs(3);
/// How long to wait for a database that is not there.
const AGAIN: Duration = Duration::from_millis(500);

/// Watches for ever.
pub async fn watch(app: &App) {
    let mut was_well = true;
    loop {
        let found = look(app).await;
        if found.is_ok() != was_well {
            let why = match &found {
                Ok(()) => "it takes writes again".to_owned(),
                Err(error) => explain(error),
            };
            app.pools.trust.lose(&why);
        }
        was_well = found.is_ok();
        if !was_well {
            sleep(AGAIN).await;
        }
    }
}

/// One look at the database, on whose connection nothing else is done.
async fn look(app: &App) -> Result<()> {
    let silent = |_| Error::Unavailable(format!("it has said nothing for {LOOK_MAX:?}"));
    timeout(LOOK_MAX, examine(app)).await.map_err(silent)?
}

async fn examine(app: &App) -> Result<()> {
    let mut db = app.pools.watch.acquire().await?;
    // Whoever does jobs must not go on where a later release has made the schema its own.
    let schema = database::schema(&mut db).await?;
    schema.suits().map_err(Error::Unavailable)?;
    database::wait_there(&mut db).await?;
    if database::takes_writes(&mut db).await? {
        return Ok(());
    }
    // A new connection may lead to the server that has taken this one's place.
    db.close();
    Err(Error::Unavailable("it only reads".to_owned()))
}
