//! What must never be true of bookings and seats is refused by the database itself, whatever the
//! code does.

use std::sync::Arc;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::schema_harness::{
    SchemaHarness, attempt_as, booking_as, claim, expire, hold, id, payment, release, sale, set,
};

const STATES: [&str; 7] = [
    "pending",
    "processing",
    "confirmed",
    "expired",
    "cancelled",
    "failed",
    "review",
];

/// Every move that a booking may make.
const LEGAL_MOVES: [(&str, &[&str]); 7] = [
    (
        "pending",
        &[
            "processing",
            "confirmed",
            "expired",
            "cancelled",
            "failed",
            "review",
        ],
    ),
    (
        "processing",
        &["confirmed", "failed", "cancelled", "review"],
    ),
    ("confirmed", &["cancelled", "review"]),
    ("expired", &["confirmed", "review"]),
    ("failed", &["confirmed", "review"]),
    ("cancelled", &["review"]),
    ("review", &["confirmed", "cancelled"]),
];

#[tokio::test]
async fn what_was_sold_is_never_rewritten() {
    let schema = SchemaHarness::new().await;
    schema.allows(&(hold(1, &["S1"]) + &sale(2, "S2"))).await;
    let changes = [
        "seats = '{S3}'",
        "show_id = gen_random_uuid()",
        "kind = 'service', show_id = null",
        "currency = 'usd'",
        "total_minor = 1, due_minor = 1",
        "payment_option = 'half', due_minor = 1",
        "cancellation_policy = '[1]'",
        "id = gen_random_uuid()",
    ];

    for change in changes {
        for booking in [1, 2] {
            schema
                .refuses("bookings_sale_is_final", &set(booking, change))
                .await;
        }
    }
    schema
        .allows(&set(
            1,
            "seats = seats, currency = currency, updated_at = now()",
        ))
        .await;
}

#[tokio::test]
async fn a_hold_has_an_end() {
    let schema = SchemaHarness::new().await;
    schema.allows(&hold(1, &["S1"])).await;

    schema
        .refuses("bookings_hold_has_end", &set(1, "hold_expires_at = null"))
        .await;
    schema
        .refuses(
            "bookings_hold_has_end",
            &set(1, "status = 'processing', hold_expires_at = null"),
        )
        .await;
    schema
        .refuses(
            "bookings_confirmed_has_time",
            &(sale(2, "S2") + &set(2, "confirmed_at = null")),
        )
        .await;
}

#[tokio::test]
async fn a_booking_makes_no_move_that_is_not_in_the_table() {
    let schema = SchemaHarness::new().await;
    let pairs = STATES
        .iter()
        .flat_map(|from| STATES.iter().map(move |to| (*from, *to)));

    for ((from, to), number) in pairs.zip(1..) {
        let seat = format!("S{number}");
        let is_live = |state: &str| STATES[..3].contains(&state) || state == "review";
        let (was_live, will_live) = (is_live(from), is_live(to));
        let claimed = claim(number, &seat);
        let before = booking_as(from, number, &[&seat], 0) + if was_live { &claimed } else { "" };
        let freed = if was_live && !will_live {
            release(number)
        } else {
            String::new()
        };
        let step = freed + &set(number, &format!("status = '{to}'"));
        let step = step + if will_live && !was_live { &claimed } else { "" };
        let legal = LEGAL_MOVES
            .iter()
            .any(|(start, ends)| *start == from && ends.contains(&to));
        schema.allows(&before).await;

        if legal || from == to {
            schema.allows(&step).await;
        } else {
            schema.refuses("bookings_legal_move", &step).await;
        }
        let state = format!(
            "bookings where id = '{}' and status = '{}'",
            id(number),
            if legal { to } else { from }
        );
        assert_eq!(schema.count(&state).await, 1, "{from} to {to}");
    }
}

#[tokio::test]
async fn every_change_of_a_booking_is_a_new_version() {
    let schema = SchemaHarness::new().await;
    schema.allows(&hold(1, &["S1"])).await;

    schema.allows(&set(1, "updated_at = now()")).await;
    schema.allows(&set(1, "version = 1")).await;

    assert_eq!(schema.count("bookings where version = 3").await, 1);
}

/// What the database must never hold of the bookings that were fought over.
const FORBIDDEN: &str = "bookings b
    where b.live <> exists (select from seat_claims c where c.booking_id = b.id)
    or (b.status = 'confirmed') <> exists (select from payments p where p.booking_id = b.id)
    or b.paid_minor <> (select coalesce(sum(p.amount_minor), 0)
                        from payments p where p.booking_id = b.id)
    or b.status not in ('confirmed', 'expired')";

/// Writers of each kind for each booking.
const WRITERS: usize = 2;

/// Code without any lock: all writers read the same status, and only then, all at once, do what
/// follows from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn careless_code_that_confirms_and_expires_the_same_bookings_at_once_does_no_harm() {
    let schema = SchemaHarness::new().await;
    let pool = PgPoolOptions::new()
        .max_connections(12)
        .connect_lazy_with(schema.options());
    let mut writers = JoinSet::new();
    for number in 1..=60 {
        let seat = format!("S{number}");
        schema
            .allows(&(hold(number, &[&seat]) + &attempt_as("open", number + 100, number, "full")))
            .await;
    }

    for number in 1..=60 {
        let confirm = payment(number + 100, number, "full")
            + &set(
                number,
                "status = 'confirmed', paid_minor = paid_minor + 1000",
            );
        let all_have_read = Arc::new(Barrier::new(2 * WRITERS));
        for plan in [confirm, expire(number)]
            .into_iter()
            .cycle()
            .take(2 * WRITERS)
        {
            let (pool, all_have_read) = (pool.clone(), Arc::clone(&all_have_read));
            writers.spawn(async move {
                let read = format!(
                    "select status::text from bookings where id = '{}'",
                    id(number)
                );
                let status: String = sqlx::query_scalar(AssertSqlSafe(read))
                    .fetch_one(&pool)
                    .await
                    .unwrap();
                all_have_read.wait().await;
                assert_eq!(status, "pending");
                let mut tx = pool.begin().await.unwrap();
                for statement in plan.split_inclusive(';') {
                    sqlx::raw_sql(AssertSqlSafe(statement))
                        .execute(&mut *tx)
                        .await?;
                }
                tx.commit().await
            });
        }
    }
    let outcomes = writers.join_all().await;

    assert_eq!(schema.count(FORBIDDEN).await, 0);
    let refused = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    assert!(
        (120..=180).contains(&refused),
        "{refused} of {} were refused",
        outcomes.len()
    );
}
