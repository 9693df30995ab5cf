//! What a role may do in the database. Two roles: the owner, who migrates, and that of `serve`, who
//! owns nothing.

use sqlx::{Executor, PgConnection};

use crate::error::Result;

/// What it is given, in SQL.
pub const RIGHTS: &str = include_str!("rights.sql");

/// Lets `role` do what `serve` does, and nothing else. Whoever calls commits, as the owner of all
/// tables.
pub async fn grant(db: &mut PgConnection, role: &str) -> Result<()> {
    sqlx::query!("select set_config('holdfast.role', $1, true)", role)
        .fetch_one(&mut *db)
        .await?;
    db.execute(sqlx::raw_sql(RIGHTS)).await?;
    Ok(())
}

/// Whether the role of this connection owns the tables, and so could switch off what guards them.
pub async fn owns_tables(db: &mut PgConnection) -> Result<bool> {
    let owns = sqlx::query_scalar!(
        r#"select exists (
             select from pg_class
             where oid = to_regclass('public.bookings')
               and pg_has_role(current_user, relowner, 'member')
           ) as "owns!""#
    );
    Ok(owns.fetch_one(db).await?)
}
