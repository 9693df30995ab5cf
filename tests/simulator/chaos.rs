//! Misbehaviour by chance: each kind happens, nothing happens when it is off, and a seed tells the
//! same story again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::stage::{NOW, Stage, session_form, text};

const SESSIONS: &str = "/v1/checkout/sessions";
const SEPA: &str = "DE89370400440532013000";
const OF_A_PAYMENT: [&str; 4] = [
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "checkout.session.completed",
];

/// Only this goes wrong, always, and for an hour where it takes time.
async fn always(stage: &Stage, mishap: &str) {
    let hour = 3_600;
    let setting = json!({
        "seed": 1, "only": true, "percent": { mishap: 100 },
        "lateSeconds": hour, "slowSeconds": hour, "bankSeconds": hour, "clockSeconds": hour,
    });
    stage.knob("chaos", setting).await;
}

async fn end(stage: &Stage) {
    stage.knob("chaos", json!({})).await;
}

/// The types of the events that have arrived.
async fn arrived(stage: &Stage) -> Vec<String> {
    stage.simulator.settled().await;
    stage.receiver.kinds()
}

async fn sessions(stage: &Stage) -> usize {
    stage.look("sessions").await.as_array().unwrap().len()
}

/// What goes wrong in a shop with ten sessions: what, and about which. They are paid in this order.
async fn story(seed: u64, order: impl IntoIterator<Item = usize>) -> Vec<String> {
    let stage = Stage::new().await;
    let percent = json!({ "lost_answer": 20, "rate_limit": 20, "stored_error": 0, "late": 50 });
    stage
        .knob(
            "chaos",
            json!({ "seed": seed, "percent": percent, "lateSeconds": 0, "slowSeconds": 0 }),
        )
        .await;
    for number in 0..10 {
        let key = format!("session-{number}");
        let create = async || {
            stage
                .try_post_with_key(&key, SESSIONS, &session_form())
                .await
        };
        while create().await.map_or(0, |reply| reply.status) != 200 {}
    }
    let sessions = stage.look("sessions").await;
    for number in order {
        stage
            .knob(
                "pay",
                json!({ "session": text(sessions.get(number).unwrap(), "id") }),
            )
            .await;
    }
    let report = stage.look("chaos").await;
    let happened = report.get("happened").unwrap();
    let told = |one: &Value| format!("{} {}", text(one, "mishap"), text(one, "about"));
    let mut story: Vec<String> = happened.as_array().unwrap().iter().map(told).collect();
    story.sort();
    story
}

#[tokio::test]
async fn a_seed_tells_the_same_story_again_whatever_happens_side_by_side() {
    let once = story(42, 0..10).await;
    let again = story(42, (0..10).rev()).await;
    let other = story(43, 0..10).await;

    assert_eq!(once, again);
    assert_ne!(once, other);
    assert!(once.len() > 20, "{once:?}");
}

#[tokio::test]
async fn events_can_overtake_each_other() {
    let stage = Stage::new().await;
    always(&stage, "reorder").await;

    stage.paid().await;

    let mut backwards = OF_A_PAYMENT;
    backwards.reverse();
    assert_eq!(arrived(&stage).await, backwards);
}

#[tokio::test]
async fn events_can_come_twice_or_with_an_old_version() {
    let stage = Stage::new().await;
    always(&stage, "double").await;
    stage.paid().await;
    assert_eq!(arrived(&stage).await.len(), 8);

    always(&stage, "old_version").await;
    stage.paid().await;

    assert_eq!(arrived(&stage).await.len(), 12);
    assert_eq!(
        stage.receiver.all()[0].json()["api_version"],
        "2026-09-30.endive"
    );
    assert_eq!(stage.receiver.all()[8].json()["api_version"], "2023-10-16");
}

#[tokio::test]
async fn late_events_come_later() {
    let stage = Stage::new().await;
    always(&stage, "late").await;
    stage.paid().await;
    assert_eq!(arrived(&stage).await, [""; 0]);

    stage.knob("deliver_due", json!({})).await;

    assert_eq!(arrived(&stage).await, OF_A_PAYMENT);
}

