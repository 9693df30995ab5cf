//! Events that are signed but odd: whatever has the id of an event is stored, and what can be read
//! of it counts. What is refused would come again for three days, and then never.

use reqwest::Method;
use serde_json::{Value, json};

use super::paying;
use crate::harness::{SECRET, TestApp, send, sign};

/// Where a case puts what no JSON value of ours can hold.
const PLACE: &str = "@odd";

/// The body of an event with `odd`, letter by letter, in its [`PLACE`].
fn body_with(event: &Value, odd: &str) -> String {
    event.to_string().replace(&format!("\"{PLACE}\""), odd)
}

fn deep(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[tokio::test]
async fn what_is_odd_beside_the_payment_still_pays() {
    let depth = deep(100_000);
    let half_deep = format!("{}{}", r#"{"a":"#.repeat(200), "1") + &"}".repeat(200);
    let in_members = [
        ("a lone high surrogate", r#""\ud800""#),
        ("a lone low surrogate", r#""x\udc00y""#),
        ("a high surrogate twice", r#""\ud83d\ud83d\ude00""#),
        ("an escaped backslash before u", r#""\\ud800 \" \u00e9""#),
        ("U+0000", r#""\u0000""#),
        ("a number beyond a double", "1e999"),
        ("a number far below a double", "[-1E+400, 1e-400]"),
        ("a long integer", "123456789012345678901234567890"),
        ("a key twice", r#"{ "a": 1, "a": [2] }"#),
        ("great depth", &depth),
        ("depth of objects", &half_deep),
    ];
    let places = [
        "/data/object/currency_conversion",
        "/data/object/metadata/note",
        "/data/object/customer_details",
        "/data/previous_attributes",
        "/request",
    ];
    let harness = TestApp::new().await;
    for (what, odd) in in_members {
        for place in places {
            let (booking, mut event) = paying(&harness).await;
            let (parent, name) = place.rsplit_once('/').unwrap();
            event.pointer_mut(parent).unwrap()[name] = json!(PLACE);
            let body = body_with(&event, odd);

            let answer = harness.deliver(&body).await;

            assert_eq!(
                answer.body["outcome"], "processed",
                "{what} in {place}: {answer:?}"
            );
            let status = &harness.customer("dana").booking(&booking).await["status"];
            assert_eq!(status, "confirmed", "{what} in {place}");
            let id = event["id"].as_str().unwrap();
            let stored = format!("select payload from payment_events where id = '{id}'");
            assert_eq!(harness.sql(&stored).await, body, "{what} in {place}");
        }
    }
    harness.reconcile().await;
}

/// The remarks of a payment that does not match are kept as `jsonb`.
#[tokio::test]
async fn what_cannot_be_kept_of_a_payment_that_differs_does_not_lose_it() {
    let harness = TestApp::new().await;
    let (booking, mut event) = paying(&harness).await;
    event["data"]["object"]["amount_total"] = json!(1);
    event["data"]["object"]["presentment_details"] = json!({ "a": "\u{0}" });

    let answer = harness.deliver(&event.to_string()).await;

    assert_eq!(answer.body["outcome"], "processed", "{answer:?}");
    assert_eq!(
        harness.customer("dana").booking(&booking).await["status"],
        "review"
    );
}

#[tokio::test]
async fn a_key_given_twice_counts_as_it_is_given_last() {
    let harness = TestApp::new().await;
    for twice in ["id", "type", "created", "livemode", "data", "object"] {
        let (booking, event) = paying(&harness).await;
        let body = event.to_string();
        let body = body.replacen('{', &format!("{{\"{twice}\":\"first\","), 1);

        let answer = harness.deliver(&body).await;

        assert_eq!(answer.body["outcome"], "processed", "{twice}: {answer:?}");
        assert_eq!(
            harness.customer("dana").booking(&booking).await["status"],
            "confirmed"
        );
    }
}

#[tokio::test]
async fn a_time_with_a_fraction_is_a_time() {
    let harness = TestApp::new().await;
    let (booking, mut event) = paying(&harness).await;
    event["created"] = json!(1_795_262_401.25);

    let answer = harness.deliver(&event.to_string()).await;

    assert_eq!(answer.body["outcome"], "processed", "{answer:?}");
    assert_eq!(
        harness.customer("dana").booking(&booking).await["status"],
        "confirmed"
    );
    assert_eq!(
        harness
            .sql("select extract(epoch from captured_at) from payments")
            .await,
        "1795262401.250000"
    );
}

#[tokio::test]
async fn what_says_too_little_is_stored_and_ignored_with_the_reason() {
    let harness = TestApp::new().await;
    let (booking, event) = paying(&harness).await;
    let no_mode = "ignored: it does not say whether it is of test or of live mode";
    let no_time = "ignored: it does not say when it was created";
    let no_type = "ignored: its type cannot be read";
    let cases = [
        ("livemode", None, no_mode),
        ("livemode", Some("null"), no_mode),
        ("livemode", Some(r#""false""#), no_mode),
        ("created", None, no_time),
        ("created", Some("null"), no_time),
        ("created", Some(r#""yesterday""#), no_time),
        ("created", Some("-1"), no_time),
        ("created", Some("1e300"), no_time),
        ("created", Some("1e999"), no_time),
        ("type", None, no_type),
        ("type", Some("7"), no_type),
        ("type", Some(r#""a b""#), no_type),
        ("type", Some(r#""\u0000""#), no_type),
        (
            "account",
            Some("{}"),
            "ignored: it belongs to a connected account",
        ),
    ];
    for (number, (name, odd, reason)) in cases.into_iter().enumerate() {
        let mut event = event.clone();
        let id = format!("evt_odd{number}");
        event["id"] = json!(id);
        event[name] = json!(PLACE);
        if odd.is_none() {
            event.as_object_mut().unwrap().remove(name);
        }
        let body = body_with(&event, odd.unwrap_or_default());

        let first = harness.deliver(&body).await;
        let second = harness.deliver(&body).await;

        assert_eq!(
            first.body["outcome"], "ignored",
            "{name} {odd:?}: {first:?}"
        );
        assert_eq!(second.body["outcome"], "duplicate", "{name} {odd:?}");
        let outcome = format!("select outcome from payment_events where id = '{id}'");
        assert!(
            reason.ends_with(&harness.sql(&outcome).await),
            "{name} {odd:?}: {}",
            harness.sql(&outcome).await
        );
    }
    let booking = harness.customer("dana").booking(&booking).await;
    assert_eq!(booking["status"], "pending");
}

#[tokio::test]
async fn an_event_that_does_not_call_itself_one_is_known_by_its_id() {
    let harness = TestApp::new().await;

    let nameless = harness.deliver(r#"{"id":"evt_1"}"#).await;
    let other = harness.deliver(r#"{"id":"cus_1"}"#).await;
    let thin = harness
        .deliver(r#"{"id":"evt_2","object":"v2.core.event"}"#)
        .await;

    assert_eq!(nameless.body["outcome"], "ignored", "{nameless:?}");
    other.refused(400, "malformed_request");
    thin.refused(400, "malformed_request");
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_stored_as_far_as_it_is() {
    let harness = TestApp::new().await;
    let now = harness.now().timestamp();
    let body = b"{\"id\":\"evt_1\",\"object\":\"event\",\"note\":\"a\xff\"}";
    let signature = format!("t={now},v1={}", sign(SECRET, now, body));

    let request = harness
        .request(Method::POST, "/api/stripe")
        .header("stripe-signature", signature);
    let answer = send(request.body(body.to_vec())).await;

    assert_eq!(answer.body["outcome"], "ignored", "{answer:?}");
    assert!(
        harness
            .sql("select payload from payment_events")
            .await
            .contains("a\u{fffd}")
    );
}

#[tokio::test]
async fn depth_and_a_nul_do_not_make_an_event_of_what_is_none() {
    let harness = TestApp::new().await;
    let deep = deep(1_000);
    for body in [
        format!(r#"{{"a":{deep}}}"#),
        format!(r#"{{"id":"evt_1","object":"event","a":{deep}"#),
        format!(r#"{{"id":"evt_1","object":"event","a":{deep},"b":"#),
        "{\"id\":\"evt_1\",\"object\":\"event\",\"a\":[[\"\0\"]],\"a\":1}".to_owned(),
        r#"{"id":"evt_1","object":"event","a":1e999,"b":"\ud8"#.to_owned(),
        r#"{"id":"evt_1","object":"event","a":-}"#.to_owned(),
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

#[tokio::test]
async fn a_slash_at_the_end_of_the_path_makes_no_difference() {
    let harness = TestApp::new().await;
    let (booking, event) = paying(&harness).await;
    let body = event.to_string();
    let request = harness
        .request(Method::POST, "/api/stripe/")
        .header("stripe-signature", harness.signature(&body));

    let answer = send(request.body(body)).await;

    assert_eq!(answer.body["outcome"], "processed", "{answer:?}");
    assert_eq!(
        harness.customer("dana").booking(&booking).await["status"],
        "confirmed"
    );
    let unsigned = harness.request(Method::POST, "/api/stripe/").body("{}");
    send(unsigned).await.refused(400, "invalid_signature");
    let read = harness.request(Method::GET, "/api/stripe/");
    send(read).await.refused(405, "method_not_allowed");
}
