//! What must never be true of money and of events is refused by the database itself, whatever the
//! code does.

use crate::schema_harness::{
    SchemaHarness, attempt_as, booking_as, claim, expire, hold, id, payment, payment_as,
    priced_booking, sale, set,
};

/// A booking of two seats that is confirmed by its deposit of 10 euros, paid by the attempt `number
/// + 100`.
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

/// A capture in the ledger, from this account to that one.
fn transfer(number: u32, payment: u32, booking: u32, accounts: &str) -> String {
    let (id, booking, payment) = (id(number), id(booking), id(payment));
    format!(
        "insert into ledger_transfers (id, kind, debit, credit, amount_minor, currency, booking_id, payment_id,
                                       created_at)
         values ('{id}', 'capture', {accounts}, 1000, 'eur', '{booking}', '{payment}', now());"
    )
}

const CAPTURE: &str = "'stripe_balance', 'customer_payments'";

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
    schema.allows(&(known_later + "update payments set stripe_payment_intent_id = 'pi_102' where part = 'full' and stripe_payment_intent_id is null")).await;
}

#[tokio::test]
async fn a_booking_has_one_payable_attempt() {
    let schema = SchemaHarness::new().await;
    let payable = ["creating", "open", "processing"];
    let name = "checkout_attempts_one_payable";

    for (first, number) in payable.into_iter().zip(1..) {
        let seat = format!("S{number}");
        schema
            .allows(&(hold(number, &[&seat]) + &attempt_as(first, number + 100, number, "full")))
            .await;
        for second in payable {
            schema
                .refuses(name, &attempt_as(second, number + 200, number, "full"))
                .await;
        }
        schema
            .allows(&attempt_as("expired", number + 200, number, "full"))
            .await;
        let reopened = format!(
            "update checkout_attempts set status = 'open' where id = '{}'",
            id(number + 200)
        );
        schema.refuses(name, &reopened).await;
    }
}

#[tokio::test]
async fn an_attempt_that_stripe_knows_has_its_session() {
    let schema = SchemaHarness::new().await;
    schema.allows(&hold(1, &["S1"])).await;

    for status in ["open", "processing", "paid", "expired"] {
        let unknown = attempt_as(status, 101, 1, "full").replace("'cs_101'", "null");
        schema
            .refuses("checkout_attempts_known_to_stripe", &unknown)
            .await;
    }
}

