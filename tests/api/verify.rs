//! `holdfast verify`: what has come about in any way is what Stripe's events come to, and whatever
//! is changed behind the back of all that, is found.

mod beside;
mod derived;
mod forsaken;
mod tampered;

use std::future::pending;

use holdfast::domain::difference::Difference;
use holdfast::workflows::verification::{self, Findings};
use serde_json::{Value, json};

use crate::harness::TestApp;

const DECLINED: &str = "4000000000000002";

impl TestApp {
    /// Lets happen what can happen to money: paid, declined, asked about, late, too much, refunded
    /// by all who can, disputed, sold for less, paid in two parts, and resolved by an admin.
    pub(crate) async fn live_through_much(&self) {
        let show = self.show().await;
        let dana = self.customer("dana");

        let booking = dana.booked(&show, &["A2"]).await;
        let paid = self.pay(&booking).await;
        let disputed = json!({ "paymentIntent": paid["paymentIntent"] });
        self.knob("disputes", disputed).await;
        self.simulator.settled().await;

        let booking = dana.booked(&show, &["A3", "A4"]).await;
        let declined = json!({ "session": booking["checkout"]["sessionId"], "card": DECLINED });
        self.knob("pay", declined).await;
        self.simulator.settled().await;
        self.pay(&booking).await;
        let part = json!({ "reason": "a whim", "amount": eur(500) });
        self.ask_admin(&booking, "refunds", part).await;

        let booking = dana.booked(&show, &["A5"]).await;
        self.pay_late(&show, &booking).await;

        let booking = dana.booked(&show, &["A6"]).await;
        let unheard = json!({ "session": booking["checkout"]["sessionId"] });
        self.pay_unheard(unheard).await;
        let back = json!({ "sessionId": booking["checkout"]["sessionId"] });
        let back = dana.post("/api/payments/verify?wait=0", back).await;
        assert_eq!(back.body["status"], "confirmed", "{back:?}");

        let booking = dana.booked(&show, &["A7"]).await;
        let less = json!({ "session": booking["checkout"]["sessionId"], "amount": 1_199 });
        self.knob("pay", less).await;
        self.simulator.settled().await;
        let confirmed = json!({ "action": "confirm", "reason": "a whim" });
        self.ask_admin(&booking, "resolve", confirmed).await;

        let booking = dana.booked(&show, &["A8"]).await;
        self.pay(&booking).await;
        let id = booking["id"].as_str().unwrap();
        let cancelled = dana
            .post(&format!("/api/bookings/{id}/cancel"), json!({}))
            .await;
        assert_eq!(cancelled.status, 200, "{cancelled:?}");

        self.sell_for_less(&show).await;
        self.pay_in_two_parts().await;
        self.run_jobs().await;
    }

    async fn ask_admin(&self, booking: &Value, what: &str, body: Value) {
        let id = booking["id"].as_str().unwrap();
        let path = format!("/api/admin/bookings/{id}/{what}");
        let answer = self.admin().post(&path, body).await;
        assert!(answer.status < 300, "{answer:?}");
    }

    /// The money of a booking comes when its seat is somebody else's.
    async fn pay_late(&self, show: &str, booking: &Value) {
        let wanted = json!({ "session": booking["checkout"]["sessionId"] });
        let events = self.pay_unheard(wanted).await;
        self.hear_of_expiry(booking).await;
        let label = booking["seats"][0].as_str().unwrap();
        self.customer("eve").booked(show, &[label]).await;
        for kind in ["checkout.session.completed", "payment_intent.succeeded"] {
            self.deliver(&events[kind]).await;
        }
    }

    async fn sell_for_less(&self, show: &str) {
        let voucher = json!({ "code": "LESS", "percentOff": 50, "maxUses": 2 });
        let made = self.admin().post("/api/admin/vouchers", voucher).await;
        assert_eq!(made.status, 201, "{made:?}");
        let order = json!({
            "kind": "show", "showId": show, "seats": ["B1"], "voucher": "LESS",
        });
        let booked = self.customer("dana").post("/api/bookings", order).await;
        assert_eq!(booked.status, 201, "{booked:?}");
        self.pay(&booked.body).await;
    }

