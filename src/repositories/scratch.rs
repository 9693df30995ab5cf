//! Copies of all tables that only one session has: what is replayed is written there, and rolled
//! back.
//!
//! They are temporary tables, derived from the catalogue: whatever names a table without its schema
//! finds the session's own, so that all other statements work on them as they are. Postgres drops
//! them with the session, also of a process that dies; they are not in its log, and wait for no
//! disk.

use sqlx::{AssertSqlSafe, Executor};

use crate::connection::Connection;
use crate::domain::ids::BookingId;
use crate::error::{Error, Result};

/// What is said where the copies would be in somebody else's session.
const NOT_ITS_OWN: &str =
    "the session is another one; a pooler gives each transaction its own: connect past it";

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
}

impl Given {
    fn table(self) -> &'static str {
        match self {
            Self::Bookings => "bookings",
            Self::Attempts => "checkout_attempts",
            Self::Payments => "payments",
            Self::Refunds => "refunds",
        }
    }

    fn booking_id(self) -> &'static str {
        match self {
            Self::Bookings => "id",
            Self::Attempts | Self::Payments | Self::Refunds => "booking_id",
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
            (Self::Bookings | Self::Attempts | Self::Payments | Self::Refunds, _) => column,
        }
    }
}

/// A fault behind a pooler that gives each transaction a session of its own: what is made in one
/// would be found by whoever is given it next. `other` is begun while `db` has no transaction, so
/// that such a pooler gives it the session that is free, or `db` another one afterwards.
///
/// One that hands its sessions out in turn may still be missed: `enter` asks again.
pub async fn refuse_pooler(db: &mut Connection, other: &mut Connection) -> Result<()> {
    let first = find_session(db).await?;
    other.execute("begin").await?;
    let others = find_session(other).await?;
    let second = find_session(db).await?;
    other.execute("rollback").await?;
    if first == second && first != others {
        Ok(())
    } else {
        Err(Error::fault(NOT_ITS_OWN))
    }
}

async fn find_session(db: &mut Connection) -> Result<i32> {
    let session = sqlx::query_scalar!(r#"select pg_backend_pid() as "session!""#);
    Ok(session.fetch_one(db).await?)
}

/// Makes the copies: of what belongs to bookings with all that refuses what must not be, but
/// triggers and references; of all other tables bare ones, so that nothing that is written can
/// reach the product's. (To empty an index costs as much as to empty a table.)
pub async fn create(db: &mut Connection) -> Result<()> {
    db.execute(
        "do $$
         declare
           copied record;
         begin
           for copied in
             select relname, relname in ('bookings', 'charges') or exists (
                      select from pg_attribute
                      where attrelid = pg_class.oid and attname = 'booking_id'
                    ) as is_of_booking
             from pg_class
             where relnamespace = 'public'::regnamespace and relkind = 'r' and relname !~ '^_'
           loop
             execute format(
               'create temporary table %I (like public.%1$I including %s) on commit delete rows',
               copied.relname, case when copied.is_of_booking then 'all' else 'defaults' end
             );
           end loop;
           -- Payments are replayed in any order, and those that are given are not among them: a
           -- balance may come before its deposit.
           alter table pg_temp.bookings drop constraint bookings_confirmed_is_paid;
         end $$",
    )
    .await?;
    Ok(())
}

/// Gives the room back that copies took which were rolled back: Postgres empties all of them after
/// a commit of a transaction that has looked at one.
pub async fn clear(db: &mut Connection) -> Result<()> {
    db.execute("select from pg_temp.bookings limit 0").await?;
    Ok(())
}

/// Begins to see all but the copies as they were at the beginning of `snapshot`. A fault where the
/// copies are not there, as behind a pooler that gives each transaction another session: nothing
/// may be written in this transaction then.
pub async fn enter(db: &mut Connection, snapshot: &str) -> Result<()> {
    db.execute("set transaction isolation level repeatable read")
        .await?;
    let see = format!("set transaction snapshot '{snapshot}'");
    db.execute(AssertSqlSafe(see)).await?;
    let is_there = sqlx::query_scalar!(
        r#"select to_regclass('payments') is not null
             and to_regclass('payments') <> to_regclass('public.payments') as "is_there!""#,
    );
    if is_there.fetch_one(db).await? {
        Ok(())
    } else {
        Err(Error::fault(NOT_ITS_OWN))
    }
}

/// Copies rows of bookings.
pub async fn give(db: &mut Connection, given: Given, bookings: &[BookingId]) -> Result<()> {
    let (table, booking_id) = (given.table(), given.booking_id());
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
        "insert into pg_temp.{table} ({columns})
         select {values} from public.{table} where {booking_id} = any($1)"
    );
    let copied = sqlx::query(AssertSqlSafe(copy)).bind(bookings);
    copied.execute(db).await?;
    Ok(())
}

/// Forgets the payments that were replayed, with what was booked of them.
pub async fn forget_payments(db: &mut Connection) -> Result<()> {
    db.execute("delete from pg_temp.payments").await?;
    db.execute("delete from pg_temp.ledger_transfers").await?;
    Ok(())
}
