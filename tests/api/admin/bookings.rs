//! Bookings as an admin finds them, with their customers, their money and their stories.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::paid_unheard;
use crate::harness::{Caller, TestApp};

const BOOKINGS: &str = "/api/admin/bookings";

async fn references(admin: &Caller<'_>, query: &str) -> Vec<String> {
    let answer = admin.get(&format!("{BOOKINGS}?{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let items = answer.body["items"].as_array().unwrap();
    let references = items
        .iter()
        .map(|booking| booking["reference"].as_str().unwrap());
    references.map(str::to_owned).collect()
}

#[tokio::test]
async fn bookings_are_found_by_status_show_reference_and_customer() {
    let harness = TestApp::new().await;
    let (show, other_show) = (harness.show().await, harness.show().await);
    let first = harness.customer("dana").booked(&show, &["A2"]).await;
    let second = harness.customer("emil").booked(&show, &["A3"]).await;
    let third = harness.customer("emil").booked(&other_show, &["A2"]).await;
    harness.pay(&second).await;
    let name = |booking: &Value| booking["reference"].as_str().unwrap().to_owned();
    let all = [name(&third), name(&second), name(&first)];
    let admin = harness.admin();

    assert_eq!(references(&admin, "").await, all);
    assert_eq!(
        references(&admin, "status=confirmed").await,
        [name(&second)]
    );
    assert_eq!(
        references(&admin, &format!("showId={other_show}")).await,
        [name(&third)]
    );
    assert_eq!(references(&admin, "q=DANA%40example").await, [name(&first)]);
    assert_eq!(references(&admin, "q=user_emil").await, all[..2]);
    let reference = name(&first).to_lowercase();
    assert_eq!(
        references(&admin, &format!("q={reference}")).await,
        [name(&first)]
    );
    for nobody in [
        "q=%25",
        "q=user_%25",
        "q=HF-0000000",
        "q=emil&status=expired",
    ] {
        assert_eq!(
            references(&admin, nobody).await,
            Vec::<String>::new(),
            "{nobody}"
        );
    }
    let page = admin.get(&format!("{BOOKINGS}?limit=2")).await.body;
    let cursor = page["nextCursor"].as_str().unwrap();
    assert_eq!(
        references(&admin, &format!("limit=2&cursor={cursor}")).await,
        [name(&first)]
    );
    for query in [
        "status=wibble",
        "showId=wibble",
        "limit=0",
        "cursor=wibble",
        "user=dana",
    ] {
        let answer = admin.get(&format!("{BOOKINGS}?{query}")).await;
        answer.refused(422, "validation_failed");
    }
}

#[tokio::test]
async fn a_booking_is_shown_with_its_customer_its_payments_and_its_refunds() {
    let harness = TestApp::new().await;
    let (booking, body) = paid_unheard(&harness).await;
    harness.deliver(&body).await;
    let mut second: Value = serde_json::from_str(&body).unwrap();
    second["id"] = json!("evt_second");
    second["data"]["object"]["payment_intent"] = json!("pi_second");
    harness.deliver(&second.to_string()).await;
    let path = format!("{BOOKINGS}/{}", booking["id"].as_str().unwrap());
    let dana = harness.customer("dana");

    let overview = harness.admin().get(&path).await.body;

    let customer = json!({
        "id": "user_dana", "email": "dana@example.com", "name": "user_dana",
    });
    assert_eq!(overview["customer"], customer);
    assert_eq!(overview["status"], "confirmed");
    let payments = dana.get("/api/payments").await.body["items"].clone();
    assert_eq!(overview["payments"], payments);
    let refund = &overview["refunds"][0];
    let expected = json!({
        "id": refund["id"], "bookingId": booking["id"], "paymentId": payments[0]["id"],
        "amount": booking["total"], "status": "requested", "source": "surplus",
        "reason": "already_paid", "failureReason": null, "createdAt": refund["createdAt"],
        "settledAt": null,
    });
    assert_eq!(*refund, expected);
    assert_eq!(overview["refunds"].as_array().unwrap().len(), 1);
    for path in ["0193a000-0000-7000-8000-000000000000", "no-uuid"] {
        let nothing = harness.admin().get(&format!("{BOOKINGS}/{path}")).await;
        nothing.refused(404, "not_found");
        let nothing = harness
            .admin()
            .get(&format!("{BOOKINGS}/{path}/timeline"))
            .await;
        nothing.refused(404, "not_found");
    }
}

/// The sentences of a booking's story, oldest first.
async fn story(harness: &TestApp, booking: &Value) -> Vec<String> {
    let path = format!("{BOOKINGS}/{}/timeline", booking["id"].as_str().unwrap());
    let timeline = harness.admin().get(&path).await.body;
    let items = timeline["items"].as_array().unwrap().iter().rev();
    let sentences = items.map(|item| {
        let (kind, text) = (&item["kind"], &item["text"]);
        format!("{}: {}", kind.as_str().unwrap(), text.as_str().unwrap())
    });
    sentences.collect()
}

#[tokio::test]
async fn the_story_of_a_late_payment_can_be_read_to_a_customer() {
    let harness = TestApp::new().await;
    let (booking, body) = paid_unheard(&harness).await;
    let show = booking["show"]["id"].as_str().unwrap();
    let expire = "update checkout_attempts set status = 'expired'";
    sqlx::query(expire).execute(harness.db()).await.unwrap();
    harness.advance(TimeDelta::minutes(11)).await;
    harness.run_jobs().await;
    harness.customer("emil").booked(show, &["A2"]).await;
    harness.advance(TimeDelta::minutes(1)).await;

    harness.deliver(&body).await;

    let story = story(&harness, &booking).await;
    let expected = [
        "booking: Held for the buyer until",
        "checkout: A payment page was opened.",
        "booking: Nobody paid in time; free for others again.",
        "payment: 12.00 EUR came that was too late, for what was booked is somebody else's now; \
         kept apart.",
        "refund: A refund of 12.00 EUR is on its way to Stripe.",
        "stripeEvent: Stripe reported checkout.session.completed: the money is kept as surplus, \
         and its refund is on the way.",
    ];
    assert_eq!(story.len(), expected.len(), "{story:#?}");
    for sentence in expected {
        assert!(
            story.iter().any(|told| told.starts_with(sentence)),
            "{sentence}: {story:#?}"
        );
    }
    assert!(story[0].ends_with("CET."), "{story:#?}");
}

#[tokio::test]
async fn work_that_fails_is_part_of_the_story() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    fail_all_jobs(&harness, "Stripe cannot be reached").await;

    let story = story(&harness, &booking).await;

    let sentence = "job: The job endHold has failed 2 times and is tried again: \
                    Stripe cannot be reached";
    assert!(story.contains(&sentence.to_owned()), "{story:#?}");
}

/// Notes with each job that is queued what the queue notes of one that fails.
async fn fail_all_jobs(harness: &TestApp, error: &str) {
    let failed = "update jobs set attempts = 2, last_error = $1";
    let failed = sqlx::query(failed).bind(error);
    failed.execute(harness.db()).await.unwrap();
}

/// The payload of each has to name the booking, or an event that does.
#[tokio::test]
async fn a_refund_and_what_is_looked_at_for_it_is_work_on_its_booking() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let booking = harness.customer("dana").booked(&show, &["A2"]).await;
    let paid = harness.pay(&booking).await;
    let path = format!("{BOOKINGS}/{}/refunds", booking["id"].as_str().unwrap());
    let part = json!({
        "reason": "wet", "amount": { "amountMinor": 300, "currency": "eur" },
    });
    assert_eq!(harness.admin().post(&path, part).await.status, 202);
    let down = json!({
        "route": "POST /v1/refunds", "kind": "status", "status": 503, "should_retry": false,
        "times": 9,
    });
    harness.knob("faults", down).await;
    harness.run_jobs().await;
    // Stripe tells of more than there is left: its other refunds are looked at first.
    let more = json!({
        "id": "evt_more", "object": "event", "type": "refund.created", "livemode": false,
        "created": harness.now().timestamp(), "data": { "object": {
            "id": "re_all", "object": "refund", "amount": 1_200, "currency": "eur",
            "status": "succeeded", "payment_intent": paid["paymentIntent"],
        } },
    });
    let mut again = more.clone();
    again["id"] = json!("evt_again");
    again["data"]["object"]["id"] = json!("re_again");
    for event in [more, again] {
        harness.deliver(&event.to_string()).await;
    }
    fail_all_jobs(&harness, "Stripe answers 503").await;

    let story = story(&harness, &booking).await;

    for kind in ["refund", "lookAtRefunds", "settleEvent"] {
        let sentence = format!("job: The job {kind} has failed 2 times");
        let is_told = |told: &String| told.starts_with(&sentence);
        assert!(story.iter().any(is_told), "{kind}: {story:#?}");
    }
}

