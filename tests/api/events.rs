//! Events that are strange: stored, answered with 2xx, and never taken for money.

mod given_up;
mod odd;

use chrono::TimeDelta;
use holdfast::app::{Batched, ReceivedEvent};
use holdfast::domain::job::Job;
use holdfast::domain::payment::SettledBy;
use holdfast::gateways::stripe::event;
use holdfast::jobs;
use holdfast::settlement::settle_events;
use serde_json::{Value, json};
use tracing::Span;

use crate::harness::{Answer, TestApp, cut_short};

/// Makes an event strange.
type Change = fn(&mut Value);

/// An event that pays the pending booking of A2, delivered to nobody yet.
async fn paying(harness: &TestApp) -> (Value, Value) {
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    (
        booking,
        serde_json::from_str(&events["checkout.session.completed"]).unwrap(),
    )
}

#[tokio::test]
async fn strange_events_are_stored_and_ignored_with_a_reason() {
    let harness = TestApp::new().await;
    let (booking, event) = paying(&harness).await;
    let cases: [(&str, Change); 12] = [
        ("unknown type", |event| {
            event["type"] = json!("wibble.created");
        }),
        ("unknown type of a session", |event| {
            event["type"] = json!("checkout.session.wibbled");
        }),
        ("unknown payment status", |event| {
            event["data"]["object"]["payment_status"] = json!("wibble");
        }),
        ("no payment status", |event| {
            event["data"]["object"]["payment_status"] = json!(null);
        }),
        ("nothing was to be paid", |event| {
            event["data"]["object"]["payment_status"] = json!("no_payment_required");
        }),
        ("live mode", |event| event["livemode"] = json!(true)),
        ("a connected account", |event| {
            event["account"] = json!("acct_1");
        }),
        ("an object of another kind", |event| {
            event["data"]["object"]["object"] = json!("payment_intent");
        }),
        ("an empty object", |event| {
            event["data"]["object"] = json!({});
        }),
        ("a payment intent that has not succeeded", |event| {
            event["type"] = json!("payment_intent.succeeded");
            event["data"]["object"] =
                json!({ "object": "payment_intent", "id": "pi_1", "status": "processing" });
        }),
        ("another application's session", |event| {
            event["data"]["object"]["id"] = json!("cs_test_other");
            event["data"]["object"]["payment_intent"] = json!("pi_other");
            event["data"]["object"]["metadata"] = json!({ "app": "other" });
        }),
        ("metadata that is no object", |event| {
            event["data"]["object"]["id"] = json!("cs_test_other");
            event["data"]["object"]["payment_intent"] = json!(null);
            event["data"]["object"]["metadata"] = json!([1, "two"]);
        }),
    ];
    for (number, (what, change)) in cases.into_iter().enumerate() {
        let mut strange = event.clone();
        let id = format!("evt_strange{number}");
        strange["id"] = json!(id);
        change(&mut strange);

        let answer = harness.deliver(&strange.to_string()).await;

        assert_eq!(
            (answer.status, answer.body["outcome"].as_str()),
            (200, Some("ignored")),
            "{what}: {answer:?}"
        );
        let reason = harness
            .sql(&format!(
                "select status || ': ' || outcome from payment_events where id = '{id}'"
            ))
            .await;
        assert!(
            reason.starts_with("ignored: ") && reason.len() > 15,
            "{what}: {reason}"
        );
    }
    assert_eq!(
        harness.customer("dana").booking(&booking).await["status"],
        "pending"
    );
    assert_eq!(harness.sql("select count(*) from payments").await, "0");
}

/// Several installations may share an account of Stripe's.
#[tokio::test]
async fn what_another_installation_has_made_is_ignored_and_what_names_us_waits() {
    let harness = TestApp::with(&[("APP_NAME", "riverside")]).await;
    for (app, outcome) in [("holdfast", "ignored"), ("riverside", "deferred")] {
        let event = json!({
            "id": format!("evt_of_{app}"), "object": "event", "livemode": false,
            "created": harness.now().timestamp(), "type": "checkout.session.expired",
            "data": { "object": {
                "id": format!("cs_of_{app}"), "object": "checkout.session", "status": "expired",
                "payment_status": "unpaid", "metadata": { "app": app },
            } },
        });

        let answer = harness.deliver(&event.to_string()).await;

        assert_eq!(answer.body["outcome"], outcome, "{answer:?}");
    }
}

