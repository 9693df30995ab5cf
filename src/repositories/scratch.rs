//! Copies of all tables in a schema of their own: what is replayed is written there, and rolled
//! back.
//!
//! They are derived from the catalogue. A transaction has them in the place of the tables by its
//! `search_path`: whatever names a table without its schema finds the copy, so that all other
//! statements work on them as they are. Nothing of it lives in a session, so that a pooler may give
//! each transaction another one. They are not in Postgres' log, and wait for no disk.

use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;

use crate::connection::Connection;
use crate::domain::ids::BookingId;
use crate::error::{Error, Result};

/// What the names of such schemas begin with. What follows are 32 hexadecimal digits.
const PREFIX: &str = "holdfast_verify_";
/// Of the locks that say whether a run is alive: whoever uses a schema shares the lock of its name.
const ALIVE: i32 = 0x7665_7269;
/// What holds in a transaction that has the copies, whoever had its session before.
const SETTINGS: [(&str, &str); 7] = [
    // As long as a sum over all that there is may take, on a large database.
    ("statement_timeout", "15min"),
    // Whoever changes a table is waited for: a migration does not take longer.
    ("lock_timeout", "1min"),
    ("jit", "off"),
    ("plan_cache_mode", "force_custom_plan"),
    ("enable_seqscan", "on"),
    ("enable_hashjoin", "on"),
    ("enable_mergejoin", "on"),
];

/// A schema for the copies of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScratchSchema(String);

impl ScratchSchema {
    /// One that nobody else has.
    pub fn new() -> Self {
        Self(format!("{PREFIX}{}", Uuid::now_v7().simple()))
    }
}

impl Default for ScratchSchema {
    fn default() -> Self {
        Self::new()
    }
}

/// Tables whose rows are given when events are replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// As they are, but unpaid.
    Bookings,
    /// As they are, but unpaid.
    Attempts,
    /// As they are.
    Payments,
    /// As they are.
    Refunds,
    /// As they are, those of which something was learned by asking.
    Disputes,
    /// What was booked for those, as it is.
    DisputeTransfers,
}

impl Given {
    fn table(self) -> &'static str {
        match self {
            Self::Bookings => "bookings",
            Self::Attempts => "checkout_attempts",
            Self::Payments => "payments",
            Self::Refunds => "refunds",
            Self::Disputes => "disputes",
            Self::DisputeTransfers => "ledger_transfers",
        }
    }

    /// Which rows are copied for the bookings `$1`.
    fn which(self) -> &'static str {
        match self {
            Self::Bookings => "id = any($1)",
            Self::Attempts | Self::Payments | Self::Refunds => "booking_id = any($1)",
            Self::Disputes => "booking_id = any($1) and was_asked_about",
            Self::DisputeTransfers => {
                "booking_id = any($1) and dispute_id in (
                   select id from public.disputes where booking_id = any($1) and was_asked_about
                 )"
            }
        }
    }

    /// What is copied of a column, quoted as it is.
    fn value(self, column: &str) -> &str {
        match (self, column) {
            (Self::Bookings, "status") => "'pending'",
            (Self::Bookings, "paid_minor" | "conceded_minor") => "0",
            (Self::Bookings, "hold_expires_at") => "coalesce(hold_expires_at, created_at)",
            // It can be paid no more, as far as was known. What money makes of it is the same.
            (Self::Attempts, "status") => "case status when 'paid' then 'expired' else status end",
            (
                Self::Bookings
                | Self::Attempts
                | Self::Payments
                | Self::Refunds
                | Self::Disputes
                | Self::DisputeTransfers,
                _,
            ) => column,
        }
    }
}

/// Shows others that the run with this schema is alive, as long as the transaction lasts. It may
/// idle: it sees nothing, so that nothing waits for it.
pub async fn show_alive(db: &mut Connection, schema: &ScratchSchema) -> Result<()> {
    // Not every release of Postgres knows both.
    sqlx::query!(
        "select set_config(name, '0', true)
         from pg_settings
         where name in ('idle_in_transaction_session_timeout', 'transaction_timeout')"
    )
    .fetch_all(&mut *db)
    .await?;
    share_lock(db, schema).await
}

async fn share_lock(db: &mut Connection, schema: &ScratchSchema) -> Result<()> {
    let lock = sqlx::query!(
        "select pg_advisory_xact_lock_shared($1, hashtext($2))",
        ALIVE,
        schema.0,
    );
    lock.execute(db).await?;
    Ok(())
}

/// Makes the copies: of what belongs to bookings with all that refuses what must not be, but
/// triggers and references; of all other tables bare ones, so that nothing that is written can
/// reach the product's. (To empty an index costs as much as to empty a table.)
pub async fn create(db: &mut Connection, schema: &ScratchSchema) -> Result<()> {
    let schema = &schema.0;
    let create = format!(
        "do $$
         declare
           copied record;
         begin
           create schema {schema};
           for copied in
             select relname, relname in ('bookings', 'charges') or exists (
                      select from pg_attribute
                      where attrelid = pg_class.oid and attname = 'booking_id'
                    ) as is_of_booking
             from pg_class
             where relnamespace = 'public'::regnamespace and relkind = 'r' and relname !~ '^_'
           loop
             execute format(
               'create unlogged table {schema}.%I (like public.%1$I including %s)',
               copied.relname, case when copied.is_of_booking then 'all' else 'defaults' end
             );
           end loop;
           -- Payments are replayed in any order, and those that are given are not among them: a
           -- balance may come before its deposit.
           alter table {schema}.bookings drop constraint bookings_confirmed_is_paid;
         end $$"
    );
    db.execute(AssertSqlSafe(create)).await?;
    Ok(())
}

