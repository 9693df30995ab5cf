//! What must never be true of vouchers is refused by the database itself, whatever the code does.

use futures_util::future::join_all;

use crate::schema_harness::{SchemaHarness, claim, expire, hold, id, set};

const VOUCHER: u32 = 800;
const LIMIT: &str = "vouchers_used_within_limit";
const LIVE: &str = "voucher_redemptions_live_with_booking";
const FINAL: &str = "voucher_redemptions_sale_is_final";

/// A database with one voucher of one use.
async fn schema() -> SchemaHarness {
    let schema = SchemaHarness::new().await;
    schema.allows(&voucher(VOUCHER, "10, null, null, 1")).await;
    schema
}

/// Inserts a voucher with this percentage, amount, currency and limit.
fn voucher(number: u32, terms: &str) -> String {
    format!(
        "insert into vouchers (id, code, percent_off, amount_off_minor, currency, max_uses, active,
                               created_at, updated_at)
         values ('{}', 'V{number}', {terms}, true, now(), now());",
        id(number)
    )
}

fn redeem(booking: u32) -> String {
    format!(
        "insert into voucher_redemptions (booking_id, voucher_id, discount_minor, redeemed_at)
         values ('{}', '{}', 100, now());",
        id(booking),
        id(VOUCHER)
    )
}

fn change(booking: u32, change: &str) -> String {
    format!(
        "update voucher_redemptions set {change} where booking_id = '{}';",
        id(booking)
    )
}

/// The booking ends, as it should.
fn end(booking: u32) -> String {
    change(booking, "live = false") + &expire(booking) + ";"
}

/// A booking that has ended is live again with its seat.
fn revive(booking: u32, seat: &str) -> String {
    set(booking, "status = 'review'") + &claim(booking, seat)
}

#[tokio::test]
async fn a_voucher_is_never_used_more_often_than_it_may_be() {
    let schema = schema().await;
    schema.allows(&(hold(1, &["S1"]) + &redeem(1))).await;

    let second = hold(2, &["S2"]) + &redeem(2);
    schema.refuses(LIMIT, &second).await;
    schema.allows("update vouchers set max_uses = 2").await;
    schema.allows(&second).await;
    schema
        .refuses(LIMIT, "update vouchers set max_uses = 1")
        .await;
    schema.allows(&end(1)).await;
    schema.allows("update vouchers set max_uses = 1").await;
    schema
        .refuses(LIMIT, &(revive(1, "S1") + &change(1, "live = true")))
        .await;
    schema
        .allows(&(revive(1, "S1") + &change(1, "live = true, beyond_limit = true")))
        .await;
    schema
        .refuses(LIMIT, &change(1, "beyond_limit = false"))
        .await;
}

#[tokio::test]
async fn of_twenty_who_know_no_lock_one_has_the_only_use() {
    let schema = schema().await;

    let numbers: Vec<u32> = (1..=20).collect();
    let sales = numbers.iter().map(|number| {
        let seat = format!("S{number}");
        let sale = hold(*number, &[&seat]) + &redeem(*number);
        let schema = &schema;
        async move { schema.run(&sale).await }
    });
    let sold = join_all(sales).await;

    let won = sold.iter().filter(|sale| sale.is_ok()).count();
    assert_eq!(won, 1, "{sold:?}");
    assert_eq!(schema.count("voucher_redemptions").await, 1);
    assert_eq!(schema.count("bookings").await, 1);
}

#[tokio::test]
async fn a_use_counts_exactly_as_long_as_its_booking_is_live() {
    let schema = schema().await;
    schema.allows(&(hold(1, &["S1"]) + &redeem(1))).await;

    schema.refuses(LIVE, &change(1, "live = false")).await;
    schema.refuses(LIVE, &expire(1)).await;
    schema.allows(&end(1)).await;
    schema.refuses(LIVE, &change(1, "live = true")).await;
    schema.refuses(LIVE, &revive(1, "S1")).await;
    schema
        .refuses(LIVE, &(hold(2, &["S2"]) + &expire(2) + ";" + &redeem(2)))
        .await;
    schema
        .allows(&(revive(1, "S1") + &change(1, "live = true")))
        .await;
}

#[tokio::test]
async fn for_how_much_less_a_booking_was_sold_is_neither_rewritten_nor_forgotten() {
    let schema = schema().await;
    schema
        .allows(&(voucher(801, "null, 100, 'eur', null") + &hold(1, &["S1"]) + &redeem(1)))
        .await;
    schema.allows(&hold(2, &["S2"])).await;

    for rewrite in [
        change(1, "discount_minor = 99"),
        change(1, &format!("voucher_id = '{}'", id(801))),
        change(1, &format!("booking_id = '{}'", id(2))),
        change(1, "redeemed_at = now() - interval '1 day'"),
        change(1, "beyond_limit = true"),
        "delete from voucher_redemptions".to_owned(),
        "truncate voucher_redemptions".to_owned(),
        redeem(2)
            .replace("100, now()", "100, now(), true")
            .replace("redeemed_at)", "redeemed_at, beyond_limit)"),
    ] {
        schema.refuses(FINAL, &rewrite).await;
    }
    schema.refuses("voucher_redemptions_pkey", &redeem(1)).await;
}

#[tokio::test]
async fn a_voucher_takes_off_one_thing_and_its_code_is_its_own() {
    let schema = schema().await;

    for terms in [
        "null, null, null, 1",
        "10, 100, 'eur', 1",
        "null, 100, null, 1",
        "10, null, 'eur', 1",
    ] {
        schema
            .refuses("vouchers_take_off_one", &voucher(802, terms))
            .await;
    }
    let again = voucher(802, "10, null, null, 1").replace("'V802'", "'v800'");
    schema.refuses("vouchers_code_key", &again).await;
    schema
        .refuses(
            "vouchers_valid_in_order",
            "update vouchers set valid_from = now(), valid_until = now()",
        )
        .await;
    schema
        .refuses(
            "voucher_redemptions_discount_minor_check",
            &(hold(1, &["S1"]) + &redeem(1).replace("100, now()", "0, now()")),
        )
        .await;
}
