//! The mark of a database that `holdfast dev` works on.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::connection::SqlState;
use crate::error::{Error, Result};

/// Whether `dev` has worked on it. One without our tables is not marked.
pub async fn is_marked(db: impl PgExecutor<'_>) -> Result<bool> {
    let marked = sqlx::query_scalar!(r#"select exists (select from dev_mark) as "marked!""#);
    match marked.fetch_one(db).await.map_err(Error::from) {
        Err(error) if error.sqlstate() == Some(SqlState::UndefinedTable) => Ok(false),
        marked => marked,
    }
}

/// Whether nobody has made anything in it yet.
pub async fn is_empty(db: impl PgExecutor<'_>) -> Result<bool> {
    let is_empty = sqlx::query_scalar!(
        r#"select not exists (
             select from pg_class class join pg_namespace schema on schema.oid = class.relnamespace
             where schema.nspname not like 'pg\_%' and schema.nspname <> 'information_schema'
           ) as "is_empty!""#
    );
    Ok(is_empty.fetch_one(db).await?)
}

/// Marks it, once.
pub async fn mark(db: impl PgExecutor<'_>, now: DateTime<Utc>) -> Result<()> {
    let marked = sqlx::query!(
        "insert into dev_mark (marked_at) values ($1) on conflict do nothing",
        now
    );
    marked.execute(db).await?;
    Ok(())
}
