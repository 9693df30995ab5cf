//! The plans of the statements that are in a hurry, on a database that is not empty: none reads a
//! whole table.
//!
//! The statements are those that the build has written down in `.sqlx`, so that a new one is looked
//! at without being named here.

use holdfast::dev::test_database::SERVE_ROLE;
use std::fs;

use holdfast::connection::Connection;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, query_scalar};

use crate::harness::TestApp;

/// Statements that run in other pools than those of requests and payments, or outside of any, by
/// words of theirs and of no other's.
const NOT_HOT: [(&str, &str); 14] = [
    (
        "from movies where ($1::uuid is null",
        "a page of movies: reporting",
    ),
    (
        "order by starts_at, shows.id limit",
        "a page of shows: reporting",
    ),
    (
        "and ($2::booking_status is null",
        "a page of bookings: reporting",
    ),
    (
        "($1::payment_event_status is null",
        "a page of events: reporting",
    ),
    ("as \"refunded_minor!\"", "a page of payments: reporting"),
    (
        "from vouchers where $1::uuid is null",
        "a page of vouchers: reporting",
    ),
    (
        "from audit_log where ($1::text is null",
        "a page of the audit log: reporting",
    ),
    (
        "from audit_log order by number desc limit 1",
        "the end of the audit log: what admins do",
    ),
    (
        "with unseen as materialized",
        "payments that Stripe has not listed: reporting",
    ),
    (
        "select min(opened_at) from disputes",
        "how far back disputes are listed: reporting",
    ),
    (
        "from untrusted_forwarders where",
        "who has forwarded requests: some dozens, for the doctor",
    ),
    ("select lasts_until from run_pace", "one row"),
    ("update run_pace set", "one row"),
    ("select from dev_mark", "one row"),
];

/// What names tables with their schema is read by `holdfast verify`, on connections of its own.
const VERIFICATION: &str = "from public.";

/// Copies that are made of each row.
const COPIES: u32 = 1_000;

#[tokio::test]
async fn no_hot_statement_reads_a_whole_table() {
    let harness = filled().await;

    let complaints = complaints(&harness).await;

    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test]
async fn a_missing_index_is_told() {
    let harness = filled().await;
    let missing = "drop index seat_claims_by_booking;
                   alter table checkout_attempts drop constraint checkout_attempts_session_key";
    sqlx::raw_sql(missing).execute(harness.db()).await.unwrap();

    let complaints = complaints(&harness).await;

    for table in ["seat_claims", "checkout_attempts"] {
        let is_told = |told: &String| told.starts_with(&format!("all of {table} is read by"));
        assert!(complaints.iter().any(is_told), "{table}: {complaints:?}");
    }
}

/// What a function asks is in no plan of those who call it: that it is the same as what the look
/// before a hold asks is seen by which indexes it has read.
#[tokio::test]
async fn what_a_user_has_is_counted_under_their_lock_by_its_index() {
    let harness = filled().await;
    let mut tx = harness.app.begin().await.unwrap();
    let read = "select pg_stat_get_xact_numscans('bookings_by_holder'::regclass),
                       pg_stat_get_xact_numscans('bookings'::regclass),
                       pg_stat_get_xact_numscans('users'::regclass)";
    let before: (i64, i64, i64) = sqlx::query_as(read).fetch_one(&mut *tx).await.unwrap();

    let counted = "select lock_holders.seats
                   from bookings, lock_holders(array[bookings.id], array[user_id], array[show_id],
                                               array[true], array[created_at])
                   where bookings.id = (select id from bookings where user_id = 'user_dana' and live
                                 and kind = 'show' limit 1)";
    let counted = query_scalar::<_, i64>(counted);
    let seats = counted.fetch_one(&mut *tx).await.unwrap();

    let after: (i64, i64, i64) = sqlx::query_as(read).fetch_one(&mut *tx).await.unwrap();
    assert!(seats > 0);
    assert!(after.0 > before.0);
    assert_eq!(
        (after.1, after.2),
        (before.1, before.2),
        "no table is read as it lies"
    );
}

#[test]
fn what_is_not_hot_is_one_statement_each() {
    let statements = statements();
    for (words, _) in NOT_HOT {
        let meant = statements
            .iter()
            .filter(|statement| statement.contains(words));
        assert_eq!(meant.count(), 1, "{words}");
    }
}

