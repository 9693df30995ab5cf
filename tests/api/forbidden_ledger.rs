//! What must never be true of the ledger is refused by the database itself, whatever the code does.

use crate::schema_harness::{
    SchemaHarness, attempt_as, hold, id, payment, priced_booking, sale, set,
};

/// A capture in the ledger, from this account to that one.
fn transfer(number: u32, payment: u32, booking: u32, accounts: &str) -> String {
    let (id, booking, payment) = (id(number), id(booking), id(payment));
    format!(
        "insert into ledger_transfers (id, kind, debit, credit, amount_minor, currency, booking_id,
                                       payment_id, created_at)
         values ('{id}', 'capture', {accounts}, 1000, 'eur', '{booking}', '{payment}', now());"
    )
}

const CAPTURE: &str = "'stripe_balance', 'customer_payments'";

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