#[tokio::test]
async fn one_session_is_paid_once() {
    let schema = SchemaHarness::new().await;
    schema.allows(&(sale(1, "S1") + &hold(2, &["S2"]))).await;
    let same_session = attempt_as("open", 102, 2, "full").replace("'cs_102'", "'cs_101'");
    let paid = |change: &str| {
        format!(
            "update checkout_attempts set {change} where id = '{}';",
            id(101)
        )
    };

    schema
        .refuses("checkout_attempts_session_key", &same_session)
        .await;
    let passed_on = paid("stripe_session_id = 'cs_other'") + &same_session;
    schema
        .refuses("checkout_attempts_paid_is_final", &passed_on)
        .await;
    schema
        .refuses("checkout_attempts_paid_is_final", &paid("status = 'open'"))
        .await;
    schema
        .refuses("checkout_attempts_paid_is_final", &paid("amount_minor = 1"))
        .await;
    let again = |number: u32, money: &str| {
        payment_as(101, 1, "full", money).replacen(&id(101), &id(number), 1)
    };
    let applied = again(901, "'pi_other', 1000, 'eur', 'applied', null");
    schema.refuses("payments_one_per_attempt", &applied).await;
    let unnamed = |number| again(number, "null, 1000, 'eur', 'surplus', 'already_paid'");
    schema
        .refuses(
            "payments_one_unnamed_per_attempt",
            &(unnamed(902) + &unnamed(903)),
        )
        .await;

    // A second PaymentIntent of the attempt is money that came, and is not owed.
    schema
        .allows(&again(
            904,
            "'pi_other', 1000, 'eur', 'surplus', 'already_paid'",
        ))
        .await;
    schema
        .allows(&paid("url = null, stripe_session_id = stripe_session_id"))
        .await;
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

#[tokio::test]
async fn the_ledger_is_only_added_to() {
    let schema = SchemaHarness::new().await;
    schema
        .allows(&(sale(1, "S1") + &transfer(1, 101, 1, CAPTURE)))
        .await;
    let name = "ledger_transfers_append_only";

    schema
        .refuses(name, "update ledger_transfers set amount_minor = 1")
        .await;
    schema.refuses(name, "delete from ledger_transfers").await;
    schema.refuses(name, "truncate ledger_transfers").await;
    schema
        .refuses("bookings_live_has_seats", "truncate bookings cascade")
        .await;
}

#[tokio::test]
async fn a_transfer_goes_between_two_accounts_and_books_a_capture_once() {
    let schema = SchemaHarness::new().await;
    schema
        .allows(&(sale(1, "S1") + &transfer(1, 101, 1, CAPTURE)))
        .await;

    schema
        .refuses(
            "ledger_transfers_one_capture",
            &transfer(2, 101, 1, CAPTURE),
        )
        .await;
    let to_itself = transfer(2, 101, 1, "'stripe_balance', 'stripe_balance'");
    schema
        .refuses("ledger_transfers_two_accounts", &to_itself)
        .await;
    schema
        .refuses(
            "ledger_transfers_debit_check",
            &transfer(2, 101, 1, "'pocket', 'customer_payments'"),
        )
        .await;
    schema
        .refuses(
            "ledger_transfers_credit_check",
            &transfer(2, 101, 1, "'stripe_balance', 'pocket'"),
        )
        .await;
}

#[tokio::test]
async fn a_transfer_books_the_money_of_its_payment() {
    let schema = SchemaHarness::new().await;
    schema.allows(&(sale(1, "S1") + &sale(2, "S2"))).await;
    let name = "ledger_transfers_of_payment";

    schema.refuses(name, &transfer(1, 101, 2, CAPTURE)).await;
    schema
        .refuses(
            name,
            &transfer(1, 101, 1, CAPTURE).replace("'eur'", "'usd'"),
        )
        .await;
}

#[tokio::test]
async fn no_amount_is_negative_and_no_transfer_is_nothing() {
    let schema = SchemaHarness::new().await;
    schema.allows(&(sale(1, "S1") + &hold(2, &["S2"]))).await;
    let negative = |sql: String| sql.replace("1000", "-1000");

    let price = priced_booking("expired", 3, &["S3"], "'full', -1, -1, 0");
    assert!(schema.run(&price).await.is_err());
    schema
        .refuses("bookings_paid_within_total", &set(2, "paid_minor = -1"))
        .await;
    schema
        .refuses(
            "checkout_attempts_amount_minor_check",
            &negative(attempt_as("open", 102, 2, "full")),
        )
        .await;
    let attempt = attempt_as("paid", 102, 2, "full");
    schema
        .refuses(
            "payments_amount_minor_check",
            &(attempt + &negative(payment(102, 2, "full"))),
        )
        .await;
    let moved = transfer(1, 101, 1, CAPTURE);
    schema
        .refuses(
            "ledger_transfers_amount_minor_check",
            &negative(moved.clone()),
        )
        .await;
    schema
        .refuses(
            "ledger_transfers_amount_minor_check",
            &moved.replace("1000", "0"),
        )
        .await;
}

#[tokio::test]
async fn an_event_is_stored_once_and_settled_at_a_time() {
    let schema = SchemaHarness::new().await;
    let event = |number: u32, status: &str, processed_at: &str| {
        format!(
            "insert into payment_events (id, type, livemode, stripe_created_at, payload, status, received_at,
                                         processed_at)
             values ('evt_{number}', 'checkout.session.completed', false, now(), '', '{status}', now(), {processed_at})"
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
            "insert into idempotency_keys (caller, key, request_hash, locked_until, created_at, response_status,
                                           response_location, response_body)
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