/// What is wrong with the plans of the hot statements, in a session as requests have it.
async fn complaints(harness: &TestApp) -> Vec<String> {
    let mut db = harness.app.acquire().await.unwrap();
    let mut complaints = Vec::new();
    for statement in statements() {
        let is_not_hot = NOT_HOT.iter().any(|(words, _)| statement.contains(words));
        if is_not_hot || statement.contains(VERIFICATION) {
            continue;
        }
        let whole = whole_reads(&plan(&mut db, &statement).await);
        complaints.extend(
            whole
                .into_iter()
                .map(|table| format!("all of {table} is read by: {statement}")),
        );
    }
    complaints
}

/// All statements that are checked when the crate is built, each in one line.
fn statements() -> Vec<String> {
    let files = fs::read_dir(".sqlx").unwrap();
    let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let statements = texts.map(|text| {
        let described: Value = serde_json::from_str(&text).unwrap();
        let statement = described["query"].as_str().unwrap();
        let lines = statement.lines();
        let lines = lines.filter(|line| !line.trim_start().starts_with("--"));
        let words = lines.flat_map(str::split_whitespace);
        words.collect::<Vec<_>>().join(" ")
    });
    statements.collect()
}

/// How Postgres would carry a statement out, whatever its parameters are.
async fn plan(db: &mut Connection, statement: &str) -> Value {
    let prepare = format!("prepare looked_at as {statement}");
    db.execute(AssertSqlSafe(prepare)).await.unwrap();
    let parameters: i64 = query_scalar(
        "select cardinality(parameter_types)::bigint from pg_prepared_statements
         where name = 'looked_at'",
    )
    .fetch_one(&mut *db)
    .await
    .unwrap();
    let nulls = vec!["null"; usize::try_from(parameters).unwrap()].join(", ");
    let arguments = if parameters > 0 {
        format!("({nulls})")
    } else {
        String::new()
    };
    let explain = format!("explain (verbose, format json) execute looked_at{arguments}");
    let plan: Value = query_scalar(AssertSqlSafe(explain))
        .fetch_one(&mut *db)
        .await
        .unwrap();
    db.execute("deallocate looked_at").await.unwrap();
    plan
}

