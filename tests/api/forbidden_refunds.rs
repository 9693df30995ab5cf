//! What must never be true of refunds, and of money that a person has accepted, is refused by the
//! database itself, whatever the code does.

use crate::schema_harness::{
    SchemaHarness, attempt_as, hold, id, payment_as, priced_booking, release, sale, set,
};

/// Inserts a refund of the payment 101 of the booking 1: its amount, currency, source, status,
/// refund of Stripe's, next look, and when it was settled.
fn refund(number: u32, rest: &str) -> String {
    refund_of(number, 1, rest)
}

fn refund_of(number: u32, booking: u32, rest: &str) -> String {
    let (id, payment, booking) = (id(number), id(101), id(booking));
    format!(
        "insert into refunds (id, payment_id, booking_id, reason, created_at, amount_minor,
                              currency, source, status, stripe_refund_id, next_look_at,
                              settled_at)
         values ('{id}', '{payment}', '{booking}', 'x', now(), {rest});"
    )
}

/// Books money of a refund of 10 euros.
fn booked(number: u32, kind: &str) -> String {
    let (transfer, refund, payment, booking) = (id(number + 1_000), id(number), id(101), id(1));
    let accounts = match kind {
        "refund" => "'customer_payments', 'stripe_balance'",
        _ => "'stripe_balance', 'customer_payments'",
    };
    // A refund is booked back under an id of its own.
    let transfer = if kind == "refund" {
        transfer
    } else {
        id(number + 2_000)
    };
    format!(
        "insert into ledger_transfers (id, kind, debit, credit, amount_minor, currency, booking_id,
                                       payment_id, refund_id, created_at)
         values ('{transfer}', '{kind}', {accounts}, 1000, 'eur', '{booking}', '{payment}',
                 '{refund}', now());"
    )
}

fn change(number: u32, change: &str) -> String {
    format!("update refunds set {change} where id = '{}';", id(number))
}

const REQUESTED: &str = "1000, 'eur', 'admin', 'requested', null, now(), null";
const PENDING: &str = "1000, 'eur', 'admin', 'pending', 're_1', now(), null";
const FAILED: &str = "status = 'failed', next_look_at = null, settled_at = now()";

#[tokio::test]
async fn a_refund_is_of_its_payment_and_known_to_stripe_once_it_has_left() {
    let schema = SchemaHarness::new().await;
    schema.allows(&(sale(1, "S1") + &sale(2, "S2"))).await;

    for (name, rest) in [
        (
            "refunds_of_payment",
            "1000, 'usd', 'admin', 'requested', null, now(), null",
        ),
        (
            "refunds_known_to_stripe",
            "1000, 'eur', 'admin', 'pending', null, now(), null",
        ),
        (
            "refunds_known_to_stripe",
            "1000, 'eur', 'dashboard', 'failed', null, null, now()",
        ),
        (
            "refunds_open_is_looked_at",
            "1000, 'eur', 'admin', 'requested', null, null, null",
        ),
        (
            "refunds_open_is_looked_at",
            "1000, 'eur', 'admin', 'failed', null, now(), now()",
        ),
        (
            "refunds_settled_has_time",
            "1000, 'eur', 'admin', 'failed', null, null, null",
        ),
        (
            "refunds_source_check",
            "1000, 'eur', 'nobody', 'requested', null, now(), null",
        ),
        (
            "refunds_within_capture",
            "1001, 'eur', 'admin', 'requested', null, now(), null",
        ),
    ] {
        schema.refuses(name, &refund(301, rest)).await;
    }
    schema
        .refuses("refunds_of_payment", &refund_of(301, 2, REQUESTED))
        .await;

    schema.allows(&refund(301, REQUESTED)).await;
    schema
        .refuses("refunds_within_capture", &refund(302, REQUESTED))
        .await;
}

#[tokio::test]
async fn a_refund_only_goes_forward_and_stays() {
    let schema = SchemaHarness::new().await;
    let made = refund(301, PENDING) + &booked(301, "refund");
    schema.allows(&(sale(1, "S1") + &made)).await;
    let name = "refunds_only_go_forward";

    for rewrite in [
        "status = 'requested'",
        "amount_minor = 999",
        "source = 'surplus'",
        "stripe_refund_id = 're_2'",
        "stripe_refund_id = null",
    ] {
        schema.refuses(name, &change(301, rewrite)).await;
    }
    schema.refuses(name, "delete from refunds").await;
    let back = change(301, FAILED) + &booked(301, "refund_reversal");
    schema.allows(&back).await;
    for again in ["status = 'canceled'", "status = 'succeeded'"] {
        schema.refuses(name, &change(301, again)).await;
    }
}