    async fn pay_in_two_parts(&self) {
        let service = self.service_with(json!({})).await;
        let dana = self.customer("dana");
        let booked = dana
            .book_slot(&service, "2026-12-01T09:00:00Z", 2, "half")
            .await;
        self.pay(&booked.body).await;
        let id = booked.body["id"].as_str().unwrap();
        let path = format!("/api/bookings/{id}/checkout");
        let balance = dana.post(&path, json!({ "part": "balance" })).await;
        assert_eq!(balance.status, 200, "{balance:?}");
        self.pay(&balance.body).await;
        assert_eq!(dana.booking(&booked.body).await["isPaid"], true);
    }
}

fn eur(amount: i64) -> Value {
    json!({ "amountMinor": amount, "currency": "eur" })
}

#[tokio::test]
async fn whatever_has_come_about_rightly_is_what_the_events_come_to() {
    let harness = TestApp::new().await;
    assert_eq!(harness.verify().await, Vec::<String>::new());
    harness.live_through_much().await;

    let mut told = Vec::new();
    let mut findings = Findings::default();
    let url = &harness.owner_url();
    let note = |progress| told.push(progress);
    verification::verify(url, harness.now(), pending(), &mut findings, note)
        .await
        .unwrap();

    assert_eq!(findings.differences, Vec::<Difference>::new());
    let bookings = harness.sql("select count(*) from bookings").await;
    assert_eq!(findings.bookings.to_string(), bookings);
    let events = "select count(*) from payment_events where status <> 'deferred'";
    assert_eq!(findings.events.to_string(), harness.sql(events).await);
    let last = told.last().unwrap();
    assert_eq!((last.done, last.of), (findings.bookings, findings.bookings));
}

#[tokio::test]
async fn what_is_under_way_differs_from_nothing() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let booking = dana.booked(&show, &["A2"]).await;
    assert_eq!(harness.verify().await, Vec::<String>::new());

    let wanted = json!({ "session": booking["checkout"]["sessionId"] });
    let events = harness.pay_unheard(wanted).await;
    harness.deliver(&events["payment_intent.succeeded"]).await;
    assert_eq!(harness.verify().await, Vec::<String>::new());

    harness.deliver(&events["checkout.session.completed"]).await;
    harness.deliver(&events["charge.succeeded"]).await;
    assert_eq!(harness.verify().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_verification_changes_nothing_and_leaves_nothing() {
    let harness = TestApp::new().await;
    harness.live_through_much().await;
    // What every row is, and when it was written last.
    let all = "select string_agg(name || xml, '' order by name) from (
                 select relname as name,
                        query_to_xml('select xmin, x.* from ' || quote_ident(relname) || ' x
                                      order by x::text', true, true, '')::text as xml
                 from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
               ) as tables";
    let before = harness.sql(&format!("select md5(({all}))")).await;

    assert_eq!(harness.verify().await, Vec::<String>::new());

    assert_eq!(harness.sql(&format!("select md5(({all}))")).await, before);
    let queue = "select count(*) from jobs where run_at <= now() and locked_at is not null";
    assert_eq!(harness.sql(queue).await, "0");
}

#[tokio::test]
async fn events_of_a_key_of_before_are_no_difference() {
    let harness = TestApp::new().await;
    let show = harness.show().await;
    let dana = harness.customer("dana");
    let before = dana.booked(&show, &["A2"]).await;
    harness.pay(&before).await;
    // They came while the key was one of live mode.
    let id = before["id"].as_str().unwrap();
    let of_live_mode = format!(
        r#"update payment_events
           set livemode = true,
               payload = regexp_replace(payload, '"livemode":\s*false', '"livemode":true', 'g')
           where booking_id = '{id}'"#
    );
    tampered::past_all_guards(&harness, &of_live_mode).await;
    let now = dana.booked(&show, &["A3"]).await;
    let paid = harness.pay(&now).await;
    let events = harness.ask_stripe("/v1/events?limit=1").await;
    let mut stray = events["data"][0].clone();
    stray["id"] = json!("evt_of_live_mode");
    stray["livemode"] = json!(true);
    let ignored = harness.deliver(&stray.to_string()).await;
    assert_eq!(ignored.body["outcome"], "ignored", "{ignored:?} {paid}");

    assert_eq!(harness.verify().await, Vec::<String>::new());

    let tamper = "update payment_events set status = 'ignored', outcome =
                    (select outcome from payment_events where id = 'evt_of_live_mode')
                  where status = 'processed' and type = 'checkout.session.completed'";
    tampered::past_all_guards(&harness, tamper).await;
    let found = harness.verify().await;
    assert_eq!(found.len(), 2, "{found:#?}");
}
