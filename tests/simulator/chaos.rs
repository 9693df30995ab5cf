//! Misbehaviour by chance: each kind happens, nothing happens when it is off, and a seed makes the
//! same story again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::harness::{Harness, NOW, session_form, text};

const SESSIONS: &str = "/v1/checkout/sessions";
const SEPA: &str = "DE89370400440532013000";
const OF_A_PAYMENT: [&str; 4] = [
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "checkout.session.completed",
];

/// Only this goes wrong, always, and for an hour where it takes time.
async fn always(harness: &Harness, mishap: &str) {
    let hour = 3_600;
    let setting = json!({
        "seed": 1, "only": true, "percent": { mishap: 100 },
        "lateSeconds": hour, "slowSeconds": hour, "bankSeconds": hour, "clockSeconds": hour,
    });
    harness.knob("chaos", setting).await;
}

async fn end(harness: &Harness) {
    harness.knob("chaos", json!({})).await;
}

/// The types of the events that have arrived.
async fn arrived(harness: &Harness) -> Vec<String> {
    harness.simulator.settled().await;
    harness.receiver.kinds()
}

async fn sessions(harness: &Harness) -> usize {
    harness.look("sessions").await.as_array().unwrap().len()
}

/// What goes wrong in a shop with ten sessions: what, and about which. They are paid in this order.
async fn story(seed: u64, order: impl IntoIterator<Item = usize>) -> Vec<String> {
    let harness = Harness::new().await;
    let percent = json!({ "lost_answer": 20, "rate_limit": 20, "stored_error": 0, "late": 50 });
    harness
        .knob(
            "chaos",
            json!({ "seed": seed, "percent": percent, "lateSeconds": 0, "slowSeconds": 0 }),
        )
        .await;
    for number in 0..10 {
        let key = format!("session-{number}");
        let create = async || {
            harness
                .try_post_with_key(&key, SESSIONS, &session_form())
                .await
        };
        while create().await.map_or(0, |reply| reply.status) != 200 {}
    }
    let sessions = harness.look("sessions").await;
    for number in order {
        harness
            .knob(
                "pay",
                json!({ "session": text(sessions.get(number).unwrap(), "id") }),
            )
            .await;
    }
    let report = harness.look("chaos").await;
    let happened = report.get("happened").unwrap();
    let summary = |one: &Value| format!("{} {}", text(one, "mishap"), text(one, "about"));
    let mut story: Vec<String> = happened.as_array().unwrap().iter().map(summary).collect();
    story.sort();
    story
}

#[tokio::test]
async fn a_seed_makes_the_same_story_again_whatever_happens_side_by_side() {
    let once = story(42, 0..10).await;
    let again = story(42, (0..10).rev()).await;
    let other = story(43, 0..10).await;

    assert_eq!(once, again);
    assert_ne!(once, other);
    assert!(once.len() > 20, "{once:?}");
}

#[tokio::test]
async fn events_can_overtake_each_other() {
    let harness = Harness::new().await;
    always(&harness, "reorder").await;

    harness.paid().await;

    let mut backwards = OF_A_PAYMENT;
    backwards.reverse();
    assert_eq!(arrived(&harness).await, backwards);
}

#[tokio::test]
async fn events_can_come_twice_or_with_an_old_version() {
    let harness = Harness::new().await;
    always(&harness, "double").await;
    harness.paid().await;
    assert_eq!(arrived(&harness).await.len(), 8);

    always(&harness, "old_version").await;
    harness.paid().await;

    assert_eq!(arrived(&harness).await.len(), 12);
    assert_eq!(
        harness.receiver.all()[0].json()["api_version"],
        "2026-09-30.endive"
    );
    assert_eq!(
        harness.receiver.all()[8].json()["api_version"],
        "2023-10-16"
    );
}

#[tokio::test]
async fn late_events_come_later() {
    let harness = Harness::new().await;
    always(&harness, "late").await;
    harness.paid().await;
    assert_eq!(arrived(&harness).await, [""; 0]);

    harness.knob("deliver_due", json!({})).await;

    assert_eq!(arrived(&harness).await, OF_A_PAYMENT);
}

#[tokio::test]
async fn a_dropped_event_comes_with_the_next_attempt() {
    let harness = Harness::new().await;
    always(&harness, "drop").await;
    harness.paid().await;
    assert_eq!(arrived(&harness).await, [""; 0]);

    harness.knob("deliver_due", json!({})).await;

    assert_eq!(arrived(&harness).await, OF_A_PAYMENT);
    let log = harness.look("deliveries").await;
    assert_eq!(
        (&log[0]["outcome"], &log[0]["attempt"]),
        (&json!("dropped"), &json!(1))
    );
    assert_eq!(
        (&log[4]["outcome"], &log[4]["attempt"]),
        (&json!("acknowledged"), &json!(2))
    );
}

