//! Many want the same voucher at once.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::order;
use crate::harness::{Answer, TestApp, send};

/// Buyers who book at once, in turn over two servers.
async fn all_at_once(harness: &TestApp, orders: Vec<Value>) -> Vec<Answer> {
    let second = harness.second_server().await;
    let requests = orders.into_iter().enumerate().map(|(number, order)| {
        let server = if number % 2 == 0 {
            &harness.url
        } else {
            &second
        };
        let claims = harness.claims(&format!("user_{number}"), "buyer@example.com");
        let request = harness
            .http
            .post(format!("{server}/api/bookings"))
            .bearer_auth(harness.issuer.token(&claims))
            .header("content-type", "application/json");
        send(request.body(order.to_string()))
    });
    join_all(requests).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_buyers_with_a_voucher_of_one_use_one_wins() {
    for percent in [50, 100] {
        let harness = TestApp::new().await;
        let rows = json!([{ "row": "C", "seats": 20, "tier": "regular" }]);
        let show = harness
            .show_with(json!({ "rows": rows, "blocked": [] }))
            .await;
        let voucher = harness.voucher_with(json!({ "percentOff": percent })).await;
        let seats: Vec<_> = (1..=20).map(|number| format!("C{number}")).collect();
        let orders = seats.iter().map(|seat| order(&show, &[seat], "ONE"));

        let answers = all_at_once(&harness, orders.collect()).await;

        let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
        assert_eq!(won.len(), 1, "{answers:?}");
        for answer in lost {
            answer.refused(422, "voucher_invalid");
        }
        for table in ["bookings", "seat_claims", "voucher_redemptions"] {
            let count = format!("select count(*) from {table}");
            assert_eq!(harness.sql(&count).await, "1", "{table}");
        }
        assert_eq!(harness.used(&voucher).await, 1);
        harness.reconcile().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loses_the_seat_leaves_the_voucher_to_others_and_nobody_waits_for_ever() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    for code in ["ONE", "TWO"] {
        let own = json!({ "code": code, "maxUses": 3 });
        harness.voucher_with(own).await;
    }
    // Three seats, each wanted by eight, with either voucher.
    let orders = (0..24).map(|number| {
        let seat = ["A2", "A3", "A4"][number % 3];
        let code = ["ONE", "TWO"][number / 3 % 2];
        order(&show, &[seat], code)
    });

    let answers = all_at_once(&harness, orders.collect()).await;

    let won = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(won, 3, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.refused(409, "seat_unavailable");
    }
    let used = "select count(*) from voucher_redemptions where live";
    assert_eq!(harness.sql(used).await, "3");
    harness.reconcile().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_without_a_voucher_get_their_seats_beside_those_who_lose_it() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    harness.voucher_with(json!({})).await;
    let seats = ["A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9"];
    let orders = seats.iter().enumerate().map(|(number, seat)| {
        let mut order = order(&show, &[seat], "ONE");
        if number % 4 < 2 {
            order.as_object_mut().unwrap().remove("voucher");
        }
        order
    });

    let answers = all_at_once(&harness, orders.collect()).await;

    let won = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(won, 5, "{answers:?}");
    let totals = "select string_agg(total_minor::text, ' ' order by total_minor) from bookings";
    assert_eq!(harness.sql(totals).await, "600 1200 1200 1200 1200");
    harness.reconcile().await;
}
