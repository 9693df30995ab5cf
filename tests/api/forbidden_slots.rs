//! What must never be true of slots is refused by the database itself, whatever the code does.

use crate::schema_harness::{SchemaHarness, hold, id, set};

const SERVICE: u32 = 900;

/// A database with one service, whose resources have the numbers 1 and 2.
async fn schema() -> SchemaHarness {
    let schema = SchemaHarness::new().await;
    let service = id(SERVICE);
    schema
        .allows(&format!(
            "insert into services (id, slug, title, timezone, opens_at, closes_at, currency,
                                   hour_price_minor, deposit_percent, min_hours, max_hours,
                                   buffer_minutes, lead_minutes, horizon_days,
                                   cancellation_policy, created_at)
             values ('{service}', 'care', 'Care', 'UTC', '09:00', '21:00', 'eur', 1000, 50, 1, 8,
                     0, 0, 365, '[]', now());
             insert into service_resources (service_id, name, position)
             values ('{service}', 'one', 1), ('{service}', 'two', 2)"
        ))
        .await;
    schema
}

fn booking(number: u32, resource: u32, hour: u32) -> String {
    format!(
        "insert into bookings (id, reference, user_id, kind, seats, service_id, resource_id,
                               slot_starts_at, slot_ends_at, status, currency, total_minor,
                               due_minor, cancellation_policy, hold_expires_at, created_at,
                               updated_at)
         values ('{}', 'HF-' || lpad('{number}', 6, '0'), 'user_1', 'service', '{{}}', '{}',
                 {resource}, '2026-12-01T{hour}:00Z', '2026-12-01T{}:00Z', 'pending', 'eur', 1000,
                 1000, '[]', now(), now(), now());",
        id(number),
        id(SERVICE),
        hour + 1
    )
}

fn claim(number: u32, resource: u32, from: &str, to: &str) -> String {
    format!(
        "insert into slot_claims (booking_id, service_id, resource_id, during)
         values ('{}', '{}', {resource}, tstzrange('2026-12-01T{from}Z', '2026-12-01T{to}Z'));",
        id(number),
        id(SERVICE)
    )
}

#[tokio::test]
async fn two_claims_of_one_resource_never_overlap() {
    let schema = schema().await;
    schema
        .allows(&(booking(1, 1, 10) + &claim(1, 1, "10:00", "11:30")))
        .await;

    schema
        .refuses(
            "slot_claims_no_overlap",
            &(booking(2, 1, 11) + &claim(2, 1, "11:00", "12:00")),
        )
        .await;
    schema
        .allows(&(booking(2, 2, 11) + &claim(2, 2, "11:00", "12:00")))
        .await;
    schema
        .allows(&(booking(3, 1, 12) + &claim(3, 1, "12:00", "13:00")))
        .await;
}

#[tokio::test]
async fn a_booking_holds_exactly_its_slot_as_long_as_it_is_live() {
    let schema = schema().await;
    let has_slot = "bookings_live_has_slot";

    schema.refuses(has_slot, &booking(1, 1, 10)).await;
    for other in [
        claim(1, 2, "10:00", "11:00"),
        claim(1, 1, "10:01", "11:00"),
        claim(1, 1, "10:00", "10:59"),
    ] {
        schema
            .refuses(has_slot, &(booking(1, 1, 10) + &other))
            .await;
    }
    schema
        .allows(&(booking(1, 1, 10) + &claim(1, 1, "10:00", "11:00")))
        .await;
    schema.refuses(has_slot, "delete from slot_claims").await;
    schema.refuses(has_slot, "truncate slot_claims").await;
    schema
        .refuses(has_slot, &set(1, "status = 'expired'"))
        .await;
    schema
        .refuses(
            has_slot,
            &(hold(2, &["S1"]) + &claim(2, 2, "10:00", "11:00")),
        )
        .await;
    schema
        .allows(&("delete from slot_claims;".to_owned() + &set(1, "status = 'expired'")))
        .await;
}

#[tokio::test]
async fn a_slot_that_was_sold_is_not_rewritten_and_one_of_nothing_is_none() {
    let schema = schema().await;
    schema
        .allows(&(booking(1, 1, 10) + &claim(1, 1, "10:00", "12:00")))
        .await;

    schema
        .refuses(
            "bookings_sale_is_final",
            &set(1, "slot_ends_at = '2026-12-01T12:00Z'"),
        )
        .await;
    schema
        .refuses("bookings_live_has_slot", &set(1, "resource_id = 2"))
        .await;
    let without = booking(2, 1, 13).replace("'service', '{}'", "'service', '{S1}'");
    schema.refuses("bookings_service_has_slot", &without).await;
    schema
        .refuses(
            "slot_claims_resource_of_service",
            &(booking(2, 77, 13) + &claim(2, 77, "13:00", "14:00")),
        )
        .await;
}
