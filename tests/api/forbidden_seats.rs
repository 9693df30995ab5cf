//! What must never be true of seats is refused by the database itself, whatever the code does.

use crate::schema_harness::{SchemaHarness, booking_as, claim, expire, hold, id, release, set};

#[tokio::test]
async fn one_seat_never_belongs_to_two_live_bookings() {
    let schema = SchemaHarness::new().await;
    schema.allows(&hold(1, &["S1", "S2"])).await;

    schema.refuses("seat_claims_pkey", &hold(2, &["S1"])).await;
    schema
        .refuses("seat_claims_pkey", &hold(2, &["S3", "S2"]))
        .await;

    schema.allows(&expire(1)).await;
    schema.allows(&hold(2, &["S1"])).await;
    schema
        .refuses(
            "seat_claims_pkey",
            &(set(1, "status = 'confirmed', paid_minor = 2000") + &claim(1, "S1")),
        )
        .await;
}

#[tokio::test]
async fn a_seat_that_is_unknown_or_blocked_cannot_be_claimed() {
    let schema = SchemaHarness::new().await;

    schema
        .refuses("seat_claims_seat_is_sellable", &hold(1, &["Z9"]))
        .await;
    schema
        .refuses("seat_claims_seat_is_sellable", &hold(1, &["X1"]))
        .await;
    let as_if_sellable = format!(
        "insert into seat_claims values ('{}', 'X1', '{}', true, false)",
        id(0),
        id(1)
    );
    schema
        .refuses(
            "seat_claims_sellable_check",
            &(hold(1, &["S1"]) + &as_if_sellable),
        )
        .await;
}

#[tokio::test]
async fn a_seat_that_is_claimed_cannot_be_blocked_or_removed() {
    let schema = SchemaHarness::new().await;
    schema.allows(&hold(1, &["S1"])).await;

    let block = "update show_seats set sellable = false where label = 'S1'";
    schema.refuses("seat_claims_seat_is_sellable", block).await;
    schema
        .refuses(
            "seat_claims_seat_is_sellable",
            "delete from show_seats where label = 'S1'",
        )
        .await;
    schema
        .refuses(
            "seat_claims_seat_is_sellable",
            "update show_seats set label = 'S0' where label = 'S1'",
        )
        .await;

    schema.allows(&expire(1)).await;
    schema.allows(block).await;
}

#[tokio::test]
async fn a_dead_booking_keeps_no_seat() {
    let schema = SchemaHarness::new().await;
    schema.allows(&hold(1, &["S1"])).await;

    for end in ["expired", "cancelled", "failed"] {
        schema
            .refuses(
                "seat_claims_booking_is_live",
                &set(1, &format!("status = '{end}'")),
            )
            .await;
    }
    schema
        .refuses(
            "seat_claims_live_check",
            "update seat_claims set live = false",
        )
        .await;
    schema
        .refuses(
            "seat_claims_booking_is_live",
            &format!("delete from bookings where id = '{}'", id(1)),
        )
        .await;

    schema.allows(&expire(1)).await;
    schema
        .refuses("seat_claims_booking_is_live", &claim(1, "S1"))
        .await;
    schema
        .refuses(
            "seat_claims_booking_is_live",
            &(booking_as("failed", 2, &["S1"], 0) + &claim(2, "S1")),
        )
        .await;
}

#[tokio::test]
async fn a_live_booking_loses_no_seat() {
    let schema = SchemaHarness::new().await;
    schema
        .allows(&(hold(1, &["S1", "S2"]) + &hold(2, &["S3"])))
        .await;
    let name = "bookings_live_has_seats";

    schema.refuses(name, &release(1)).await;
    schema
        .refuses(name, "delete from seat_claims where label = 'S2'")
        .await;
    schema
        .refuses(
            name,
            "update seat_claims set label = 'S4' where label = 'S2'",
        )
        .await;
    let moved = format!(
        "update seat_claims set booking_id = '{}' where label = 'S2'",
        id(2)
    );
    schema.refuses(name, &moved).await;
    schema.refuses(name, "truncate seat_claims").await;
    schema
        .refuses(
            name,
            &(hold(3, &["S5"]) + "delete from seat_claims where label = 'S5'"),
        )
        .await;
    for status in ["processing", "review"] {
        let moved = set(1, &format!("status = '{status}'"));
        schema.refuses(name, &(release(1) + &moved)).await;
    }
}

#[tokio::test]
async fn a_live_booking_holds_exactly_the_seats_it_names() {
    let schema = SchemaHarness::new().await;
    schema.allows(&hold(1, &["S1", "S2"])).await;
    let name = "bookings_live_has_seats";

    schema
        .refuses(
            name,
            &(booking_as("pending", 2, &["S3", "S4"], 1_000) + &claim(2, "S3")),
        )
        .await;
    schema
        .refuses(name, &booking_as("confirmed", 2, &["S3"], 0))
        .await;
    schema.refuses(name, &claim(1, "S3")).await;
    schema
        .refuses(name, &(hold(2, &["S3"]) + &claim(2, "S4")))
        .await;
    schema
        .refuses(
            name,
            &(booking_as("pending", 2, &["S3", "S3"], 1_000) + &claim(2, "S3")),
        )
        .await;
    let twice = booking_as("pending", 2, &["S3", "S3"], 1_000) + &claim(2, "S3") + &claim(2, "S4");
    schema.refuses(name, &twice).await;
    schema
        .refuses(
            name,
            &(booking_as("pending", 2, &["S3", "NULL"], 1_000) + &claim(2, "S3")),
        )
        .await;
    let hidden =
        booking_as("pending", 2, &["S3", "NULL"], 1_000) + &claim(2, "S3") + &claim(2, "S4");
    schema.refuses(name, &hidden).await;
}

#[tokio::test]
async fn a_booking_of_seats_names_a_show_and_some_seats() {
    let schema = SchemaHarness::new().await;

    schema
        .refuses("bookings_show_has_seats", &booking_as("pending", 1, &[], 0))
        .await;
    let nowhere = booking_as("expired", 1, &["S1"], 0).replace(&format!("'{}'", id(0)), "null");
    schema.refuses("bookings_show_has_id", &nowhere).await;
}
