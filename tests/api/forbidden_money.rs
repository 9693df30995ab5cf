//! What must never be true of money is refused by the database itself, whatever the code does.

use crate::schema_harness::{
    SchemaHarness, attempt_as, booking_as, claim, expire, hold, id, payment, payment_as,
    priced_booking, sale, set,
};

/// A booking of two seats that is confirmed by its deposit of 10 euros, paid by the attempt
/// `number + 100`.
fn deposit(number: u32, seats: [&str; 2]) -> String {
    let attempt = number + 100;
    [
        priced_booking("pending", number, &seats, "'half', 2000, 1000, 0"),
        claim(number, seats[0]),
        claim(number, seats[1]),
        attempt_as("paid", attempt, number, "deposit"),
        payment(attempt, number, "deposit"),
        set(number, "status = 'confirmed', paid_minor = 1000"),
    ]
    .concat()
}

/// A payment like any other that is not owed.
fn surplus(attempt: u32, booking: u32, part: &str) -> String {
    payment_as(
        attempt,
        booking,
        part,
        &format!("'pi_{attempt}', 1000, 'eur', 'surplus', 'already_paid'"),
    )
}

#[tokio::test]
async fn nothing_is_confirmed_without_the_money_that_is_due() {
    let schema = SchemaHarness::new().await;
    schema
        .allows(&(hold(1, &["S1"]) + &attempt_as("open", 101, 1, "full")))
        .await;
    let confirm = set(1, "status = 'confirmed', paid_minor = 1000");

    schema
        .refuses(
            "bookings_confirmed_is_paid",
            &set(1, "status = 'confirmed'"),
        )
        .await;
    schema
        .refuses(
            "bookings_confirmed_is_paid",
            &set(1, "status = 'confirmed', paid_minor = 999"),
        )
        .await;
    schema.refuses("bookings_paid_is_payments", &confirm).await;
    schema
        .refuses(
            "bookings_paid_is_payments",
            &(surplus(101, 1, "full") + &confirm),
        )
        .await;
    schema
        .refuses(
            "bookings_sale_is_final",
            &set(1, "status = 'confirmed', due_minor = 0"),
        )
        .await;
    let unpaid = booking_as("confirmed", 2, &["S2"], 1_000);
    schema
        .refuses("bookings_confirmed_is_paid", &(unpaid + &claim(2, "S2")))
        .await;
    let made_up = priced_booking("confirmed", 2, &["S2"], "'full', 1000, 1000, 1000");
    schema
        .refuses("bookings_paid_is_payments", &(made_up + &claim(2, "S2")))
        .await;

    schema.allows(&(payment(101, 1, "full") + &confirm)).await;
}

#[tokio::test]
async fn what_is_due_is_the_whole_or_a_deposit_that_is_something() {
    let schema = SchemaHarness::new().await;
    let priced = |price: &str| priced_booking("expired", 1, &["S1"], price);

    schema
        .refuses("bookings_due_is_priced", &priced("'full', 1000, 999, 0"))
        .await;
    schema
        .refuses("bookings_due_is_priced", &priced("'half', 1000, 0, 0"))
        .await;
    schema
        .refuses(
            "bookings_due_within_total",
            &priced("'half', 1000, 1001, 0"),
        )
        .await;
    schema
        .refuses(
            "bookings_paid_within_total",
            &priced("'full', 1000, 1000, 1001"),
        )
        .await;

    schema.allows(&priced("'half', 1000, 500, 0")).await;
}

#[tokio::test]
async fn the_sum_on_a_booking_never_drifts_from_its_payments() {
    let schema = SchemaHarness::new().await;
    schema
        .allows(&(sale(1, "S1") + &deposit(2, ["S2", "S3"])))
        .await;
    schema
        .allows(&(attempt_as("paid", 103, 2, "balance") + &attempt_as("paid", 104, 2, "full")))
        .await;
    let name = "bookings_paid_is_payments";
    let paid = |change: &str| format!("update payments set {change} where id = '{}'", id(102));

    schema.refuses(name, &set(2, "paid_minor = 2000")).await;
    schema.refuses(name, &set(2, "paid_minor = 1001")).await;
    schema.refuses(name, &payment(103, 2, "balance")).await;
    schema
        .refuses(
            name,
            &paid("disposition = 'surplus', surplus_reason = 'already_paid'"),
        )
        .await;
    let in_dollars = payment_as(103, 2, "balance", "'pi_103', 1000, 'usd', 'applied', null");
    schema
        .refuses(name, &(in_dollars + &set(2, "paid_minor = 2000")))
        .await;
    schema
        .refuses("bookings_sale_is_final", &set(2, "currency = 'usd'"))
        .await;
    schema
        .refuses("bookings_paid_within_total", &set(1, "paid_minor = 2000"))
        .await;

    schema.allows(&surplus(104, 2, "full")).await;
    schema
        .allows(&(payment(103, 2, "balance") + &set(2, "paid_minor = 2000")))
        .await;
}

