//! What must never be true of checkout attempts is refused by the database itself, whatever the
//! code does.

use crate::schema_harness::{SchemaHarness, attempt_as, hold, id, payment_as, sale};

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
