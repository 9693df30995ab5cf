//! What must never be true of events, kept responses and discrepancies is refused by the database
//! itself, whatever the code does.

use crate::schema_harness::SchemaHarness;

#[tokio::test]
async fn an_event_is_stored_once_and_settled_at_a_time() {
    let schema = SchemaHarness::new().await;
    let event = |number: u32, status: &str, processed_at: &str| {
        format!(
            "insert into payment_events (id, type, livemode, stripe_created_at, payload, status,
                                         received_at, processed_at)
             values ('evt_{number}', 'checkout.session.completed', false, now(), '', '{status}',
                     now(), {processed_at})"
        )
    };
    schema.allows(&event(1, "received", "null")).await;

    schema
        .refuses("payment_events_pkey", &event(1, "processed", "now()"))
        .await;
    for settled in ["processed", "ignored"] {
        schema
            .refuses(
                "payment_events_settled_has_time",
                &event(2, settled, "null"),
            )
            .await;
        let marked = format!("update payment_events set status = '{settled}'");
        schema
            .refuses("payment_events_settled_has_time", &marked)
            .await;
    }
    for open in ["received", "deferred", "failed"] {
        schema
            .refuses("payment_events_settled_has_time", &event(2, open, "now()"))
            .await;
    }
}

#[tokio::test]
async fn an_answer_is_kept_whole_or_not_at_all() {
    let schema = SchemaHarness::new().await;
    let entry = |answer: &str| {
        format!(
            "insert into idempotency_keys (caller, key, request_hash, locked_until, created_at,
                                           response_status, response_location, response_body)
             values ('user_1', 'key', '', now(), now(), {answer})"
        )
    };
    let name = "idempotency_keys_answer_is_whole";

    schema.refuses(name, &entry("201, null, null")).await;
    schema.refuses(name, &entry("null, null, '{}'")).await;
    schema
        .refuses(name, &entry("null, '/api/bookings/1', null"))
        .await;
    schema
        .refuses(
            "idempotency_keys_response_status_check",
            &entry("500, null, '{}'"),
        )
        .await;

    schema.allows(&entry("201, '/api/bookings/1', '{}'")).await;
    schema
        .refuses("idempotency_keys_pkey", &entry("null, null, null"))
        .await;
}

#[tokio::test]
async fn a_difference_is_open_once() {
    let schema = SchemaHarness::new().await;
    let found = "insert into discrepancies (id, kind, subject, ours, theirs, found_at)
                 values (gen_random_uuid(), 'amount_mismatch', 'evt_1', '{}', '{}', now());";
    schema.allows(found).await;

    schema.refuses("discrepancies_one_open", found).await;
    schema
        .allows(&format!(
            "update discrepancies set status = 'healed'; {found}"
        ))
        .await;
}
