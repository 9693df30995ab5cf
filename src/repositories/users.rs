//! Users, as their tokens describe them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::user::User;
use crate::error::Result;

/// Stores a user who is seen for the first time, and what has changed of one who is known. What a
/// token does not say stays as it was.
pub(crate) async fn upsert(db: &mut PgConnection, user: &User, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        // One who is known and unchanged is not locked: in a rush that would be a commit for each
        // buyer.
        "insert into users (id, email, name, created_at, updated_at)
         select $1, $2, $3, $4, $4
         where not exists (
           select from users
           where id = $1
             and email is not distinct from coalesce($2, email)
             and name is not distinct from coalesce($3, name)
         )
         on conflict (id) do update
         set email = coalesce(excluded.email, users.email),
             name = coalesce(excluded.name, users.name),
             updated_at = excluded.updated_at
         where (coalesce(excluded.email, users.email), coalesce(excluded.name, users.name))
           is distinct from (users.email, users.name)",
        user.id.as_str(),
        user.email.as_deref(),
        user.name.as_deref(),
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}
