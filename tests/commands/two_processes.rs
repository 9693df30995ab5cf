//! Two processes on one database: buyers and Stripe reach the one or the other, and it makes no
//! difference.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::crash_scenario::{BOOKING, CLAIMS};
use super::harness::{Harness, PATIENCE, Server};
use super::world::Buyer;

/// A house with rows of eight, A to E, of which no seat is blocked.
const SHOW: &str = "select id::text from shows
                    where not exists (select from show_seats
                                      where show_id = shows.id and not sellable)
                    order by starts_at limit 1";

/// Claims of a booking that never comes about.
const MIDDLE_SEATS: &str = "
  with house as (
    select id from shows
    where not exists (select from show_seats where show_id = shows.id and not sellable)
    order by starts_at limit 1
  ), nobody as (
    insert into users (id, created_at, updated_at) values ('user_nobody', now(), now())
  ), booking as (
    insert into bookings (id, reference, user_id, kind, show_id, seats, status, currency,
                          payment_option, total_minor, due_minor, paid_minor, cancellation_policy,
                          hold_expires_at, created_at, updated_at)
    select gen_random_uuid(), 'HF-222222', 'user_nobody', 'show', id, '{B4,C4,D4}', 'pending',
           'usd', 'full', 1450, 1450, 0, '[]', now(), now(), now()
    from house
    returning id, show_id
  )
  insert into seat_claims (show_id, label, booking_id)
  select show_id, unnest(array['B4', 'C4', 'D4']), id from booking";

/// Both processes, and a show that is on sale.
struct Scenario {
    harness: Harness,
    servers: [Server; 2],
    show: String,
}

impl Scenario {
    async fn new() -> Self {
        let harness = Harness::new().await;
        assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
        let show = sqlx::query_scalar(SHOW)
            .fetch_one(harness.database.pool())
            .await
            .unwrap();
        Self {
            servers: [harness.serve(&[]), harness.serve(&[])],
            show,
            harness,
        }
    }

    /// One process or the other.
    fn server(&self, number: usize) -> &Server {
        &self.servers[number % 2]
    }

    fn request(&self, seats: &[&str]) -> Value {
        json!({ "kind": "show", "showId": self.show, "seats": seats })
    }

    /// Many buyers, each with a request of their own, all at once.
    async fn rush(&self, requests: &[Value]) -> Vec<(u16, Value)> {
        let bookings = requests.iter().enumerate().map(|(number, request)| {
            let buyer = Buyer::new(&self.harness, &number.to_string());
            buyer.post(self.server(number), "/api/bookings", request, None)
        });
        join_all(bookings)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect()
    }