#[tokio::test]
async fn a_capture_is_never_rewritten_or_forgotten() {
    let schema = SchemaHarness::new().await;
    schema
        .allows(&(sale(1, "S1") + &attempt_as("paid", 201, 1, "full") + &surplus(201, 1, "full")))
        .await;
    schema
        .allows(&(hold(2, &["S2"]) + &attempt_as("paid", 102, 2, "full")))
        .await;
    let name = "payments_capture_is_final";
    let in_step = [
        ("amount_minor = 999", "paid_minor = 999"),
        ("currency = 'usd'", "paid_minor = 0"),
        (
            "captured_at = now() - interval '1 day'",
            "paid_minor = 1000",
        ),
        ("part = 'balance'", "paid_minor = 1000"),
        ("stripe_payment_intent_id = null", "paid_minor = 1000"),
        ("stripe_payment_intent_id = 'pi_other'", "paid_minor = 1000"),
    ];

    for (change, booking) in in_step {
        let change = format!("update payments set {change} where id = '{}';", id(101));
        schema.refuses(name, &(change + &set(1, booking))).await;
    }
    let moved = format!(
        "update payments set attempt_id = '{}', booking_id = '{}'",
        id(102),
        id(2)
    );
    schema
        .refuses(name, &format!("{moved} where id = '{}'", id(101)))
        .await;
    for payment in [101, 201] {
        schema
            .refuses(
                name,
                &format!("delete from payments where id = '{}'", id(payment)),
            )
            .await;
    }
    schema.refuses(name, "truncate payments cascade").await;
    let known_later = payment_as(
        102,
        2,
        "full",
        "null, 1000, 'eur', 'surplus', 'late_payment'",
    );
    let known = "update payments set stripe_payment_intent_id = 'pi_102'
                 where part = 'full' and stripe_payment_intent_id is null";
    schema.allows(&(known_later + known)).await;
}

#[tokio::test]
async fn one_payment_intent_is_applied_once() {
    let schema = SchemaHarness::new().await;
    schema
        .allows(&(sale(1, "S1") + &hold(2, &["S2"]) + &attempt_as("paid", 102, 2, "full")))
        .await;

    let same_intent = payment_as(
        102,
        2,
        "full",
        "'pi_101', 1000, 'eur', 'surplus', 'mismatch'",
    );
    schema
        .refuses("payments_payment_intent_key", &same_intent)
        .await;
    let same_of_attempt = "update checkout_attempts set stripe_payment_intent_id = 'pi_same'";
    schema
        .refuses("checkout_attempts_payment_intent_key", same_of_attempt)
        .await;
}

#[tokio::test]
async fn a_part_is_paid_once_and_the_whole_excludes_the_deposit() {
    let schema = SchemaHarness::new().await;
    schema
        .allows(&(sale(1, "S1") + &deposit(2, ["S2", "S3"])))
        .await;
    let second = |booking: u32, part: &str| {
        let attempt = booking + 200;
        attempt_as("paid", attempt, booking, part)
            + &payment(attempt, booking, part)
            + &set(booking, "paid_minor = 2000")
    };

    schema
        .refuses("bookings_paid_within_total", &second(1, "balance"))
        .await;
    for part in ["full", "deposit"] {
        schema
            .refuses("payments_one_per_part", &second(1, part))
            .await;
        schema
            .refuses("payments_one_per_part", &second(2, part))
            .await;
    }
    schema.allows(&second(2, "balance")).await;
    let third = attempt_as("paid", 302, 2, "balance") + &payment(302, 2, "balance");
    schema.refuses("payments_one_per_part", &third).await;
}

#[tokio::test]
async fn a_payment_belongs_to_the_booking_and_the_part_of_its_attempt() {
    let schema = SchemaHarness::new().await;
    let attempts = attempt_as("paid", 101, 1, "full") + &attempt_as("paid", 102, 2, "full");
    schema
        .allows(&(hold(1, &["S1"]) + &hold(2, &["S2"]) + &attempts))
        .await;
    let confirm = set(2, "status = 'confirmed', paid_minor = 1000");

    schema
        .refuses(
            "payments_attempt_of_booking",
            &(payment(101, 2, "full") + &confirm),
        )
        .await;
    schema
        .refuses(
            "payments_attempt_of_booking",
            &(payment(102, 2, "balance") + &confirm),
        )
        .await;
    schema
        .refuses(
            "payments_attempt_of_booking",
            &(payment(999, 2, "full") + &confirm),
        )
        .await;

    schema.allows(&(payment(102, 2, "full") + &confirm)).await;
}

#[tokio::test]
async fn surplus_has_a_reason_and_what_is_applied_has_none() {
    let schema = SchemaHarness::new().await;
    schema
        .allows(&(sale(1, "S1") + &attempt_as("paid", 201, 1, "full")))
        .await;
    let money = |rest: &str| payment_as(201, 1, "full", &format!("'pi_201', 1000, 'eur', {rest}"));

    schema
        .refuses("payments_surplus_has_reason", &money("'surplus', null"))
        .await;
    schema
        .refuses(
            "payments_surplus_has_reason",
            &money("'applied', 'already_paid'"),
        )
        .await;
    schema.allows(&money("'surplus', 'already_paid'")).await;
}

#[tokio::test]
async fn a_late_payment_confirms_nothing_whose_seats_are_gone() {
    let schema = SchemaHarness::new().await;
    schema
        .allows(&(hold(1, &["S1"]) + &attempt_as("open", 101, 1, "full")))
        .await;
    schema.allows(&(expire(1) + &hold(2, &["S1"]))).await;
    let late = payment(101, 1, "full") + &set(1, "status = 'confirmed', paid_minor = 1000");

    schema.refuses("bookings_live_has_seats", &late).await;
    schema
        .refuses("seat_claims_pkey", &(late.clone() + &claim(1, "S1")))
        .await;
    schema.allows(&surplus(101, 1, "full")).await;
}
