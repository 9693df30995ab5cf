//! A database whose clock is the test's: what asks it for the time finds a function of ours, for
//! the schema of the test comes before Postgres' own.

use chrono::{DateTime, Utc};
use holdfast::dev::test_database::{SERVE_ROLE, TestDatabase, digest};
use holdfast::repositories::database::{self, MIGRATOR, QUEUE_VERSION};
use holdfast::repositories::rights;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Executor};

/// When every test begins.
pub(crate) const BEGIN: &str = "2026-11-21T12:00:00Z";
const CLOCK: &str = "
    create schema harness;
    create table harness.clock (shows timestamptz not null);
    insert into harness.clock values ('2026-11-21T12:00:00Z');
    create function harness.clock_timestamp() returns timestamptz language sql volatile
      as 'select shows from harness.clock';
    grant usage on schema harness to holdfast_serve;
    grant select on harness.clock to holdfast_serve;";

fn digest_of(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..2])
}

/// A database of its own for a test, with our schema and the queue's, whose clock stands still.
pub(crate) async fn database() -> TestDatabase {
    let rights = digest_of(rights::RIGHTS);
    let schema = format!("{}_{QUEUE_VERSION}_{rights}_clock", digest(&MIGRATOR));
    let migrate = async |db: PgPool| {
        database::migrate(&db).await?;
        let mut tx = db.begin().await?;
        rights::grant(&mut tx, SERVE_ROLE).await?;
        tx.commit().await?;
        db.execute(CLOCK).await?;
        Ok::<_, holdfast::error::Error>(())
    };
    let database = TestDatabase::create_with(&schema, migrate).await;
    let name = database.options().get_database().unwrap().to_owned();
    let path = format!("alter database {name} set search_path = public, harness, pg_catalog");
    database.pool().execute(AssertSqlSafe(path)).await.unwrap();
    database
}

/// Sets the database's clock.
pub(crate) async fn stand_at(db: &PgPool, now: DateTime<Utc>) {
    let set = sqlx::query("update harness.clock set shows = $1").bind(now);
    set.execute(db).await.unwrap();
}
