//! The copies of the tables that a run replays into: made at its start, taken away at its end. What
//! runs have left behind that were killed, the next one takes away.

use sqlx::Executor;

use crate::app::Pool;
use crate::connection::{Connection, Transaction};
use crate::error::{Result, explain};
use crate::repositories::scratch::{self, ScratchSchema};

/// The copies of one run.
pub(super) struct Copies {
    schema: ScratchSchema,
    /// Shows others that the run is alive.
    alive: Transaction,
}

impl Copies {
    /// Makes them. Commits.
    pub(super) async fn make(pool: &Pool) -> Result<Self> {
        sweep(pool).await?;
        let schema = ScratchSchema::new();
        let mut alive = pool.begin().await?;
        scratch::show_alive(&mut alive, &schema).await?;
        let mut tx = pool.begin().await?;
        scratch::create(&mut tx, &schema).await?;
        tx.commit().await?;
        Ok(Self { schema, alive })
    }

    pub(super) fn schema(&self) -> &ScratchSchema {
        &self.schema
    }

    /// Takes them away. Commits.
    pub(super) async fn remove(self, pool: &Pool) -> Result<()> {
        let mut tx = pool.begin().await?;
        scratch::drop(&mut tx, &self.schema).await?;
        tx.commit().await?;
        self.alive.rollback().await?;
        Ok(())
    }
}

/// Begins to see one moment, with the copies in the place of the tables.
pub(super) async fn begin(db: &mut Connection, copies: &ScratchSchema) -> Result<()> {
    db.execute("begin").await?;
    scratch::enter(db, copies).await
}

/// Takes away what was left behind, as far as that can be done.
async fn sweep(pool: &Pool) -> Result<()> {
    let all = scratch::list(&mut pool.acquire().await?).await?;
    for schema in all {
        if let Err(error) = take_away(pool, &schema).await {
            let error = explain(&error);
            tracing::warn!("the copies of an earlier run cannot be taken away: {error}");
        }
    }
    Ok(())
}

async fn take_away(pool: &Pool, schema: &ScratchSchema) -> Result<()> {
    let mut tx = pool.begin().await?;
    if scratch::is_left_behind(&mut tx, schema).await? {
        scratch::drop(&mut tx, schema).await?;
    }
    tx.commit().await?;
    Ok(())
}
