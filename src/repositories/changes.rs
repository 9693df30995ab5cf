//! News of bookings between the processes of one database.

use sqlx::postgres::PgListener;
use sqlx::{PgConnection, PgPool};

use crate::domain::ids::BookingId;
use crate::error::Result;

const CHANNEL: &str = "holdfast_bookings";

/// Tells every process that these bookings have changed. In a statement of its own, after the
/// change is committed: a transaction that notifies commits under a lock of the whole server.
pub async fn notify(db: &mut PgConnection, ids: &[BookingId]) -> Result<()> {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "select pg_notify($1, id) from unnest($2::text[]) as changed (id)",
        CHANNEL,
        &ids
    )
    .fetch_all(db)
    .await?;
    Ok(())
}

/// The news of other processes, from now on.
#[derive(Debug)]
pub struct News(PgListener);

impl News {
    /// Begins to listen, on a connection of its own.
    pub async fn listen(db: &PgPool) -> Result<Self> {
        let mut listener = PgListener::connect_with(db).await?;
        listener.listen(CHANNEL).await?;
        Ok(Self(listener))
    }

    /// The next booking that has changed; `None` for news that is not understood.
    pub async fn next(&mut self) -> Result<Option<BookingId>> {
        Ok(self.0.recv().await?.payload().parse().ok())
    }
}
