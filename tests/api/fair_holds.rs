//! One account cannot keep a show sold out: what a user may hold unpaid is limited, whoever asks at
//! once and of whichever process, and what is refused leaves nothing behind.

mod delayed;
mod labels;
mod loops;
mod pause;
mod seats;

use std::collections::HashSet;

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::task::yield_now;

use crate::batcher::at_once;
use crate::delayed::SEPA;
use crate::harness::{Answer, Caller, TestApp, send};

const NOON: &str = "2026-12-01T06:00:00Z";

impl TestApp {
    /// A show with a row of forty seats, with some members of its own.
    async fn long_row(&self, own: Value) -> String {
        let mut show = json!({
            "rows": [{ "row": "A", "seats": 40, "tier": "regular" }], "blocked": [],
        });
        for (name, value) in own.as_object().unwrap() {
            show[name] = value.clone();
        }
        self.show_with(show).await
    }

    /// What Dana posts, all at once, half of it to another process.
    async fn post_at_once(&self, orders: Vec<Value>) -> Vec<Answer> {
        let second = self.second_server().await;
        let dana = self.claims("user_dana", "dana@example.com");
        let token = self.issuer.token(&dana);
        let requests = orders.into_iter().enumerate().map(|(number, order)| {
            let server = [&self.url, &second][number % 2];
            let request = self.http.post(format!("{server}/api/bookings"));
            let request = request
                .bearer_auth(&token)
                .header("content-type", "application/json");
            send(request.body(order.to_string()))
        });
        join_all(requests).await
    }

    /// Lets what is held run out.
    pub(crate) async fn lapse(&self) {
        self.advance(TimeDelta::minutes(10)).await;
        self.run_jobs().await;
    }
}

fn order(show: &str, seat: &str) -> Value {
    json!({ "kind": "show", "showId": show, "seats": [seat] })
}

async fn cancel(caller: &Caller<'_>, booking: &Value) {
    let path = format!("/api/bookings/{}/cancel", booking["id"].as_str().unwrap());
    assert_eq!(caller.post(&path, json!({})).await.status, 200);
}

