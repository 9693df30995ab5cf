//! References from table to table: rows that name what is not there. All that is read here is the
//! product's, named with its schema.

use sqlx::AssertSqlSafe;

use crate::connection::Connection;
use crate::domain::difference::Difference;
use crate::error::Result;

/// Of each reference so many are named at most.
const NAMED_MAX: i64 = 2_000;

/// Columns by which a table refers to another one; names as SQL has them.
#[derive(Debug, Clone)]
pub struct Reference {
    table: String,
    columns: Vec<String>,
    referenced: String,
    referenced_columns: Vec<String>,
}

/// All references: the foreign keys, whatever names a booking, and what has no key for its cost.
pub async fn list(db: &mut Connection) -> Result<Vec<Reference>> {
    let references = sqlx::query_as!(
        Reference,
        r#"select referencing.relname::text as "table!",
                  array(
                    select quote_ident(attname)
                    from unnest(conkey) with ordinality as key (number, place)
                    join pg_attribute on attrelid = conrelid and attnum = key.number
                    order by place
                  ) as "columns!",
                  referenced.relname::text as "referenced!",
                  array(
                    select quote_ident(attname)
                    from unnest(confkey) with ordinality as key (number, place)
                    join pg_attribute on attrelid = confrelid and attnum = key.number
                    order by place
                  ) as "referenced_columns!"
           from pg_constraint
           join pg_class as referencing on referencing.oid = conrelid
           join pg_class as referenced on referenced.oid = confrelid
           where contype = 'f' and connamespace = 'public'::regnamespace
           union
           select relname::text, array['booking_id'], 'bookings', array['id']
           from pg_class
           join pg_attribute on attrelid = pg_class.oid
           where relnamespace = 'public'::regnamespace and relkind = 'r'
             and attname = 'booking_id' and not attisdropped
           union
           select of_table, array[of_column], to_table, array['id']
           from (values ('bookings', 'show_id', 'shows'),
                        ('bookings', 'service_id', 'services'),
                        ('bookings', 'resource_id', 'service_resources'),
                        ('failed_payments', 'attempt_id', 'checkout_attempts'),
                        ('ledger_transfers', 'payment_event_id', 'payment_events'))
             as by_hand (of_table, of_column, to_table)
           order by 1, 2, 3"#,
    );
    Ok(references.fetch_all(db).await?)
}

/// What is named by a reference and not there.
pub async fn find_dangling(db: &mut Connection, reference: &Reference) -> Result<Vec<Difference>> {
    let Reference {
        table, referenced, ..
    } = reference;
    let columns = reference.columns.iter();
    let named = columns.map(|column| format!("'{column} ' || referencing.{column}"));
    let named = named.collect::<Vec<_>>().join(", ");
    let pairs = reference.columns.iter().zip(&reference.referenced_columns);
    // Who leaves one of several columns open refers to nothing.
    let is_named = reference.columns.iter();
    let is_named = is_named.map(|column| format!("referencing.{column} is not null"));
    let is_named = is_named.collect::<Vec<_>>().join(" and ");
    let is_it = pairs.map(|(column, key)| format!("referenced.{key} = referencing.{column}"));
    let is_it = is_it.collect::<Vec<_>>().join(" and ");
    let dangling = format!(
        "select concat_ws(', ', {named}) || ' in {table}',
                case count(*) when 1 then 'once' else count(*) || ' times' end
         from public.{table} as referencing
         where {is_named}
           and not exists (select from public.{referenced} as referenced where {is_it})
         group by 1
         order by 1
         limit {NAMED_MAX}"
    );
    let dangling: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(dangling))
        .fetch_all(db)
        .await?;
    let differences = dangling.into_iter().map(|(subject, times)| Difference {
        subject,
        stored: Some(times),
        witness: format!("{referenced} has"),
        said: None,
    });
    Ok(differences.collect())
}