/// Begins to see one moment, with the copies in the place of the tables. First in a transaction. A
/// fault where the copies are gone: nothing may be written in this transaction then.
pub async fn enter(db: &mut Connection, schema: &ScratchSchema) -> Result<()> {
    db.execute("set transaction isolation level repeatable read")
        .await?;
    let path = format!("{}, public", schema.0);
    let settings = SETTINGS.iter().copied().chain([("search_path", &*path)]);
    let (names, values): (Vec<_>, Vec<_>) = settings
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .unzip();
    sqlx::query!(
        "select set_config(name, value, true)
         from unnest($1::text[], $2::text[]) as setting (name, value)",
        &names,
        &values,
    )
    .fetch_all(&mut *db)
    .await?;
    // From here on nobody takes them away.
    share_lock(db, schema).await?;
    let are_there = sqlx::query_scalar!(
        r#"select (to_regclass('payments') = to_regclass($1 || '.payments')) is true
             as "are_there!""#,
        schema.0,
    );
    if are_there.fetch_one(db).await? {
        Ok(())
    } else {
        let gone = "the copies of this run are gone: its connection has broken, or somebody has \
                    dropped them; begin again";
        Err(Error::fault(gone))
    }
}

/// Gives the room back that copies took which were rolled back. The caller commits.
pub async fn clear(db: &mut Connection, schema: &ScratchSchema) -> Result<()> {
    let schema = &schema.0;
    let clear = format!(
        "do $$
         declare
           used text;
         begin
           select string_agg(pg_class.oid::regclass::text, ', ') into used
           from pg_class
           where relnamespace = '{schema}'::regnamespace and relkind = 'r'
             and pg_relation_size(pg_class.oid) > 0;
           if used is not null then
             execute 'truncate ' || used;
           end if;
         end $$"
    );
    db.execute(AssertSqlSafe(clear)).await?;
    Ok(())
}

/// Takes the copies away. The caller commits.
pub async fn drop(db: &mut Connection, schema: &ScratchSchema) -> Result<()> {
    // It names each table that goes with the schema, else.
    db.execute("set local client_min_messages = warning")
        .await?;
    let drop = format!("drop schema if exists {} cascade", schema.0);
    db.execute(AssertSqlSafe(drop)).await?;
    Ok(())
}

/// The schemas of all runs, also of those that have died.
pub async fn list(db: &mut Connection) -> Result<Vec<ScratchSchema>> {
    let names = sqlx::query_scalar!(
        r#"select nspname::text as "name!"
           from pg_namespace
           where nspname ~ ('^' || $1 || '[0-9a-f]{32}$')
           order by nspname"#,
        PREFIX,
    );
    let names = names.fetch_all(db).await?;
    Ok(names.into_iter().map(ScratchSchema).collect())
}

/// Whether nobody uses a schema, nor will until the end of the transaction: its run has died.
pub async fn is_left_behind(db: &mut Connection, schema: &ScratchSchema) -> Result<bool> {
    let locked = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock($1, hashtext($2)) as "locked!""#,
        ALIVE,
        schema.0,
    );
    Ok(locked.fetch_one(db).await?)
}

/// Copies rows of bookings.
pub async fn give(
    db: &mut Connection,
    schema: &ScratchSchema,
    given: Given,
    bookings: &[BookingId],
) -> Result<()> {
    let (table, which) = (given.table(), given.which());
    let columns = sqlx::query_scalar!(
        r#"select quote_ident(attname) as "column!"
           from pg_attribute
           where attrelid = to_regclass('public.' || $1) and attnum > 0 and not attisdropped
             and attgenerated = ''"#,
        table,
    );
    let columns = columns.fetch_all(&mut *db).await?;
    let values: Vec<_> = columns.iter().map(|column| given.value(column)).collect();
    let (columns, values) = (columns.join(", "), values.join(", "));
    let copy = format!(
        "insert into {}.{table} ({columns})
         select {values} from public.{table} where {which}",
        schema.0,
    );
    let copied = sqlx::query(AssertSqlSafe(copy)).bind(bookings);
    copied.execute(db).await?;
    Ok(())
}

/// Forgets the payments that were replayed, with what was booked of them.
pub async fn forget_payments(db: &mut Connection, schema: &ScratchSchema) -> Result<()> {
    for table in ["payments", "ledger_transfers"] {
        let forget = format!("delete from {}.{table}", schema.0);
        db.execute(AssertSqlSafe(forget)).await?;
    }
    Ok(())
}
