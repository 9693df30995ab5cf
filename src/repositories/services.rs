//! Services, their resources, and what of their time is taken.

use std::ops::Range;

use chrono::{DateTime, NaiveTime, Utc};
use sqlx::postgres::types::PgRange;

use super::StoredPolicy;
use crate::connection::Connection;
use crate::domain::booking::ResourceId;
use crate::domain::catalogue::Service;
use crate::domain::ids::ServiceId;
use crate::domain::money::Money;
use crate::domain::timetable::{Resource, TakenTime};
use crate::error::{Error, Result};

/// The constraint that no two services have one slug.
pub const SLUG_KEY: &str = "services_slug_key";

/// Stores a new service with its resources.
pub async fn insert(db: &mut Connection, service: &Service, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!(
        "with service as (
           insert into services (id, slug, title, description, timezone, opens_at, closes_at,
                                 currency, hour_price_minor, deposit_percent, min_hours, max_hours,
                                 buffer_minutes, lead_minutes, horizon_days, cancellation_policy,
                                 created_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
         )
         insert into service_resources (service_id, name, position)
         select $1, name, position
         from unnest($18::text[]) with ordinality as resource (name, position)
         order by position",
        service.id as _,
        service.slug,
        service.title,
        service.description,
        service.timezone.name(),
        service.opens_at,
        service.closes_at,
        service.price_per_hour.currency.as_str(),
        service.price_per_hour.amount_minor,
        stored(service.deposit_percent),
        stored(service.min_hours),
        stored(service.max_hours),
        stored(service.buffer_minutes),
        stored(service.lead_minutes),
        stored(service.horizon_days),
        StoredPolicy::from(service.cancellation_policy.as_slice()) as _,
        now,
        &service.resources,
    )
    .execute(db)
    .await?;
    Ok(())
}

fn stored(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

struct Row {
    id: ServiceId,
    slug: String,
    title: String,
    description: Option<String>,
    timezone: String,
    opens_at: NaiveTime,
    closes_at: NaiveTime,
    currency: String,
    hour_price_minor: i64,
    deposit_percent: i32,
    min_hours: i32,
    max_hours: i32,
    buffer_minutes: i32,
    lead_minutes: i32,
    horizon_days: i32,
    cancellation_policy: StoredPolicy,
    resources: Vec<String>,
}

/// Services with their resources, as the given end of the query chooses them.
macro_rules! found {
    ($which:literal, $($argument:expr),*) => {
        sqlx::query_as!(
            Row,
            r#"select id as "id: _", slug, title, description, timezone, opens_at, closes_at,
                      currency, hour_price_minor, deposit_percent, min_hours, max_hours,
                      buffer_minutes, lead_minutes, horizon_days,
                      cancellation_policy as "cancellation_policy: _",
                      array(
                        select name from service_resources
                        where service_id = services.id order by position
                      ) as "resources!"
               from services
               "# + $which,
            $($argument),*
        )
    };
}

/// Services in the order of their slugs, after this one, at most `limit`.
pub async fn list(db: &mut Connection, after: Option<&str>, limit: i64) -> Result<Vec<Service>> {
    let rows = found!(
        "where slug > coalesce($1, '') order by slug limit $2",
        after,
        limit
    );
    rows.fetch_all(db)
        .await?
        .into_iter()
        .map(Service::try_from)
        .collect()
}

/// The service that is called so, if there is one.
pub async fn find_by_slug(db: &mut Connection, slug: &str) -> Result<Option<Service>> {
    let row = found!("where slug = $1", slug).fetch_optional(db).await?;
    row.map(Service::try_from).transpose()
}

/// The service, if there is one.
pub async fn find(db: &mut Connection, id: ServiceId) -> Result<Option<Service>> {
    let row = found!("where id = $1", id as _).fetch_optional(db).await?;
    row.map(Service::try_from).transpose()
}

impl TryFrom<Row> for Service {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        let timezone = row.timezone.parse();
        let number = |stored: i32| u32::try_from(stored).unwrap_or_default();
        Ok(Self {
            id: row.id,
            slug: row.slug,
            title: row.title,
            description: row.description,
            timezone: timezone
                .map_err(|_| Error::Fault(format!("{} is no time zone", row.timezone)))?,
            price_per_hour: Money::new(row.hour_price_minor, currency),
            deposit_percent: number(row.deposit_percent),
            min_hours: number(row.min_hours),
            max_hours: number(row.max_hours),
            buffer_minutes: number(row.buffer_minutes),
            lead_minutes: number(row.lead_minutes),
            horizon_days: number(row.horizon_days),
            opens_at: row.opens_at,
            closes_at: row.closes_at,
            resources: row.resources,
            cancellation_policy: row.cancellation_policy.into(),
        })
    }
}

/// The resources of a service, in its order.
pub async fn resources(db: &mut Connection, id: ServiceId) -> Result<Vec<Resource>> {
    let resources = sqlx::query_as!(
        Resource,
        r#"select id as "id: _", name
           from service_resources
           where service_id = $1
           order by position"#,
        id as _,
    )
    .fetch_all(db)
    .await?;
    Ok(resources)
}

/// Locks the resources of a service, so that who wants a slot of it comes one after the other: two
/// who claim at once would each wait for the other's claim.
pub async fn lock(db: &mut Connection, id: ServiceId) -> Result<()> {
    sqlx::query!(
        "select from service_resources where service_id = $1 order by id for no key update",
        id as _,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What is taken of these resources between two instants.
pub async fn taken(
    db: &mut Connection,
    resources: &[Resource],
    during: Range<DateTime<Utc>>,
) -> Result<Vec<TakenTime>> {
    let ids: Vec<ResourceId> = resources.iter().map(|resource| resource.id).collect();
    let taken = sqlx::query_as!(
        TakenTime,
        r#"select claim.resource_id as "resource_id: _", lower(claim.during) as "starts_at!",
                  upper(claim.during) as "ends_at!"
           from unnest($1::int[]) as resource (id)
           join slot_claims as claim
             on int4range(claim.resource_id, claim.resource_id, '[]')
                  && int4range(resource.id, resource.id, '[]')
              and claim.during && $2::tstzrange"#,
        &ids as _,
        PgRange::from(during),
    )
    .fetch_all(db)
    .await?;
    Ok(taken)
}