#[tokio::test]
async fn a_lost_event_never_comes_unless_its_type_is_spared() {
    let harness = Harness::new().await;
    let spare = json!({
        "seed": 1, "only": true, "percent": { "lose": 100 }, "spare": ["checkout.session."],
    });
    harness.knob("chaos", spare).await;

    harness.paid().await;
    harness.knob("deliver_due", json!({})).await;

    assert_eq!(arrived(&harness).await, ["checkout.session.completed"]);
    end(&harness).await;
    let undelivered = harness
        .get("/v1/events?delivery_success=false")
        .await
        .json();
    assert_eq!(undelivered["data"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn events_can_come_before_the_answer_to_their_cause() {
    let harness = Harness::new().await;
    let id = harness.session().await;
    always(&harness, "early").await;

    harness.post(&format!("{SESSIONS}/{id}/expire"), "").await;

    assert_eq!(harness.receiver.kinds(), ["checkout.session.expired"]);
}

#[tokio::test]
async fn a_request_can_be_refused_without_being_executed() {
    let harness = Harness::new().await;
    for (mishap, status) in [("rate_limit", 429), ("error", 500), ("unavailable", 503)] {
        always(&harness, mishap).await;

        let refused = harness
            .post_with_key(mishap, SESSIONS, &session_form())
            .await;
        end(&harness).await;
        let again = harness
            .post_with_key(mishap, SESSIONS, &session_form())
            .await;

        assert_eq!((refused.status, again.status), (status, 200), "{mishap}");
    }
    assert_eq!(sessions(&harness).await, 3);
}

#[tokio::test]
async fn a_stored_failure_may_have_been_executed() {
    let harness = Harness::new().await;
    always(&harness, "stored_error").await;
    for number in 0..10 {
        assert_eq!(
            harness
                .post_with_key(&format!("key-{number}"), SESSIONS, &session_form())
                .await
                .status,
            500
        );
    }
    end(&harness).await;

    for number in 0..10 {
        assert_eq!(
            harness
                .post_with_key(&format!("key-{number}"), SESSIONS, &session_form())
                .await
                .status,
            500
        );
    }
    let executed = sessions(&harness).await;
    assert!(executed > 0 && executed < 10, "{executed}");
}

#[tokio::test]
async fn a_connection_can_break_before_or_after_execution() {
    let harness = Harness::new().await;
    always(&harness, "reset").await;
    assert!(harness.try_post(SESSIONS, &session_form()).await.is_err());
    assert_eq!(sessions(&harness).await, 0);

    always(&harness, "lost_answer").await;
    assert!(harness.try_post(SESSIONS, &session_form()).await.is_err());
    assert_eq!(sessions(&harness).await, 1);
}

#[tokio::test]
async fn a_request_can_be_slow_before_or_after_execution() {
    for (mishap, executed) in [("slow_request", 0), ("slow_answer", 1)] {
        let harness = Harness::new().await;
        always(&harness, mishap).await;
        let form = session_form();
        let begun = async {
            while harness.look("chaos").await["counts"][mishap] != 1
                || sessions(&harness).await != executed
            {}
        };

        tokio::select! {
            _ = harness.try_post(SESSIONS, &form) => panic!("{mishap} takes an hour"),
            () = begun => {}
        }

        assert_eq!(sessions(&harness).await, executed, "{mishap}");
    }
}

#[tokio::test]
async fn a_delayed_payment_is_decided_by_itself() {
    let harness = Harness::new().await;
    for (percent, outcome) in [(0, "succeeded"), (100, "failed")] {
        let setting = json!({
            "seed": 1, "only": true, "percent": { "delayed_fails": percent }, "bankSeconds": 0,
        });
        harness.knob("chaos", setting).await;
        let session = harness.session().await;

        harness
            .knob("pay", json!({ "session": session, "card": SEPA }))
            .await;

        let wanted = format!("checkout.session.async_payment_{outcome}");
        let decided = async {
            while !harness.receiver.kinds().contains(&wanted) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), decided)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_banks_have_decided_is_said_when_it_ends() {
    let harness = Harness::new().await;
    for (mishap, at_first, at_last) in [
        ("refund_waits", "pending", "succeeded"),
        ("refund_fails", "succeeded", "failed"),
    ] {
        always(&harness, mishap).await;
        let (_, intent) = harness.paid().await;

        let refund = harness
            .post("/v1/refunds", &format!("payment_intent={intent}"))
            .await
            .json();
        end(&harness).await;

        assert_eq!(refund["status"], at_first, "{mishap}");
        let refund = harness
            .get(&format!("/v1/refunds/{}", text(&refund, "id")))
            .await
            .json();
        assert_eq!(refund["status"], at_last, "{mishap}");
    }
}

#[tokio::test]
async fn the_clock_can_jump_and_is_right_again_at_the_end() {
    let harness = Harness::new().await;
    let seconds_off = async || {
        let now = text(&harness.look("clock").await, "now")
            .parse::<DateTime<Utc>>()
            .unwrap();
        now.timestamp() - NOW
    };
    always(&harness, "clock_jump").await;

    harness.get("/v1/balance").await;
    let off = seconds_off().await;
    harness.get("/v1/balance").await;
    let off_again = seconds_off().await;
    end(&harness).await;

    assert!(
        off != 0 && off_again != off && off.abs() <= 3_600 && off_again.abs() <= 3_600,
        "{off} {off_again}"
    );
    assert_eq!(seconds_off().await, 0);
}

#[tokio::test]
async fn all_is_well_when_it_has_ended_or_was_reset() {
    let harness = Harness::new().await;
    for how in ["chaos", "reset"] {
        harness.simulator.start_chaos(7);
        assert_eq!(harness.look("chaos").await["seed"], 7);
        let before = arrived(&harness).await.len();

        harness.knob(how, json!({})).await;
        for _ in 0..20 {
            harness.paid().await;
        }

        assert_eq!(
            arrived(&harness).await.len(),
            before + 20 * OF_A_PAYMENT.len(),
            "{how}"
        );
        assert_eq!(harness.look("chaos").await, json!(null));
    }
}

#[tokio::test]
async fn a_setting_that_is_not_known_is_refused() {
    let harness = Harness::new().await;

    let refused = harness
        .turn(
            "chaos",
            json!({ "seed": 1, "percent": { "earthquake": 100 } }),
        )
        .await;

    assert_eq!(refused.status, 400);
    assert_eq!(harness.look("chaos").await, json!(null));
}
