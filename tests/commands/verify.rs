//! `holdfast verify`: what it says, and how it ends.

use serde_json::json;

use super::harness::Harness;
use super::world::Buyer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_is_well_beside_a_server_until_somebody_tampers() {
    let harness = Harness::new().await;
    assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
    let server = harness.serve(&[]);
    let show = "select show_id::text from show_seats where sellable order by show_id limit 1";
    let show: String = sqlx::query_scalar(show)
        .fetch_one(harness.database.pool())
        .await
        .unwrap();
    let order = json!({ "kind": "show", "showId": show, "seats": ["C4"] });
    let dana = Buyer::new(&harness, "dana");
    let (status, booking) = dana
        .post(&server, "/api/bookings", &order, None)
        .await
        .unwrap();
    assert_eq!(status, 201, "{booking}");
    let session = booking["checkout"]["sessionId"].as_str().unwrap();
    let event = harness.pay(session).await;
    assert_eq!(server.deliver(&event).await.unwrap().0, 200);

    let well = harness.run(&["verify"], &[]);
    harness
        .sql(
            "set session_replication_role = replica;
             update payments set amount_minor = 2 * amount_minor;
             insert into audit_log (number, at, actor, action, subject, previous_hash, hash)
             values (1, now(), 'somebody', 'refund', 'a booking',
                     decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'));
             set session_replication_role = origin",
        )
        .await;
    let tampered = harness.run(&["verify"], &[]);

    assert_eq!(well.code, Some(0), "{well:?}");
    assert_eq!(
        well.stdout,
        "ok    1 bookings and 1 events: what is stored is what they come to, and all sums come \
         out\n"
    );
    assert!(
        !well.stderr.contains(" left"),
        "a bar without a terminal: {well:?}"
    );
    assert_eq!(tampered.code, Some(1), "{tampered:?}");
    for said in [
        "DIFFERS  payment ",
        "the replay says ",
        "DIFFERS  what is paid of booking ",
        "DIFFERS  audit log: stored entry 1",
        "\nFAIL  1 bookings and 1 events: not all is as it should be\n",
    ] {
        assert!(tampered.stdout.contains(said), "{said}: {tampered:?}");
    }
}

#[tokio::test]
async fn what_stands_in_the_way_is_said() {
    let harness = Harness::new().await;
    let dead = [("DATABASE_URL", "postgres://postgres@127.0.0.1:1/holdfast")];
    let ended = harness.run(&["verify"], &dead);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("check DATABASE_URL"), "{ended:?}");

    harness.empty_database().await;
    let ended = harness.run(&["verify"], &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("run `holdfast migrate`"), "{ended:?}");
}
