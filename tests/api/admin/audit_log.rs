//! What admins do is logged, each thing once, in a chain that cannot be changed unseen.

use holdfast::domain::audit::ChainEnd;
use holdfast::repositories::audit_log;
use reqwest::Method;
use serde_json::{Value, json};

use super::paid_unheard;
use crate::harness::{TestApp, send};

const AUDIT: &str = "/api/admin/audit";

/// What is logged, oldest first, as action and subject.
async fn logged(harness: &TestApp, query: &str) -> Vec<(String, String)> {
    let list = harness.admin().get(&format!("{AUDIT}?{query}")).await.body;
    let entries = list["items"].as_array().unwrap().iter().rev();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    entries
        .map(|entry| (text(&entry["action"]), text(&entry["subject"])))
        .collect()
}

/// Follows the chain to its end, and says how many entries it has.
async fn chain_length(harness: &TestApp) -> Option<i64> {
    let entries = audit_log::list_after(harness.db(), 0, 1_000).await.unwrap();
    let mut end = ChainEnd::default();
    for entry in entries {
        end = end.followed_by(&entry)?;
    }
    Some(end.number)
}

#[tokio::test]
async fn each_thing_that_an_admin_does_is_logged() {
    let harness = TestApp::new().await;
    let admin = harness.admin();
    let movie = admin
        .post("/api/admin/movies", json!({ "title": "Metropolis" }))
        .await;
    let (booking, body) = paid_unheard(&harness).await;
    let mut event: Value = serde_json::from_str(&body).unwrap();
    event["data"]["object"]["amount_total"] = json!(1_199);
    harness.deliver(&event.to_string()).await;
    let event = event["id"].as_str().unwrap();
    let discrepancy = harness.sql("select id from discrepancies").await;
    let booking = booking["id"].as_str().unwrap();
    let posts = [
        format!("/api/admin/payment-events/{event}/replay"),
        format!("/api/admin/discrepancies/{discrepancy}/dismiss"),
        format!("/api/admin/bookings/{booking}/verify"),
        "/api/admin/reconciliations".to_owned(),
    ];
    let mut last = Value::Null;
    for path in posts {
        let answer = admin.post(&path, json!({})).await;
        assert!(answer.status < 300, "{path}: {answer:?}");
        last = answer.body;
    }

    let logged = logged(&harness, "").await;

    let show = harness.sql("select id from shows").await;
    let expected = [
        ("createMovie", movie.body["id"].as_str().unwrap()),
        ("createShow", &show),
        ("replayPaymentEvent", event),
        ("dismissDiscrepancy", &discrepancy),
        ("verifyBooking", booking),
        ("beginReconciliation", last["id"].as_str().unwrap()),
    ];
    let expected = expected.map(|(action, subject)| (action.to_owned(), subject.to_owned()));
    assert_eq!(logged, expected);
    assert_eq!(chain_length(&harness).await, Some(6));
    let of_booking = self::logged(&harness, &format!("subject={booking}")).await;
    assert_eq!(
        of_booking,
        [("verifyBooking".to_owned(), booking.to_owned())]
    );
    assert_eq!(self::logged(&harness, "actor=nobody").await, []);
}

#[tokio::test]
async fn an_entry_names_who_why_and_the_request() {
    let harness = TestApp::new().await;
    let (_, body) = paid_unheard(&harness).await;
    harness.deliver(&body).await;
    let event: Value = serde_json::from_str(&body).unwrap();
    let path = format!(
        "/api/admin/payment-events/{}/replay",
        event["id"].as_str().unwrap()
    );
    let request = harness.admin().request(Method::POST, &path);
    let request = request
        .header("content-type", "application/json")
        .header("x-request-id", "why-not")
        .body(json!({ "reason": "to be sure" }).to_string());

    assert_eq!(send(request).await.status, 200);

    let entry = harness.admin().get(&format!("{AUDIT}?limit=1")).await.body["items"][0].clone();
    let expected = json!({
        "number": 2, "at": entry["at"], "actor": "user_admin", "action": "replayPaymentEvent",
        "subject": event["id"], "reason": "to be sure", "requestId": "why-not",
        "hash": harness.sql("select encode(hash, 'hex') from audit_log where number = 2").await,
    });
    assert_eq!(entry, expected);
}

#[tokio::test]
async fn what_is_refused_or_repeated_is_not_logged() {
    let harness = TestApp::new().await;
    let admin = harness.admin();
    let nobody = "0193a000-0000-7000-8000-000000000000";
    for path in [
        format!("/api/admin/payment-events/{nobody}/replay"),
        format!("/api/admin/discrepancies/{nobody}/dismiss"),
        format!("/api/admin/bookings/{nobody}/verify"),
    ] {
        admin.post(&path, json!({})).await.refused(404, "not_found");
    }
    let refused = admin
        .post("/api/admin/movies", json!({ "title": "" }))
        .await;
    refused.refused(422, "validation_failed");
    for _ in 0..2 {
        let body = json!({ "title": "Metropolis" });
        admin.post_keyed("/api/admin/movies", body, "once").await;
    }

    assert_eq!(logged(&harness, "").await.len(), 1);
}

#[tokio::test]
async fn admins_who_act_at_once_make_one_chain() {
    let harness = TestApp::new().await;
    let admin = harness.admin();
    let requests = (0..20).map(|number| {
        let body = json!({ "title": format!("Film {number}") });
        admin.post("/api/admin/movies", body)
    });

    let answers = futures_util::future::join_all(requests).await;

    assert!(
        answers.iter().all(|answer| answer.status == 201),
        "{answers:?}"
    );
    assert_eq!(chain_length(&harness).await, Some(20));
    let page = admin.get(&format!("{AUDIT}?limit=15")).await.body;
    let cursor = page["nextCursor"].as_str().unwrap();
    assert_eq!(
        logged(&harness, &format!("limit=15&cursor={cursor}"))
            .await
            .len(),
        5
    );
    for query in ["limit=0", "cursor=x", "action=createMovie"] {
        let answer = admin.get(&format!("{AUDIT}?{query}")).await;
        answer.refused(422, "validation_failed");
    }
}

#[tokio::test]
async fn the_log_cannot_be_rewritten_and_what_is_changed_all_the_same_is_seen() {
    let harness = TestApp::new().await;
    for title in ["Metropolis", "Nosferatu", "Faust"] {
        harness
            .admin()
            .post("/api/admin/movies", json!({ "title": title }))
            .await;
    }
    let execute = async |statement: &'static str| {
        sqlx::raw_sql(statement)
            .execute(harness.db())
            .await
            .map_err(|error| error.to_string())
    };

    for statement in [
        "update audit_log set subject = 'another'",
        "delete from audit_log",
        "truncate audit_log",
        "insert into audit_log
         select 9, at, actor, action, subject, reason, request_id, previous_hash, hash
         from audit_log where number = 2",
    ] {
        assert!(execute(statement).await.is_err(), "{statement}");
    }
    assert_eq!(chain_length(&harness).await, Some(3));

    execute(
        "alter table audit_log disable trigger all;
         update audit_log set subject = 'another' where number = 2;
         alter table audit_log enable trigger all",
    )
    .await
    .unwrap();
    assert_eq!(chain_length(&harness).await, None);
}
