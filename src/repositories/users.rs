//! Users, as their tokens describe them.

use chrono::{DateTime, Utc};

use super::Columns;
use crate::connection::Connection;
use crate::domain::user::{Customer, User, UserId};
use crate::error::Result;

/// Stores users, each named once, that are seen for the first time, and what has changed of those
/// that are known. What a token does not say stays as it was.
pub async fn upsert(db: &mut Connection, users: &[&User], now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        // One who is known and unchanged is not locked: in a rush that would be a commit for each
        // buyer. The subquery is looked up by key for each of them, whatever Postgres knows of the
        // table: as a join, the plan of an empty one reads all of it.
        "insert into users (id, email, name, created_at, updated_at)
         select seen.id, seen.email, seen.name, $4, $4
         from unnest($1::text[], $2::text[], $3::text[]) as seen (id, email, name)
         where (
           select (known.email is not distinct from coalesce(seen.email, known.email)
                   and known.name is not distinct from coalesce(seen.name, known.name))
           from users as known
           where known.id = seen.id
         ) is not true
         order by seen.id
         on conflict (id) do update
         set email = coalesce(excluded.email, users.email),
             name = coalesce(excluded.name, users.name),
             updated_at = excluded.updated_at
         where (coalesce(excluded.email, users.email), coalesce(excluded.name, users.name))
           is distinct from (users.email, users.name)",
        &users.column(|user| user.id.as_str()) as _,
        &users.column(|user| user.email.as_deref()) as _,
        &users.column(|user| user.name.as_deref()) as _,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Those of the users that there are, in no particular order. One round trip.
pub async fn find_all(db: &mut Connection, ids: &[&UserId]) -> Result<Vec<Customer>> {
    let found = sqlx::query_as!(
        Customer,
        r#"select id as "id: _", email, name from users where id = any($1)"#,
        ids as _,
    )
    .fetch_all(db)
    .await?;
    Ok(found)
}
