//! The seat map of a show.

use serde_json::json;

use crate::harness::TestApp;

#[tokio::test]
async fn the_seat_map_says_of_each_seat_what_it_is() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    harness.pay(&dana.booked(&show, &["B10", "A3"]).await).await;
    harness.customer("eve").booked(&show, &["A2"]).await;

    let map = harness.get(&format!("/api/shows/{show}/seats")).await.body;

    assert_eq!(map["showId"], show.as_str());
    let seats = map["seats"].as_array().unwrap();
    let labels: Vec<String> = seats
        .iter()
        .map(|seat| seat["label"].as_str().unwrap().to_owned())
        .collect();
    let natural: Vec<String> = ["A", "B"]
        .iter()
        .flat_map(|row| (1..=10).map(move |n| format!("{row}{n}")))
        .collect();
    assert_eq!(labels, natural);
    let states: Vec<&str> = seats
        .iter()
        .map(|seat| seat["state"].as_str().unwrap())
        .collect();
    assert_eq!(states[..4], ["blocked", "held", "sold", "free"]);
    assert_eq!(
        (
            states[19],
            states.iter().filter(|state| **state == "free").count()
        ),
        ("sold", 16)
    );
    let price = json!({ "amountMinor": 2500, "currency": "eur" });
    assert_eq!(
        seats[19],
        json!({ "label": "B10", "tier": "box", "price": price, "state": "sold" })
    );
    assert_eq!(
        harness.get(&format!("/api/shows/{show}")).await.body["seats"],
        json!({ "total": 20, "free": 16 })
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn row_aa_comes_after_row_z() {
    let harness = TestApp::new().await;
    let row = |row: &str| json!({ "row": row, "seats": 2, "tier": "regular" });
    let rows = json!([row("AA"), row("Z"), row("B")]);
    let show = harness
        .show_with(json!({ "rows": rows, "blocked": [] }))
        .await;

    let map = harness.get(&format!("/api/shows/{show}/seats")).await.body;

    let labels: Vec<&str> = map["seats"]
        .as_array()
        .unwrap()
        .iter()
        .map(|seat| seat["label"].as_str().unwrap())
        .collect();
    assert_eq!(labels, ["B1", "B2", "Z1", "Z2", "AA1", "AA2"]);
}

#[tokio::test]
async fn a_seat_map_follows_a_change_of_the_layout() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let path = format!("/api/shows/{show}/seats");
    let before = harness.get(&path).await.body;

    for change in [
        "update show_seats set sellable = false where label = 'A2'",
        "update show_tiers set price_minor = 1300",
    ] {
        sqlx::query(change).execute(harness.db()).await.unwrap();
    }
    let after = harness.get(&path).await.body;

    assert_eq!(
        (&before["seats"][1]["label"], &before["seats"][1]["state"]),
        (&json!("A2"), &json!("free"))
    );
    assert_eq!(before["seats"][1]["price"]["amountMinor"], 1200);
    assert_eq!(after["seats"][1]["state"], "blocked");
    assert_eq!(after["seats"][1]["price"]["amountMinor"], 1300);
}
