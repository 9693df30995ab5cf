//! What must never be true of a dispute is refused by the database itself, whatever the code does.

use crate::schema_harness::{SchemaHarness, id, sale};

/// A dispute of 10 euros that stands so.
fn dispute(number: u32, payment: u32, booking: u32, status: &str) -> String {
    let (id, payment, booking) = (id(number), id(payment), id(booking));
    format!(
        "insert into disputes (id, stripe_dispute_id, payment_id, booking_id, amount_minor,
                               currency, status, opened_at, reported_at, closed_at)
         values ('{id}', 'du_{number}', '{payment}', '{booking}', 1000, 'eur', '{status}', now(),
                 now(), {});",
        if ["won", "lost"].contains(&status) {
            "now()"
        } else {
            "null"
        }
    )
}

/// A movement of a dispute's money in the ledger.
fn moved(kind: &str, dispute: u32, payment: u32, booking: u32) -> String {
    let (dispute, payment, booking) = (id(dispute), id(payment), id(booking));
    format!(
        "insert into ledger_transfers (id, kind, debit, credit, amount_minor, currency, booking_id,
                                       payment_id, dispute_id, created_at)
         values (gen_random_uuid(), '{kind}', 'disputed_funds', 'stripe_balance', 1000, 'eur',
                 '{booking}', '{payment}', '{dispute}', now());"
    )
}

#[tokio::test]
async fn a_dispute_only_goes_forward() {
    let schema = SchemaHarness::new().await;
    schema
        .allows(&(sale(1, "S1") + &dispute(1, 101, 1, "under_review")))
        .await;
    let name = "disputes_only_go_forward";

    schema
        .refuses(name, "update disputes set status = 'needs_response'")
        .await;
    schema
        .refuses(name, "update disputes set stripe_dispute_id = 'du_2'")
        .await;
    schema.refuses(name, "delete from disputes").await;
    schema
        .refuses(
            "disputes_closed_has_time",
            "update disputes set status = 'lost'",
        )
        .await;
    schema
        .allows("update disputes set status = 'lost', closed_at = now()")
        .await;
    schema.allows("update disputes set status = 'won'").await;
    schema
        .refuses(
            name,
            "update disputes set status = 'under_review', closed_at = null",
        )
        .await;
}

#[tokio::test]
async fn a_dispute_is_one_of_its_payment_and_stored_once() {
    let schema = SchemaHarness::new().await;
    schema
        .allows(&(sale(1, "S1") + &sale(2, "S2") + &dispute(1, 101, 1, "lost")))
        .await;

    let again = dispute(2, 101, 1, "lost").replace("du_2", "du_1");
    schema.refuses("disputes_stripe_key", &again).await;
    let name = "disputes_of_payment";
    schema.refuses(name, &dispute(2, 101, 2, "lost")).await;
    let other = dispute(2, 101, 1, "lost").replace("'eur'", "'usd'");
    schema.refuses(name, &other).await;
}

#[tokio::test]
async fn the_money_of_a_dispute_is_taken_once_and_no_more_is_given_back_than_was_taken() {
    let schema = SchemaHarness::new().await;
    let disputes = dispute(1, 101, 1, "won") + &dispute(2, 102, 2, "lost");
    schema
        .allows(&(sale(1, "S1") + &sale(2, "S2") + &disputes))
        .await;
    let (taken, given_back) = ("dispute_withdrawal", "dispute_reinstatement");
    let part = |amount: &str| moved(given_back, 1, 101, 1).replace("1000", amount);

    let too_much = "ledger_transfers_reinstates_withdrawn";
    schema.refuses(too_much, &part("1")).await;
    schema
        .refuses("ledger_transfers_of_dispute", &moved(taken, 1, 102, 2))
        .await;
    let less = moved(taken, 1, 101, 1).replace("1000", "999");
    schema
        .refuses("ledger_transfers_withdraws_disputed", &less)
        .await;
    schema.allows(&moved(taken, 1, 101, 1)).await;
    schema
        .refuses("ledger_transfers_one_withdrawal", &moved(taken, 1, 101, 1))
        .await;
    schema.refuses(too_much, &part("1001")).await;
    schema.allows(&part("300")).await;
    schema.refuses(too_much, &part("701")).await;
    schema.allows(&part("700")).await;
    schema.refuses(too_much, &part("1")).await;
    let name = "ledger_transfers_dispute_is_named";
    schema.refuses(name, &moved("capture", 2, 102, 2)).await;
    let unnamed = moved(taken, 2, 102, 2).replace(", dispute_id,", ",");
    let unnamed = unnamed.replace(&format!("'{}', now()", id(2)), "now()");
    schema.refuses(name, &unnamed).await;
    schema
        .refuses(
            "disputes_booked_amount_stays",
            "update disputes set amount_minor = 999 where stripe_dispute_id = 'du_1'",
        )
        .await;
}
