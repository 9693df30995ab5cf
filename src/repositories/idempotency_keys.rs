//! Idempotency keys: one response per caller and key.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::Columns;
use crate::connection::Connection;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ids::BookingId;
use crate::domain::skew::SKEW_MAX;
use crate::error::Result;

/// How long a response is kept under its key.
const AGE_MAX: TimeDelta = TimeDelta::hours(24);
/// How many keys a caller may use within that time: more than anybody books, and with what is kept
/// under each, some megabytes at most.
const KEYS_PER_CALLER_MAX: i64 = 2_000;
/// A key belongs to its request this long, which is longer than a request may take; then its
/// process has died.
const LEASE: TimeDelta = TimeDelta::seconds(40);
/// How many old keys are forgotten in one go.
const FORGET_MAX: i64 = 10_000;

/// What there is under a key.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    Entry(Entry),
    Nothing,
    /// Nothing, and its caller has used as many as they may, until then.
    TooMany(DateTime<Utc>),
}

/// What is known of a key that was used.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The request that it was first used for.
    pub(crate) request_hash: Vec<u8>,
    /// The booking that the first request made, once that is committed.
    pub(crate) booking_id: Option<BookingId>,
    locked_until: DateTime<Utc>,
    /// The first response, once it is given.
    pub(crate) response: Option<StoredResponse>,
}

impl Entry {
    /// Whether the process that runs the first request is believed to live.
    pub(crate) fn is_locked(&self, now: DateTime<Utc>) -> bool {
        now < self.locked_until && self.locked_until <= latest_lock(now)
    }
}

/// A key that is locked for longer was locked, or unlocked, by a clock that was ahead.
fn latest_lock(now: DateTime<Utc>) -> DateTime<Utc> {
    now + LEASE + SKEW_MAX
}

/// A response as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredResponse {
    /// The HTTP status, from 200 to 499.
    pub(crate) status: u16,
    /// The header `Location`.
    pub(crate) location: Option<String>,
    /// JSON: of a success its body, of an error what its body is made from.
    pub(crate) body: String,
}

/// A key to be claimed, with the booking that is made under it, if it is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) key: &'a IdempotencyKey,
    /// The booking, which is committed together with the claim.
    pub(crate) booking_id: Option<BookingId>,
}

/// What is known of the key, unless it is older than 24 hours, and whether its caller may use
/// another. One round trip.
pub(crate) async fn find(
    db: &mut Connection,
    key: &IdempotencyKey,
    now: DateTime<Utc>,
) -> Result<Known> {
    let row = sqlx::query!(
        // The caller's other keys are counted only where this one is new.
        r#"select known.request_hash as "request_hash?",
                  known.booking_id as "booking_id?: BookingId",
                  known.locked_until as "locked_until?", known.response_status,
                  known.response_location, known.response_body,
                  case when known.key is null then (
                    select min(created_at)
                    from (
                      select created_at
                      from idempotency_keys
                      where caller = $1 and created_at > $3
                      limit $4
                    ) as others
                    having count(*) >= $4
                  ) end as full_since
           from (select) as nothing
           left join idempotency_keys as known
             on known.caller = $1 and known.key = $2 and known.created_at > $3"#,
        key.caller,
        key.value,
        now - AGE_MAX,
        KEYS_PER_CALLER_MAX,
    )
    .fetch_one(db)
    .await?;
    let Some((request_hash, locked_until)) = row.request_hash.zip(row.locked_until) else {
        let free_again = row.full_since.map(|since| since + AGE_MAX);
        return Ok(free_again.map_or(Known::Nothing, Known::TooMany));
    };
    Ok(Known::Entry(Entry {
        request_hash,
        booking_id: row.booking_id,
        locked_until,
        response: row
            .response_status
            .zip(row.response_body)
            .map(|(status, body)| StoredResponse {
                status: u16::try_from(status).unwrap_or_default(),
                location: row.response_location,
                body,
            }),
    }))
}

/// Claims keys, each named once, that are new, older than 24 hours, or whose holders have died
/// before they were done. Returns of each, in their order, whether it was claimed: another request
/// holds the others or is done with them. Waits for a transaction that is just claiming one of
/// them.
pub(crate) async fn claim(
    db: &mut Connection,
    claims: &[Claim<'_>],
    now: DateTime<Utc>,
) -> Result<Vec<bool>> {
    let claimed = sqlx::query!(
        "insert into idempotency_keys (caller, key, request_hash, booking_id, locked_until,
                                       created_at)
         select caller, key, request_hash, booking_id, $6, $5
         from unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[])
           as used (caller, key, request_hash, booking_id)
         order by caller, key
         on conflict (caller, key) do update
         set request_hash = excluded.request_hash,
             booking_id = excluded.booking_id,
             locked_until = excluded.locked_until,
             response_status = null,
             response_location = null,
             response_body = null,
             created_at = excluded.created_at
         where idempotency_keys.created_at <= $7
            or (idempotency_keys.response_status is null
                and (idempotency_keys.locked_until <= $5 or idempotency_keys.locked_until > $8)
                and idempotency_keys.request_hash = excluded.request_hash)
         returning caller, key",
        &claims.column(|claim| claim.key.caller.as_str()) as _,
        &claims.column(|claim| claim.key.value.as_str()) as _,
        &claims.column(|claim| claim.key.request_hash.as_slice()) as _,
        &claims.column(|claim| claim.booking_id) as _,
        now,
        now + LEASE,
        now - AGE_MAX,
        latest_lock(now),
    )
    .fetch_all(db)
    .await?;
    let claimed: HashSet<(&str, &str)> = claimed
        .iter()
        .map(|row| (row.caller.as_str(), row.key.as_str()))
        .collect();
    Ok(claims.column(|claim| claimed.contains(&(&claim.key.caller, &claim.key.value))))
}

/// Stores the first response of a key that this request has claimed; one that is stored stays.
pub(crate) async fn store(
    db: &mut Connection,
    key: &IdempotencyKey,
    response: &StoredResponse,
) -> Result<()> {
    sqlx::query!(
        "update idempotency_keys
         set response_status = $4, response_location = $5, response_body = $6
         where caller = $1 and key = $2 and request_hash = $3 and response_status is null",
        key.caller,
        key.value,
        key.request_hash,
        i16::try_from(response.status).unwrap_or_default(),
        response.location,
        response.body,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Lets the next request with this key go on at once: this one has failed, and its response is not
/// stored.
pub(crate) async fn unlock(
    db: &mut Connection,
    key: &IdempotencyKey,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query!(
        "update idempotency_keys
         set locked_until = $3
         where caller = $1 and key = $2 and response_status is null",
        key.caller,
        key.value,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets the oldest of the keys that do not count any more.
pub(crate) async fn forget(db: &mut Connection, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "delete from idempotency_keys
         where (caller, key) in (
           select caller, key
           from idempotency_keys
           where created_at <= $1
           order by created_at
           limit $2
         )",
        now - AGE_MAX,
        FORGET_MAX,
    )
    .execute(db)
    .await?;
    Ok(())
}