    /// Exactly so many holds are there, whole, and nothing else.
    async fn holds(&self, bookings: usize, seats: usize) {
        for (what, count) in [
            ("bookings where status = 'pending'", bookings),
            ("bookings", bookings),
            ("checkout_attempts where status = 'open'", bookings),
            ("checkout_attempts", bookings),
            ("jobs where key like 'end-hold%'", bookings),
            ("seat_claims", seats),
            ("idempotency_keys", 0),
        ] {
            self.harness
                .finds(&format!("select count(*) from {what}"), &count.to_string())
                .await;
        }
        assert_eq!(
            self.harness
                .at_stripe("/v1/checkout/sessions?limit=100")
                .await,
            bookings
        );
        self.harness.reconcile().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_who_want_one_seat_one_has_it_and_nothing_is_left_of_the_others() {
    let scenario = Scenario::new().await;

    let answers = scenario.rush(&vec![scenario.request(&["A1"]); 50]).await;

    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|(status, _)| *status == 201);
    assert_eq!((won.len(), lost.len()), (1, 49), "{answers:?}");
    for (status, problem) in lost {
        assert_eq!(
            (*status, &problem["code"]),
            (409, &json!("seat_unavailable")),
            "{problem}"
        );
        assert_eq!(
            (&problem["seats"], &problem["ownBooking"]),
            (&json!(["A1"]), &Value::Null),
            "{problem}"
        );
    }
    scenario.holds(1, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seats_that_are_wanted_in_either_order_are_sold_once_and_never_deadlock() {
    let scenario = Scenario::new().await;
    let row = |row: &str, seats: usize| {
        (1..=seats)
            .map(|number| format!("{row}{number}"))
            .collect::<Vec<_>>()
    };
    let groups = [row("A", 2), row("B", 8), row("C", 8), row("D", 8)];
    // Each group is wanted in both orders at both processes, where those who come together share a
    // transaction.
    let requests: Vec<Value> = (0..32)
        .map(|number| {
            let mut seats: Vec<&str> = groups[number / 4 % groups.len()]
                .iter()
                .map(String::as_str)
                .collect();
            if number / 2 % 2 == 1 {
                seats.reverse();
            }
            scenario.request(&seats)
        })
        .collect();

    // Who wants a whole row is stopped in its middle, with what they have claimed by then, until
    // both processes are there.
    let lock = scenario.harness.lock(MIDDLE_SEATS).await;
    let start = async {
        let waiting = "select count(*) > 1 from pg_stat_activity where datname = current_database()
                       and wait_event_type = 'Lock'
                       and application_name in ('holdfast requests', 'holdfast payments')";
        scenario.harness.until(waiting, "true", PATIENCE).await;
        lock.rollback().await.unwrap();
    };
    let (answers, ()) = tokio::join!(scenario.rush(&requests), start);

    assert!(
        answers
            .iter()
            .all(|(status, _)| matches!(status, 201 | 409)),
        "{answers:?}"
    );
    for group in &groups {
        let won = answers
            .iter()
            .filter(|(status, body)| *status == 201 && body["seats"] == json!(group));
        assert_eq!(won.count(), 1, "{group:?}: {answers:?}");
    }
    scenario.holds(groups.len(), groups.concat().len()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_told_to_both_processes_and_asked_for_at_both_is_one_payment() {
    let scenario = Scenario::new().await;
    let (harness, dana) = (&scenario.harness, Buyer::new(&scenario.harness, "dana"));
    let (status, booking) = dana
        .post(
            scenario.server(0),
            "/api/bookings",
            &scenario.request(&["A1"]),
            None,
        )
        .await
        .unwrap();
    assert_eq!(status, 201, "{booking}");
    let session = json!({ "sessionId": booking["checkout"]["sessionId"] });
    let completed = harness
        .pay(booking["checkout"]["sessionId"].as_str().unwrap())
        .await;
    let succeeded = harness
        .ask_stripe("/v1/events?type=payment_intent.succeeded")
        .await["data"][0]
        .clone();

    // Verify asks Stripe at once where it does not wait.
    let polls = (0..6).map(|number| {
        dana.post(
            scenario.server(number),
            &format!("/api/payments/verify?wait={}", number / 2),
            &session,
            None,
        )
    });
    let events = [
        &completed, &completed, &completed, &completed, &completed, &succeeded, &succeeded,
    ];
    let deliveries = events
        .iter()
        .enumerate()
        .map(|(number, event)| scenario.server(number).deliver(event));
    let (polled, delivered) = tokio::join!(join_all(polls), join_all(deliveries));

    let polled: Vec<(u16, Value)> = polled.into_iter().map(Result::unwrap).collect();
    let delivered: Vec<(u16, Value)> = delivered.into_iter().map(Result::unwrap).collect();
    assert!(
        polled.iter().all(|(status, _)| *status == 200),
        "{polled:?}"
    );
    // Of the two who do not wait, one may be told what we know while the other asks.
    let told = polled
        .iter()
        .filter(|(_, body)| body["status"] == "confirmed");
    assert!(told.count() >= 5, "{polled:?}");
    assert!(
        delivered.iter().all(|(status, _)| *status == 200),
        "{delivered:?}"
    );
    let first_times = delivered
        .iter()
        .filter(|(_, receipt)| receipt["outcome"] == "processed")
        .count();
    assert_eq!(first_times, 2, "{delivered:?}");
    is_paid_once(harness).await;
}

async fn is_paid_once(harness: &Harness) {
    harness.finds(BOOKING, "confirmed").await;
    harness.finds(CLAIMS, "1").await;
    harness
        .finds(
            "select string_agg(disposition::text, ',') from payments",
            "applied",
        )
        .await;
    harness
        .finds("select count(*) from ledger_transfers", "1")
        .await;
    harness.finds("select count(*) from refunds", "0").await;
    harness.reconcile().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_at_one_process_is_told_of_a_webhook_that_arrives_at_the_other() {
    let scenario = Scenario::new().await;
    let (harness, dana) = (&scenario.harness, Buyer::new(&scenario.harness, "dana"));
    let (_, booking) = dana
        .post(
            scenario.server(0),
            "/api/bookings",
            &scenario.request(&["A1"]),
            None,
        )
        .await
        .unwrap();
    let session = booking["checkout"]["sessionId"].as_str().unwrap();
    let body = json!({ "sessionId": session });
    let waiting = tokio::spawn(dana.post(
        scenario.server(0),
        "/api/payments/verify?wait=25",
        &body,
        None,
    ));
    // Stripe has said that the page is open, and is asked once only: from now on nothing but a
    // change of the booking ends the wait early.
    harness.until_answered("GET", session).await;
    let completed = harness.pay(session).await;

    let (_, receipt) = scenario.server(1).deliver(&completed).await.unwrap();
    let answered = tokio::time::timeout(Duration::from_secs(10), waiting).await;

    assert_eq!(receipt["outcome"], "processed");
    let (status, verified) = answered.unwrap().unwrap().unwrap();
    assert_eq!(
        (status, &verified["status"]),
        (200, &json!("confirmed")),
        "{verified}"
    );
    assert_eq!(harness.asked("GET", session).await, 1);
    harness.reconcile().await;
}