/// The tables of ours that a plan reads from one end to the other: as they lie, or along an index
/// that says nothing of which rows are meant.
fn whole_reads(plan: &Value) -> Vec<String> {
    let inside: Vec<&Value> = match plan {
        Value::Array(plans) => plans.iter().collect(),
        Value::Object(members) => members.values().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    let mut whole: Vec<String> = inside.into_iter().flat_map(whole_reads).collect();
    let is_whole = match plan["Node Type"].as_str() {
        Some("Seq Scan") => true,
        Some("Index Scan" | "Index Only Scan") => plan["Index Cond"].is_null(),
        Some(_) | None => false,
    };
    if is_whole && plan["Schema"] == "public" {
        whole.push(plan["Relation Name"].as_str().unwrap().to_owned());
    }
    whole
}

/// What only `dev` writes is looked at like everything else.
async fn let_write_all(harness: &TestApp) {
    let lets = format!("grant insert on dev_mark to {SERVE_ROLE}");
    sqlx::raw_sql(AssertSqlSafe(lets))
        .execute(harness.db())
        .await
        .unwrap();
}

/// A database with some thousand rows in every table that bookings of all sorts leave something in.
async fn filled() -> TestApp {
    let harness = TestApp::holding_freely().await.without_gauge();
    let movie = json!({ "title": "Metropolis" });
    let movie = harness.admin().post("/api/admin/movies", movie).await;
    let show = harness
        .show_with(json!({ "movieId": movie.body["id"] }))
        .await;
    let dana = harness.customer("dana");
    let keyed = json!({ "kind": "show", "showId": show, "seats": ["A2"] });
    dana.post_keyed("/api/bookings", keyed, "key").await;
    // A payment that comes after its seat was sold again goes back.
    let late = dana.booked(&show, &["A3"]).await;
    let paid = json!({ "session": late["checkout"]["sessionId"] });
    let events = harness.pay_unheard(paid).await;
    harness.hear_of_expiry(&late).await;
    let next = harness.customer("emil").booked(&show, &["A3"]).await;
    harness.deliver(&events["checkout.session.completed"]).await;
    let declined = json!({
        "session": next["checkout"]["sessionId"], "card": "4000000000000002",
    });
    harness.knob("pay", declined).await;
    let bought = harness.pay(&next).await;
    let disputed = json!({ "paymentIntent": bought["paymentIntent"] });
    harness.knob("disputes", disputed).await;
    harness.simulator.settled().await;
    harness.run_jobs().await;
    let service = harness.service_with(json!({})).await;
    dana.book_slot(&service, "2026-12-01T09:00:00Z", 1, "half")
        .await;
    let voucher = json!({ "code": "ONE", "percentOff": 50, "maxUses": 1 });
    let voucher = harness.admin().post("/api/admin/vouchers", voucher).await;
    let with_voucher = json!({
        "kind": "show", "showId": show, "seats": ["A5"], "voucher": voucher.body["code"],
    });
    dana.post("/api/bookings", with_voucher).await;
    // A booking that Stripe has not answered yet.
    let asked = dana.booked(&show, &["A4"]).await;
    let unanswered = "update checkout_attempts set status = 'creating', stripe_session_id = null
                      where booking_id = $1::uuid";
    sqlx::query(unanswered)
        .bind(asked["id"].as_str())
        .execute(harness.db())
        .await
        .unwrap();

    // A show that does not take place.
    let cancelled = harness.show().await;
    dana.booked(&cancelled, &["A2"]).await;
    let cancel = format!("/api/admin/shows/{cancelled}/cancel");
    let reason = json!({ "reason": "rain" });
    let run = harness.admin().post(&cancel, reason).await;
    assert_eq!(run.status, 202, "{run:?}");

    let_write_all(&harness).await;
    let tables: Vec<String> = query_scalar(
        "select tablename::text from pg_tables
         where schemaname = 'public'
           and tablename not in ('_sqlx_migrations', 'write_probe', 'schema_floor', 'audit_log',
             'run_pace')",
    )
    .fetch_all(harness.db())
    .await
    .unwrap();
    for table in tables {
        multiply(&harness, &table).await;
    }
    // Many events wait for their attempts.
    let deferred = "begin;
                    set local session_replication_role = replica;
                    update payment_events set status = 'deferred', processed_at = null
                    where hashtext(id) % 2 = 0;
                    commit";
    sqlx::raw_sql(deferred).execute(harness.db()).await.unwrap();
    harness.db().execute("analyze").await.unwrap();
    harness
}

/// Makes many of the rows of a table, which differ in what has to be unique, in their times, and in
/// what they refer to. No trigger runs, and no foreign key is looked at.
async fn multiply(harness: &TestApp, table: &str) {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select quote_ident(attname),
                case
                  when attname = 'code' then 'code || number'
                  when attname = 'reference' then '''HF-'' || lpad(number::text, 6, ''0'')'
                  when type.typname = 'uuid'
                    then format('case when %1$I is not null then gen_random_uuid() end', attname)
                  when type.typname = 'tstzrange' then format(
                    'tstzrange(lower(%1$I) + number * interval ''1 d'',
                               upper(%1$I) + number * interval ''1 d'')', attname)
                  when type.typname = 'timestamptz'
                    then format('%I + number * interval ''1 s''', attname)
                  when not is_unique then quote_ident(attname)
                  when type.typcategory = 'S' then format('%I || number', attname)
                  when type.typcategory = 'N' then format('%I + number', attname)
                  else quote_ident(attname)
                end
         from pg_attribute
         join pg_type as type on type.oid = atttypid
         cross join lateral (
           select exists (
             select from pg_index
             where indrelid = attrelid and indisunique and attnum = any (indkey)
             and not exists (
               select from pg_attribute as other
               where other.attrelid = indrelid and other.attnum = any (indkey)
                 and other.atttypid = 'uuid'::regtype
             )
           )
         ) as keys (is_unique)
         where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = ''
           and attidentity = ''
         order by attnum",
    )
    .bind(table)
    .fetch_all(harness.db())
    .await
    .unwrap();
    let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let insert = format!(
        "begin;
         set local session_replication_role = replica;
         insert into {table} ({})
         select {}
         from (select *, row_number() over () as number
               from {table} cross join generate_series(1, {COPIES})) as copy;
         commit",
        names.join(", "),
        values.join(", "),
    );
    sqlx::raw_sql(AssertSqlSafe(insert))
        .execute(harness.db())
        .await
        .unwrap();
}
