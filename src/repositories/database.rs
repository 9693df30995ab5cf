//! The database itself: is it there, and is its schema ours?

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use graphile_worker::WorkerUtils;
use sqlx::migrate::{Migration, Migrator};
use sqlx::{PgConnection, PgExecutor, PgPool};

use crate::connection::{Connection, SqlState};
use crate::error::{Error, Result, explain};

/// The migrations, compiled in. Those of later releases that it finds applied are theirs.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!();
    migrator.set_ignore_missing(true);
    migrator
});

/// How the schema of a database stands to this binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// It is what this binary knows.
    UpToDate,
    /// A later release has brought it to this version, and this binary works on it all the same.
    Later(i64),
    /// So many migrations are still to be applied.
    Outdated(usize),
    /// A later release has changed it, and only a binary that knows this version works on it.
    Unsuitable(i64),
    /// This migration was applied by a build in which it was another one.
    Foreign(i64),
}

impl Schema {
    /// Whether this binary can work on it: a remark, or why not and what to do about that.
    pub fn suits(self) -> Result<String, String> {
        match self {
            Self::UpToDate => Ok("the schema is up to date".to_owned()),
            Self::Later(version) => Ok(format!(
                "a later release has brought the schema to migration {version}, and this one works \
                 on it as well"
            )),
            Self::Outdated(pending) => Err(format!(
                "{pending} migrations are to be applied; run `holdfast migrate`"
            )),
            Self::Unsuitable(floor) => Err(format!(
                "a later release has changed the schema: a binary must know migration {floor}, and \
                 this one knows {} at most; run the later release",
                newest_migration()
            )),
            Self::Foreign(version) => Err(format!(
                "migration {version} of this database is not the one of this release: a build that \
                 was never released has made it, and no migration leads on from there; create the \
                 database anew (or use another one), and run `holdfast migrate`"
            )),
        }
    }
}

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

/// The version of the queue's library, whose schema is part of ours.
pub const QUEUE_VERSION: &str = "graphile_worker_0_14";

/// The schema of the job queue, which its library keeps.
pub const QUEUE_SCHEMA: &str = "graphile_worker";

/// Brings the schema up to date, the queue's first. Several processes may do so at once; one does
/// the work. A fault where a later release, or an unreleased one, has made it unsuitable for this
/// binary.
pub async fn migrate(db: &PgPool) -> Result<()> {
    let found = schema(&mut *db.acquire().await?).await?;
    match found {
        Schema::UpToDate | Schema::Later(_) | Schema::Outdated(_) => {}
        Schema::Unsuitable(_) | Schema::Foreign(_) => drop(found.suits().map_err(Error::Fault)?),
    }
    let queue = WorkerUtils::new(db.clone(), QUEUE_SCHEMA).migrate().await;
    queue.map_err(|error| Error::fault(format!("the schema of the job queue: {error}")))?;
    MIGRATOR.run(db).await.map_err(sqlx::Error::from)?;
    Ok(())
}

/// Waits for half a second at the database: as long as a statement is under way, the end of its
/// connection is known at once. In short naps, as what a statement can see Postgres does not tidy
/// up: the old versions of rows that change all the time, and what makes an index enough to read.
pub async fn wait_there(db: &mut Connection) -> Result<()> {
    let naps = sqlx::query(
        "do $$ begin
           for nap in 1..10 loop
             perform pg_sleep(0.05);
             commit;
           end loop;
         end $$",
    );
    naps.execute(db).await?;
    Ok(())
}

/// Whether the database takes writes: a standby does not, nor does a primary that was told so.
pub async fn takes_writes(db: &mut Connection) -> Result<bool> {
    let only_reads = sqlx::query_scalar!(
        r#"select pg_is_in_recovery()
             or current_setting('transaction_read_only')::boolean as "only_reads!""#,
    );
    Ok(!only_reads.fetch_one(db).await?)
}

/// What time it is there.
pub async fn clock(db: impl PgExecutor<'_>) -> Result<DateTime<Utc>> {
    let clock = sqlx::query_scalar!(r#"select clock_timestamp() as "clock!""#);
    Ok(clock.fetch_one(db).await?)
}

/// Writes to the database, or tells why that cannot be done. The caller rolls it back.
pub async fn try_write(db: impl PgExecutor<'_>, now: DateTime<Utc>) -> Result<()> {
    let written = sqlx::query!("update write_probe set tried_at = $1 where only_row", now);
    written.execute(db).await?;
    Ok(())
}

/// What is wrong with a database that gives this error, and what to do.
pub fn advice(error: &Error) -> &'static str {
    match error.sqlstate() {
        Some(SqlState::ReadOnly) => "the database only reads; point DATABASE_URL to the primary",
        Some(SqlState::ProtocolViolation) if explain(error).contains("startup parameter") => {
            "the pooler before the database refuses what it is asked for at the start of a \
             connection; take `options` out of DATABASE_URL, and PGOPTIONS out of the environment"
        }
        _ => "the database cannot be reached; check DATABASE_URL and that Postgres runs",
    }
}

/// How the schema stands to this binary. Two round trips.
pub async fn schema<C>(db: &mut C) -> Result<Schema>
where
    for<'c> &'c mut C: PgExecutor<'c>,
{
    // The table belongs to sqlx and is absent while the queries are checked, so this one is not
    // checked.
    let applied = sqlx::query_as("select version, checksum from _sqlx_migrations where success")
        .fetch_all(&mut *db)
        .await;
    let applied: HashMap<i64, Vec<u8>> =
        if_there(applied)?.unwrap_or_default().into_iter().collect();
    let floor = sqlx::query_scalar!("select version from schema_floor where only_row");
    let floor = if_there(floor.fetch_one(db).await)?;
    let newest = newest_migration();
    if let Some(floor) = floor.filter(|floor| *floor > newest) {
        return Ok(Schema::Unsuitable(floor));
    }
    let is_foreign = |migration: &&Migration| {
        let applied = applied.get(&migration.version);
        applied.is_some_and(|checksum| *checksum != *migration.checksum)
    };
    if let Some(migration) = MIGRATOR.iter().find(is_foreign) {
        return Ok(Schema::Foreign(migration.version));
    }
    let pending = MIGRATOR
        .iter()
        .filter(|migration| !applied.contains_key(&migration.version))
        .count();
    Ok(match applied.into_keys().max() {
        _ if pending > 0 => Schema::Outdated(pending),
        Some(version) if version > newest => Schema::Later(version),
        _ => Schema::UpToDate,
    })
}

fn newest_migration() -> i64 {
    let versions = MIGRATOR.iter().map(|migration| migration.version);
    versions.max().unwrap_or_default()
}

/// `None` where the table is not there.
fn if_there<T>(found: sqlx::Result<T>) -> Result<Option<T>> {
    match found.map_err(Error::from) {
        Err(error) if error.sqlstate() == Some(SqlState::UndefinedTable) => Ok(None),
        found => found.map(Some),
    }
}