#[tokio::test]
async fn a_paying_event_of_another_shape_still_pays() {
    let cases: [(&str, Change); 9] = [
        ("an older API version", |event| {
            event["api_version"] = json!("2020-08-27");
        }),
        ("a later API version", |event| {
            event["api_version"] = json!("2031-01-01.zinnia");
        }),
        ("no API version", |event| event["api_version"] = json!(null)),
        ("an expanded payment intent", |event| {
            let id = event["data"]["object"]["payment_intent"].clone();
            event["data"]["object"]["payment_intent"] =
                json!({ "id": id, "object": "payment_intent", "new": [1] });
        }),
        ("no payment intent", |event| {
            event["data"]["object"]["payment_intent"] = json!(null);
        }),
        ("150 kB", |event| {
            event["data"]["object"]["wibble"] = json!("x".repeat(150_000));
        }),
        ("a name that we do not have any more", |event| {
            event["data"]["object"]["metadata"] = json!({ "app": "riverside" });
        }),
        ("no metadata", |event| {
            event["data"]["object"]["metadata"] = json!({});
        }),
        ("members that nobody knows", |event| {
            event["wibble"] = json!({ "a": [null, 1.5, "\u{1F9D6}"] });
            event["request"] = json!("req_1");
            event["data"]["previous_attributes"] = json!("odd");
            event["data"]["object"]["status"] = json!("wibble");
        }),
    ];
    for (what, change) in cases {
        let harness = TestApp::new().await;
        let (booking, mut event) = paying(&harness).await;
        change(&mut event);

        let answer = harness.deliver(&event.to_string()).await;

        assert_eq!(answer.body["outcome"], "processed", "{what}: {answer:?}");
        assert_eq!(
            harness.customer("dana").booking(&booking).await["status"],
            "confirmed",
            "{what}"
        );
        harness.reconcile().await;
    }
}

#[tokio::test]
async fn what_is_signed_but_no_event_is_malformed() {
    let harness = TestApp::new().await;
    let thin = json!({
        "id": "evt_1", "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered", "livemode": false,
        "created": "2026-09-17T06:20:52.246Z",
    });
    for body in [
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "not json".to_owned(),
        r#"{"hello":"world"}"#.to_owned(),
        thin.to_string(),
        json!({
            "id": "", "object": "event", "type": "a", "created": 1, "livemode": false,
            "data": { "object": {} },
        })
        .to_string(),
        json!({ "id": "evt\u{0}", "object": "event", "type": "a", "created": 1, "livemode": false,
                "data": { "object": {} } })
        .to_string(),
        "[".repeat(100_000),
    ] {
        harness
            .deliver(&body)
            .await
            .refused(400, "malformed_request");
    }
    assert_eq!(
        harness.sql("select count(*) from payment_events").await,
        "0"
    );
}

/// Delivers an event of ours that matches nothing.
async fn deliver_unmatched(harness: &TestApp) -> Answer {
    let (_, mut event) = paying(harness).await;
    event["id"] = json!("evt_unmatched");
    event["data"]["object"]["id"] = json!("cs_test_unknown");
    event["data"]["object"]["payment_intent"] = json!("pi_unknown");
    event["data"]["object"]["metadata"]["attemptId"] =
        json!("01930000-0000-7000-8000-000000000000");
    harness.deliver(&event.to_string()).await
}

#[tokio::test]
async fn an_event_of_ours_that_matches_nothing_yet_waits() {
    let harness = TestApp::new().await;

    let answer = deliver_unmatched(&harness).await;

    assert_eq!(answer.body["outcome"], "deferred");
    assert_eq!(
        harness
            .sql("select status || ' ' || coalesce(processed_at::text, '-') from payment_events")
            .await,
        "deferred -"
    );
}