#[tokio::test]
async fn what_admins_decide_is_theirs_in_the_story() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    let less = json!({ "session": booking["checkout"]["sessionId"], "amount": 1_100 });
    harness.knob("pay", less).await;
    harness.simulator.settled().await;
    let path = format!("{BOOKINGS}/{}", booking["id"].as_str().unwrap());
    let admin = harness.admin();
    let resolve = json!({ "action": "confirm", "reason": "close enough" });
    admin.post(&format!("{path}/resolve"), resolve).await;
    let part = json!({
        "reason": "wet", "amount": { "amountMinor": 300, "currency": "eur" },
    });
    admin.post(&format!("{path}/refunds"), part).await;
    let cancel = format!("/api/bookings/{}/cancel", booking["id"].as_str().unwrap());
    let cancelled = admin.post(&cancel, json!({ "reason": "too wet" })).await;
    assert_eq!(cancelled.status, 200, "{cancelled:?}");

    let story = story(&harness, &booking).await;

    let decided = story.iter().filter(|told| told.starts_with("admin: "));
    let decided: Vec<_> = decided.collect();
    assert_eq!(decided.len(), 3, "{story:#?}");
    for sentence in [
        "admin: An admin has decided to confirm it: close enough",
        "admin: An admin has asked for a refund of 3.00 EUR: wet",
        "admin: An admin has cancelled it: too wet",
    ] {
        assert!(decided.iter().any(|told| *told == sentence), "{story:#?}");
    }
    let emils = harness.customer("emil").booked(&show, &["A3"]).await;
    let cancel = format!("/api/bookings/{}/cancel", emils["id"].as_str().unwrap());
    let cancelled = harness.customer("emil").post(&cancel, json!({})).await;
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
    let story = self::story(&harness, &emils).await;
    assert!(
        story
            .iter()
            .any(|told| told == "booking: The buyer has cancelled it."),
        "{story:#?}"
    );
}
