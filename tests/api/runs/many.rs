//! Scenario 24: a show with 300 bookings is cancelled.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{cancelled, goes_on, over, run};
use crate::delayed::SEPA;
use crate::harness::TestApp;

const BOOKINGS: usize = 300;
/// Bookings that are made or paid at once.
const AT_ONCE: usize = 20;
/// What a run looks at in two seconds.
const BATCH: i64 = 20;

/// A show with 300 seats, each of them booked by somebody else.
async fn booked(harness: &TestApp) -> (String, Vec<Value>) {
    let show = json!({
        "startsAt": harness.now() + TimeDelta::days(60), "blocked": [],
        "rows": (0..15).map(|row| json!({
            "row": char::from(b'A' + row).to_string(), "seats": 20, "tier": "regular",
        })).collect::<Vec<_>>(),
    });
    let show = harness.show_with(show).await;
    let seats = (0..BOOKINGS).map(|number| {
        let row = char::from(b'A' + u8::try_from(number / 20).unwrap());
        format!("{row}{}", number % 20 + 1)
    });
    let seats: Vec<_> = seats.collect();
    let mut bookings = Vec::new();
    for some in seats.chunks(AT_ONCE) {
        let show = &show;
        let booked = some.iter().map(|seat| async move {
            let buyer = harness.customer(&format!("of_{seat}"));
            buyer.booked(show, &[seat]).await
        });
        bookings.extend(join_all(booked).await);
    }
    (show, bookings)
}

/// Of ten, six are paid, one of them disputed, one waits for a bank, one is under review, and two
/// are pending, one of them paid unheard.
async fn pay(harness: &TestApp, bookings: &[Value]) {
    for (number, booking) in bookings.iter().enumerate() {
        let session = &booking["checkout"]["sessionId"];
        let how = match number % 10 {
            6 => json!({ "session": session, "card": SEPA }),
            7 => json!({ "session": session, "amount": 1_100 }),
            8 | 9 => continue,
            _ => json!({ "session": session }),
        };
        let paid = harness.knob("pay", how).await;
        if number % 10 == 5 {
            let intent = json!({ "paymentIntent": paid["paymentIntent"] });
            harness.simulator.settled().await;
            harness.knob("disputes", intent).await;
        }
    }
    harness.simulator.settled().await;
    harness.knob("deliveries", json!({ "drop": true })).await;
    for booking in bookings.iter().skip(9).step_by(10) {
        let session = json!({ "session": booking["checkout"]["sessionId"] });
        harness.knob("pay", session).await;
    }
    harness.knob("deliveries", json!({})).await;
}

#[tokio::test]
async fn a_show_with_300_bookings_is_cancelled_and_every_payment_goes_back_once() {
    let harness = TestApp::new().await;
    let (show, bookings) = booked(&harness).await;
    pay(&harness, &bookings).await;
    let stand = "select string_agg(status || ' ' || count, ', ' order by status)
                 from (select status, count(*) from bookings group by status) as counted";
    let before = "pending 60, processing 30, confirmed 180, review 30";
    assert_eq!(harness.sql(stand).await, before);

    let path = cancelled(&harness, &show).await;
    let mut ended = 0;
    for _ in 0..3 {
        assert!(goes_on(&harness).await);
        let under_way = "select count(*) from run_bookings where state <> 'waiting'";
        let now: i64 = harness.sql(under_way).await.parse().unwrap();
        assert!(now <= ended + BATCH, "{now} after {ended}");
        ended = now;
    }
    let begun = run(&harness, &path).await;
    // The banks decide: half of them pay.
    for (number, booking) in bookings.iter().skip(6).step_by(10).enumerate() {
        let outcome = if number % 2 == 0 {
            "succeeded"
        } else {
            "failed"
        };
        let session = &booking["checkout"]["sessionId"];
        let decided = json!({ "session": session, "outcome": outcome });
        harness.knob("settle", decided).await;
    }
    harness.simulator.settled().await;
    let end = over(&harness, &path).await;

    assert_eq!(
        (&begun["state"], &begun["total"]),
        (&json!("running"), &json!(300))
    );
    assert_eq!(
        (&end["done"], &end["failed"]),
        (&json!(270), &json!(30)),
        "{end}"
    );
    let mut failed: Vec<_> = bookings
        .iter()
        .skip(5)
        .step_by(10)
        .map(|one| &one["id"])
        .collect();
    failed.sort_by_key(ToString::to_string);
    let sentence = "The payment is disputed; its bank decides who gets the money.";
    let expected = failed
        .iter()
        .map(|id| json!({ "bookingId": id, "error": sentence }));
    assert_eq!(end["failures"], json!(expected.collect::<Vec<_>>()));
    assert_eq!(harness.sql("select count(*) from seat_claims").await, "0");
    let open = "select count(*) from checkout_attempts where status in ('creating', 'open')";
    assert_eq!(harness.sql(open).await, "0");
    let undisputed = "select count(*) from payments
                      where id not in (select payment_id from disputes)
                        and amount_minor <> (select sum(amount_minor) from refunds
                                             where payment_id = payments.id
                                               and status = 'succeeded')";
    assert_eq!(harness.sql(undisputed).await, "0");
    let refunds = harness.all_at_stripe("refunds").await;
    assert_eq!(refunds.len(), 150 + 30 + 30 + 15, "one for each payment");
    harness.reconcile().await;
}