#[tokio::test]
async fn an_event_that_waits_and_has_lost_its_job_gets_another() {
    let harness = TestApp::new().await;
    deliver_unmatched(&harness).await;
    let waits = "select count(*) from jobs where kind = 'settleEvent'";
    assert_eq!(harness.sql(waits).await, "1");
    sqlx::query("delete from jobs where kind = 'settleEvent'")
        .execute(harness.db())
        .await
        .unwrap();
    let sweep = async || jobs::perform(&harness.app, &Job::Sweep).await.unwrap();

    sweep().await;
    let at_once = harness.sql(waits).await;
    harness.advance(TimeDelta::minutes(3)).await;
    for _ in 0..2 {
        sweep().await;
    }

    assert_eq!(
        (at_once.as_str(), harness.sql(waits).await.as_str()),
        ("0", "1")
    );
}

#[tokio::test]
async fn an_event_that_matches_nothing_for_days_is_left_to_a_person() {
    let harness = TestApp::new().await;
    deliver_unmatched(&harness).await;

    harness
        .advance(TimeDelta::days(3) + TimeDelta::seconds(1))
        .await;
    harness.run_jobs().await;
    harness.run_jobs().await;

    let event = "select status || ': ' || outcome from payment_events where id = 'evt_unmatched'";
    let given_up = "failed: failed: what it is about has never come";
    assert_eq!(harness.sql(event).await, given_up);
    let discrepancies = "select string_agg(kind || ' ' || subject || ' '
                                  || (theirs -> 'said' -> 'captured' ->> 'amountMinor'), ', ')
                         from discrepancies";
    assert_eq!(
        harness.sql(discrepancies).await,
        "event_unmatched evt_unmatched 1200"
    );
}

#[tokio::test]
async fn an_event_without_app_but_with_a_session_of_ours_is_ours() {
    let harness = TestApp::new().await;
    let (booking, mut event) = paying(&harness).await;
    event["data"]["object"]["metadata"] = json!({ "note": "by hand" });

    let answer = harness.deliver(&event.to_string()).await;

    assert_eq!(answer.body["outcome"], "processed");
    assert_eq!(
        harness.customer("dana").booking(&booking).await["status"],
        "confirmed"
    );
    harness.reconcile().await;
}

#[tokio::test]
async fn the_payload_is_kept_as_it_came() {
    let harness = TestApp::new().await;
    let body = r#"{ "id":"evt_1", "object":"event", "type":"wibble.created", "created":1795000070,
        "livemode":false, "data":{"object":{"name":"Zo\u00eb \ud83d\ude00", "odd":"\ud800",
        "nul":"\u0000"}} }"#;

    let answer = harness.deliver(body).await;

    assert_eq!(answer.body["outcome"], "ignored");
    assert_eq!(
        harness.sql("select payload from payment_events").await,
        body
    );
}

#[tokio::test]
async fn a_caller_who_hangs_up_leaves_no_transaction_open() {
    let harness = TestApp::holding_freely().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let events = harness
        .pay_unheard(json!({ "session": booking["checkout"]["sessionId"] }))
        .await;
    let body = &events["checkout.session.completed"];
    let request = ReceivedEvent {
        event: event::parse(body).unwrap(),
        payload: body.clone(),
        settled_by: SettledBy::Webhook,
    };
    let batch = [Batched {
        request,
        span: Span::none(),
    }];

    // Whatever the next ones write outside a transaction of their own must be there for everyone.
    for (polls, seat) in ["A3", "A4", "A5", "A6", "A7", "A8"].into_iter().enumerate() {
        let cut = cut_short(
            settle_events(&harness.app, &batch),
            u32::try_from(polls).unwrap() + 1,
        )
        .await;
        let other = dana.booked(&show, &[seat]).await;
        let stored = format!(
            "select status from checkout_attempts where booking_id = '{}'",
            other["id"].as_str().unwrap()
        );
        assert_eq!(
            harness.sql(&stored).await,
            "open",
            "after {} polls: {cut:?}",
            polls + 1
        );
    }
}