#[tokio::test]
async fn a_dropped_event_comes_with_the_next_attempt() {
    let stage = Stage::new().await;
    always(&stage, "drop").await;
    stage.paid().await;
    assert_eq!(arrived(&stage).await, [""; 0]);

    stage.knob("deliver_due", json!({})).await;

    assert_eq!(arrived(&stage).await, OF_A_PAYMENT);
    let log = stage.look("deliveries").await;
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
    let stage = Stage::new().await;
    let spare = json!({ "seed": 1, "only": true, "percent": { "lose": 100 }, "spare": ["checkout.session."] });
    stage.knob("chaos", spare).await;

    stage.paid().await;
    stage.knob("deliver_due", json!({})).await;

    assert_eq!(arrived(&stage).await, ["checkout.session.completed"]);
    end(&stage).await;
    let undelivered = stage.get("/v1/events?delivery_success=false").await.json();
    assert_eq!(undelivered["data"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn events_can_come_before_the_answer_to_their_cause() {
    let stage = Stage::new().await;
    let id = stage.session().await;
    always(&stage, "early").await;

    stage.post(&format!("{SESSIONS}/{id}/expire"), "").await;

    assert_eq!(stage.receiver.kinds(), ["checkout.session.expired"]);
}

#[tokio::test]
async fn a_request_can_be_refused_without_being_executed() {
    let stage = Stage::new().await;
    for (mishap, status) in [("rate_limit", 429), ("error", 500), ("unavailable", 503)] {
        always(&stage, mishap).await;

        let refused = stage.post_with_key(mishap, SESSIONS, &session_form()).await;
        end(&stage).await;
        let again = stage.post_with_key(mishap, SESSIONS, &session_form()).await;

        assert_eq!((refused.status, again.status), (status, 200), "{mishap}");
    }
    assert_eq!(sessions(&stage).await, 3);
}

#[tokio::test]
async fn a_stored_failure_may_have_been_executed() {
    let stage = Stage::new().await;
    always(&stage, "stored_error").await;
    for number in 0..10 {
        assert_eq!(
            stage
                .post_with_key(&format!("key-{number}"), SESSIONS, &session_form())
                .await
                .status,
            500
        );
    }
    end(&stage).await;

    for number in 0..10 {
        assert_eq!(
            stage
                .post_with_key(&format!("key-{number}"), SESSIONS, &session_form())
                .await
                .status,
            500
        );
    }
    let executed = sessions(&stage).await;
    assert!(executed > 0 && executed < 10, "{executed}");
}

#[tokio::test]
async fn a_connection_can_break_before_or_after_execution() {
    let stage = Stage::new().await;
    always(&stage, "reset").await;
    assert!(stage.try_post(SESSIONS, &session_form()).await.is_err());
    assert_eq!(sessions(&stage).await, 0);

    always(&stage, "lost_answer").await;
    assert!(stage.try_post(SESSIONS, &session_form()).await.is_err());
    assert_eq!(sessions(&stage).await, 1);
}

#[tokio::test]
async fn a_request_can_be_slow_before_or_after_execution() {
    for (mishap, executed) in [("slow_request", 0), ("slow_answer", 1)] {
        let stage = Stage::new().await;
        always(&stage, mishap).await;
        let form = session_form();
        let begun = async {
            while stage.look("chaos").await["counts"][mishap] != 1
                || sessions(&stage).await != executed
            {}
        };

        tokio::select! {
            _ = stage.try_post(SESSIONS, &form) => panic!("{mishap} takes an hour"),
            () = begun => {}
        }

        assert_eq!(sessions(&stage).await, executed, "{mishap}");
    }
}

#[tokio::test]
async fn a_delayed_payment_is_decided_by_itself() {
    let stage = Stage::new().await;
    for (percent, outcome) in [(0, "succeeded"), (100, "failed")] {
        let setting = json!({ "seed": 1, "only": true, "percent": { "delayed_fails": percent }, "bankSeconds": 0 });
        stage.knob("chaos", setting).await;
        let session = stage.session().await;

        stage
            .knob("pay", json!({ "session": session, "card": SEPA }))
            .await;

        let told = format!("checkout.session.async_payment_{outcome}");
        let decided = async {
            while !stage.receiver.kinds().contains(&told) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), decided)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_banks_have_decided_is_told_when_it_ends() {
    let stage = Stage::new().await;
    for (mishap, at_first, at_last) in [
        ("refund_waits", "pending", "succeeded"),
        ("refund_fails", "succeeded", "failed"),
    ] {
        always(&stage, mishap).await;
        let (_, intent) = stage.paid().await;

        let refund = stage
            .post("/v1/refunds", &format!("payment_intent={intent}"))
            .await
            .json();
        end(&stage).await;

        assert_eq!(refund["status"], at_first, "{mishap}");
        let refund = stage
            .get(&format!("/v1/refunds/{}", text(&refund, "id")))
            .await
            .json();
        assert_eq!(refund["status"], at_last, "{mishap}");
    }
}

#[tokio::test]
async fn the_clock_can_jump_and_is_right_again_at_the_end() {
    let stage = Stage::new().await;
    let seconds_off = async || {
        let now = text(&stage.look("clock").await, "now")
            .parse::<DateTime<Utc>>()
            .unwrap();
        now.timestamp() - NOW
    };
    always(&stage, "clock_jump").await;

    stage.get("/v1/balance").await;
    let off = seconds_off().await;
    stage.get("/v1/balance").await;
    let off_again = seconds_off().await;
    end(&stage).await;

    assert!(
        off != 0 && off_again != off && off.abs() <= 3_600 && off_again.abs() <= 3_600,
        "{off} {off_again}"
    );
    assert_eq!(seconds_off().await, 0);
}

#[tokio::test]
async fn all_is_well_when_it_has_ended_or_was_reset() {
    let stage = Stage::new().await;
    for how in ["chaos", "reset"] {
        stage.simulator.unleash(7);
        assert_eq!(stage.look("chaos").await["seed"], 7);
        let before = arrived(&stage).await.len();

        stage.knob(how, json!({})).await;
        for _ in 0..20 {
            stage.paid().await;
        }

        assert_eq!(
            arrived(&stage).await.len(),
            before + 20 * OF_A_PAYMENT.len(),
            "{how}"
        );
        assert_eq!(stage.look("chaos").await, json!(null));
    }
}

#[tokio::test]
async fn a_setting_that_is_not_known_is_refused() {
    let stage = Stage::new().await;

    let refused = stage
        .turn(
            "chaos",
            json!({ "seed": 1, "percent": { "earthquake": 100 } }),
        )
        .await;

    assert_eq!(refused.status, 400);
    assert_eq!(stage.look("chaos").await, json!(null));
}