/// Asserts a refusal because of these holds.
#[track_caller]
fn refused_for(answer: &Answer, maximum: usize, holds: &[&Value]) {
    answer.refused(409, "too_many_holds");
    assert_eq!(answer.body["maximum"], maximum);
    let of = |booking: &&Value| {
        json!({
            "id": booking["id"], "reference": booking["reference"],
            "holdExpiresAt": booking["holdExpiresAt"],
        })
    };
    let holds: Vec<_> = holds.iter().map(of).collect();
    assert_eq!(answer.body["holds"], json!(holds));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_thirty_at_once_over_two_servers_one_holds_and_the_others_are_told_which() {
    let harness = TestApp::new().await;
    let show = harness.long_row(json!({})).await;

    let orders = (1..=30).map(|number| order(&show, &format!("A{number}")));
    let answers = harness.post_at_once(orders.collect()).await;

    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((won.len(), lost.len()), (1, 29));
    for answer in lost {
        refused_for(answer, 1, &[&won[0].body]);
    }
    for table in ["bookings", "seat_claims", "checkout_attempts", "jobs"] {
        let count = harness.sql(&format!("select count(*) from {table}")).await;
        assert_eq!(count, "1", "{table}");
    }
    harness.reconcile().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_once_or_not_a_user_holds_three_of_shows_and_services_together() {
    let harness = TestApp::new().await;
    let service = harness.service_with(json!({})).await;
    let mut orders = Vec::new();
    for hour in 0..4 {
        orders.push(order(&harness.show().await, "A2"));
        orders.push(order(&harness.show().await, "A2"));
        orders.push(json!({
            "kind": "service", "serviceId": service["id"], "hours": 1,
            "startsAt": format!("2026-12-01T0{}:00:00Z", hour + 3), "paymentOption": "half",
        }));
    }

    let answers = harness.post_at_once(orders).await;

    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(won.len(), 3, "{answers:?}");
    let held: HashSet<_> = won
        .iter()
        .map(|answer| answer.body["id"].as_str())
        .collect();
    for answer in lost {
        answer.refused(409, "too_many_holds");
        assert_eq!(answer.body["maximum"], 3);
        let named = answer.body["holds"].as_array().unwrap();
        let named: HashSet<_> = named.iter().map(|hold| hold["id"].as_str()).collect();
        assert_eq!(named, held);
    }
    let show = harness.show().await;
    let emil = harness.customer("emil").book(&show, &["A2"]).await;
    assert_eq!(emil.status, 201);
    harness.pay(&won[0].body).await;
    let fourth = harness.customer("dana").book(&show, &["A3"]).await;
    assert_eq!(fourth.status, 201, "what is paid is not held any more");
    harness.reconcile().await;
}

#[tokio::test]
async fn each_sort_of_hold_is_refused_for_all_others() {
    let harness = TestApp::with(&[("HOLDS_PER_USER", "2")]).await;
    let service = harness.service_with(json!({})).await;
    let (show, other) = (harness.show().await, harness.show().await);
    let dana = harness.customer("dana");
    let seats = dana.booked(&show, &["A2"]).await;
    let slot = dana.book_slot(&service, NOON, 1, "full").await.body;

    let of_show = dana.book(&show, &["A3"]).await;
    let of_other = dana.book(&other, &["A3"]).await;
    let of_service = dana.book_slot(&service, NOON, 1, "full").await;

    refused_for(&of_show, 1, &[&seats]);
    refused_for(&of_other, 2, &[&seats, &slot]);
    refused_for(&of_service, 2, &[&seats, &slot]);
    let detail = of_show.body["detail"].as_str().unwrap();
    assert!(
        detail.contains(seats["reference"].as_str().unwrap()),
        "{detail}"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn zero_switches_both_limits_off_and_the_pause() {
    let harness = TestApp::holding_freely().await;
    let show = harness.show().await;
    for _ in 0..3 {
        let dana = harness.customer("dana");
        for seat in ["A2", "A3", "A4", "A5"] {
            dana.booked(&show, &[seat]).await;
        }
        harness.lapse().await;
    }

    assert_eq!(harness.sql("select count(*) from bookings").await, "12");
    harness.reconcile().await;
}

#[tokio::test]
async fn ones_own_seat_is_told_before_any_limit() {
    let harness = TestApp::with(&[("HOLDS_PER_USER", "1")]).await;
    let show = harness.show_with(json!({ "maxSeatsPerUser": 2 })).await;
    let dana = harness.customer("dana");
    let held = dana.booked(&show, &["A2", "A3"]).await;

    for seats in [["A2", "A4"], ["A4", "A3"]] {
        let answer = dana.book(&show, &seats).await;

        answer.refused(409, "seat_unavailable");
        assert_eq!(answer.body["ownBooking"], held["id"]);
    }
}

#[tokio::test]
async fn a_hold_that_has_ended_makes_room_at_once() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let first = dana.booked(&show, &["A2"]).await;

    cancel(&dana, &first).await;
    dana.booked(&show, &["A2"]).await;
    harness.lapse().await;
    let dana = harness.customer("dana");
    let third = dana.booked(&show, &["A2"]).await;
    harness.pay(&third).await;
    let fourth = dana.book(&show, &["A3"]).await;

    assert_eq!(fourth.status, 201);
    harness.reconcile().await;
}

#[tokio::test]
async fn what_a_bank_has_to_decide_is_unpaid() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let session = &booking["checkout"]["sessionId"];
    let debit = json!({ "session": session, "card": SEPA });
    harness.knob("pay", debit).await;
    harness.simulator.settled().await;

    let refused = dana.book(&show, &["A3"]).await;
    let settled = json!({ "session": session, "outcome": "succeeded" });
    harness.knob("settle", settled).await;
    harness.simulator.settled().await;
    let served = dana.book(&show, &["A3"]).await;

    let processing = json!({
        "id": booking["id"], "reference": booking["reference"],
        "holdExpiresAt": "2026-12-05T12:00:00Z",
    });
    refused_for(&refused, 1, &[&processing]);
    assert_eq!(served.status, 201);
    harness.reconcile().await;
}

#[tokio::test]
async fn what_is_refused_leaves_nothing_behind() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let voucher = harness.voucher_with(json!({})).await;
    let dana = harness.customer("dana");
    let held = dana.booked(&show, &["A2"]).await;
    let mut body = order(&show, "A3");
    body["voucher"] = voucher["code"].clone();

    let refused = dana.post_keyed("/api/bookings", body.clone(), "key").await;
    let again = dana.post_keyed("/api/bookings", body.clone(), "key").await;
    cancel(&dana, &held).await;
    let served = dana.post_keyed("/api/bookings", body, "another").await;

    refused_for(&refused, 1, &[&held]);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    refused_for(&again, 1, &[&held]);
    assert_eq!(served.status, 201, "{served:?}");
    assert_eq!(harness.used(&voucher).await, 1);
    assert_eq!(harness.sql("select count(*) from bookings").await, "2");
    harness.reconcile().await;
}

const WAITING: &str = "select count(*) > 0 from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";

/// Another process that is just holding a seat for Dana, and has not committed yet.
const FASTER: [&str; 3] = [
    "select from users where id = 'user_dana' for no key update",
    "insert into bookings (id, reference, user_id, kind, show_id, seats, status, currency,
                           total_minor, due_minor, cancellation_policy, hold_expires_at,
                           created_at, updated_at)
     select gen_random_uuid(), 'HF-FASTER', 'user_dana', kind, show_id, '{A7}', status, currency,
            total_minor, due_minor, cancellation_policy, hold_expires_at, created_at, updated_at
     from bookings",
    "insert into seat_claims (show_id, label, booking_id)
     select show_id, 'A7', id from bookings where reference = 'HF-FASTER'",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_overtaken_in_another_process_is_refused_alone_and_leaves_nothing() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let voucher = harness.voucher_with(json!({})).await;
    harness.customer("dana").get("/api/bookings").await;
    harness.customer("gil").booked(&show, &["A9"]).await;
    let url = harness.app.config.database_url.reveal();
    let mut other = PgConnection::connect(url).await.unwrap();
    let mut faster = other.begin().await.unwrap();
    for statement in FASTER {
        sqlx::query(statement).execute(&mut *faster).await.unwrap();
    }

    let requests = [("dana", "A2"), ("emil", "A3"), ("fay", "A4")];
    let requests = requests.into_iter().map(async |(name, seat)| {
        let mut body = order(&show, seat);
        if name == "dana" {
            body["voucher"] = voucher["code"].clone();
        }
        let caller = harness.customer(name);
        caller.post_keyed("/api/bookings", body, "key").await
    });
    let ours = at_once(&harness.app.batchers.holds, requests);
    let theirs = async {
        while harness.sql(WAITING).await != "true" {
            yield_now().await;
        }
        faster.commit().await.unwrap();
    };
    let (answers, ()) = tokio::join!(ours, theirs);

    answers[0].refused(409, "too_many_holds");
    assert_eq!(answers[0].body["holds"][0]["reference"], "HF-FASTER");
    assert_eq!((answers[1].status, answers[2].status), (201, 201));
    assert_eq!(harness.used(&voucher).await, 0);
    let of_dana = "select string_agg(reference, ',') from bookings where user_id = 'user_dana'";
    assert_eq!(harness.sql(of_dana).await, "HF-FASTER");
    assert_eq!(harness.sql("select count(*) from seat_claims").await, "4");
}

#[tokio::test]
async fn late_money_is_never_refused_for_what_its_buyer_holds_by_then() {
    let harness = TestApp::new().await;
    let show = harness.show_with(json!({ "maxSeatsPerUser": 2 })).await;
    let dana = harness.customer("dana");
    let late = dana.booked(&show, &["A2", "A3"]).await;
    let session = json!({ "session": late["checkout"]["sessionId"] });
    let events = harness.pay_unheard(session).await;
    harness.hear_of_expiry(&late).await;
    let bought = dana.booked(&show, &["A4"]).await;
    harness.pay(&bought).await;
    let mut held = vec![dana.booked(&show, &["A5"]).await];
    for _ in 0..2 {
        held.push(dana.booked(&harness.show().await, &["A2"]).await);
    }

    for body in events.values() {
        assert_eq!(harness.deliver(body).await.status, 200);
    }

    let late = dana.booking(&late).await;
    assert_eq!(late["status"], "confirmed");
    assert_eq!(late["seats"], json!(["A2", "A3"]));
    for booking in held {
        harness.pay(&booking).await;
        assert_eq!(dana.booking(&booking).await["status"], "confirmed");
    }
    harness.reconcile().await;
}