#[tokio::test]
async fn the_money_of_a_refund_is_booked_where_its_status_says() {
    let schema = SchemaHarness::new().await;
    schema.allows(&sale(1, "S1")).await;
    let name = "refunds_are_booked";

    schema.refuses(name, &refund(301, PENDING)).await;
    let not_gone = refund(301, REQUESTED) + &booked(301, "refund");
    schema.refuses(name, &not_gone).await;
    schema
        .allows(&(refund(301, PENDING) + &booked(301, "refund")))
        .await;
    schema.refuses(name, &change(301, FAILED)).await;
    schema.refuses(name, &booked(301, "refund_reversal")).await;
    let back = change(301, FAILED) + &booked(301, "refund_reversal");
    schema.allows(&back).await;
}

/// A booking of 10 euros that is under review, with this much kept for it.
fn review(amount: u32) -> String {
    let money = format!("'pi_101', {amount}, 'eur', 'surplus', 'mismatch'");
    [
        hold(1, &["S1"]),
        attempt_as("paid", 101, 1, "full"),
        payment_as(101, 1, "full", &money),
        set(1, "status = 'review'"),
    ]
    .concat()
}

#[tokio::test]
async fn nothing_goes_back_by_policy_of_what_was_not_cancelled() {
    let schema = SchemaHarness::new().await;
    schema.allows(&sale(1, "S1")).await;
    let by_policy = refund(401, "1000, 'eur', 'policy', 'requested', null, now(), null");
    let cancelled = release(1) + &set(1, "status = 'cancelled', cancelled_at = now()");

    schema
        .refuses("refunds_by_policy_of_cancelled", &by_policy)
        .await;
    schema.allows(&(cancelled + &by_policy)).await;
}

/// What was kept is applied to the booking.
const APPLIED: &str = "update payments set disposition = 'applied', surplus_reason = null;";

fn accepted(amount: u32) -> String {
    let (transfer, booking, payment) = (id(401), id(1), id(101));
    format!(
        "insert into ledger_transfers (id, kind, debit, credit, amount_minor, currency, booking_id,
                                       payment_id, created_at)
         values ('{transfer}', 'acceptance', 'customer_surplus', 'customer_payments', {amount},
                 'eur', '{booking}', '{payment}', now());"
    )
}

#[tokio::test]
async fn a_buyer_is_let_off_only_when_a_review_confirms_and_never_for_nothing() {
    let schema = SchemaHarness::new().await;
    schema.allows(&review(999)).await;
    let confirm = |change: &str| set(1, &format!("status = 'confirmed', {change}"));
    let enough = confirm("paid_minor = 999, conceded_minor = 1");

    for (name, change) in [
        ("bookings_confirmed_is_paid", "paid_minor = 999"),
        ("bookings_conceded_is_rest", "conceded_minor = 1000"),
        (
            "bookings_paid_within_total",
            "paid_minor = 999, conceded_minor = 2",
        ),
        (
            "bookings_paid_is_payments",
            "paid_minor = 999, conceded_minor = 1",
        ),
    ] {
        schema.refuses(name, &confirm(change)).await;
    }
    let name = "bookings_conceded_in_review";
    schema.refuses(name, &set(1, "conceded_minor = 1")).await;
    let born = priced_booking("confirmed", 2, &["S2"], "'full', 1000, 1000, 0")
        + &set(2, "conceded_minor = 1000");
    schema.refuses("bookings_confirmed_is_paid", &born).await;
    let born = priced_booking("review", 2, &["S2"], "'full', 1000, 1000, 999, 1");
    let born = born.replace("paid_minor,", "paid_minor, conceded_minor,");
    schema.refuses(name, &born).await;

    schema
        .refuses(
            "payments_disposition_is_booked",
            &(APPLIED.to_owned() + &enough),
        )
        .await;
    schema
        .allows(&(APPLIED.to_owned() + &accepted(999) + &enough))
        .await;
    schema.refuses(name, &set(1, "conceded_minor = 0")).await;
    schema
        .refuses(
            "ledger_transfers_one_acceptance",
            &accepted(999).replace(&id(401), &id(402)),
        )
        .await;
}
