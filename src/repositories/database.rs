//! The database itself: is it there, and is its schema ours?

use std::time::Duration;

use chrono::{DateTime, Utc};
use graphile_worker::WorkerUtils;
use sqlx::migrate::Migrator;
use sqlx::{PgConnection, PgExecutor, PgPool};

use crate::connection::Connection;
use crate::error::{Error, Result, explain};

/// The migrations, compiled in.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Creates the database `holdfast` on this server, unless it is there.
pub async fn create(db: &mut PgConnection) -> Result<()> {
    let exists =
        sqlx::query_scalar!("select exists (select from pg_database where datname = 'holdfast')");
    if exists.fetch_one(&mut *db).await? != Some(true) {
        sqlx::query("create database holdfast").execute(db).await?;
    }
    Ok(())
}

/// Sets parameters of Postgres, each to its value, until the session ends.
pub async fn set_session(db: &mut PgConnection, settings: &[(&str, &str)]) -> sqlx::Result<()> {
    let (names, values): (Vec<_>, Vec<_>) = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .unzip();
    sqlx::query!(
        "select set_config(name, value, false)
         from unnest($1::text[], $2::text[]) as setting (name, value)",
        &names,
        &values,
    )
    .fetch_all(db)
    .await?;
    Ok(())
}

/// Postgres' codes, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
const UNDEFINED_TABLE: &str = "42P01";
const READ_ONLY: &str = "25006";
/// The code under which poolers refuse; <https://github.com/pgbouncer/pgbouncer/blob/master/src/client.c>
/// has the sentences.
const PROTOCOL_VIOLATION: &str = "08P01";

/// The version of the queue's library, whose schema is part of ours.
pub const QUEUE_VERSION: &str = "graphile_worker_0_14";

/// The schema of the job queue, which its library keeps.
pub const QUEUE_SCHEMA: &str = "graphile_worker";

/// Brings the schema up to date, the queue's first. Several processes may do so at once; one does
/// the work.
pub async fn migrate(db: &PgPool) -> Result<()> {
    let queue = WorkerUtils::new(db.clone(), QUEUE_SCHEMA).migrate().await;
    queue.map_err(|error| Error::fault(format!("the schema of the job queue: {error}")))?;
    MIGRATOR.run(db).await.map_err(sqlx::Error::from)?;
    Ok(())
}

/// Waits at the database, and tells whether it takes writes then: a standby does not, nor does a
/// primary that was told so.
pub async fn takes_writes_after(db: &mut Connection, wait: Duration) -> Result<bool> {
    let only_reads = sqlx::query_scalar!(
        r#"select pg_is_in_recovery()
             or current_setting('transaction_read_only')::boolean as "only_reads!"
           from pg_sleep($1)"#,
        wait.as_secs_f64(),
    );
    Ok(!only_reads.fetch_one(db).await?)
}

/// Writes to the database, or tells why that cannot be done.
pub async fn try_write(db: &mut Connection, now: DateTime<Utc>) -> Result<()> {
    let written = sqlx::query!("update write_probe set tried_at = $1 where only_row", now);
    written.execute(db).await?;
    Ok(())
}

/// What is wrong with a database that gives this error, and what to do.
pub fn advice(error: &Error) -> &'static str {
    match error.sqlstate().as_deref() {
        Some(READ_ONLY) => "the database only reads; point DATABASE_URL to the primary",
        Some(PROTOCOL_VIOLATION) if explain(error).contains("startup parameter") => {
            "the pooler before the database refuses what it is asked for at the start of a \
             connection; take `options` out of DATABASE_URL, and PGOPTIONS out of the environment"
        }
        _ => "the database cannot be reached; check DATABASE_URL and that Postgres runs",
    }
}

/// How many migrations are still to be applied; 0 when the schema is up to date.
pub async fn pending_migrations(db: impl PgExecutor<'_>) -> Result<usize> {
    // The table belongs to sqlx and is absent while the queries are checked, so this one is not
    // checked.
    let applied = sqlx::query_scalar("select version from _sqlx_migrations where success")
        .fetch_all(db)
        .await
        .map_err(Error::from);
    let applied: Vec<i64> = match applied {
        Err(error) if error.sqlstate().as_deref() == Some(UNDEFINED_TABLE) => Vec::new(),
        applied => applied?,
    };
    Ok(MIGRATOR
        .iter()
        .filter(|migration| !applied.contains(&migration.version))
        .count())
}
