//! Stripe in the tests: the simulator's knobs, what it was asked, and deliveries made by hand.

use std::collections::HashMap;

use chrono::TimeDelta;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Answer, SECRET, TestApp, send};

impl TestApp {
    /// Turns a knob of the simulator.
    pub(crate) async fn knob(&self, name: &str, body: Value) -> Value {
        let url = format!("{}/_simulator/{name}", self.simulator.url());
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json");
        let answer = send(request.body(body.to_string())).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        answer.body
    }

    /// What the simulator was asked, oldest first.
    pub(crate) async fn stripe_requests(&self) -> Vec<Value> {
        let url = format!("{}/_simulator/requests", self.simulator.url());
        send(self.http.get(url))
            .await
            .body
            .as_array()
            .unwrap()
            .clone()
    }

    /// Pays a session as a buyer does, and waits until its events are delivered.
    pub(crate) async fn pay(&self, booking: &Value) -> Value {
        let paid = self
            .knob(
                "pay",
                json!({ "session": booking["checkout"]["sessionId"] }),
            )
            .await;
        self.simulator.settled().await;
        paid
    }

    /// Pays a session while Stripe's deliveries go nowhere; returns the events as bodies to deliver
    /// by hand, by type.
    pub(crate) async fn pay_unheard(&self, knob: Value) -> HashMap<String, String> {
        self.knob("deliveries", json!({ "drop": true })).await;
        let paid = self.knob("pay", knob).await;
        self.simulator.settled().await;
        self.knob("deliveries", json!({})).await;
        let mut events = HashMap::new();
        for id in paid["events"].as_array().unwrap() {
            let event = self
                .ask_stripe(&format!("/v1/events/{}", id.as_str().unwrap()))
                .await;
            let body = serde_json::to_string_pretty(&event).unwrap();
            events.insert(event["type"].as_str().unwrap().to_owned(), body);
        }
        events
    }

    /// Lets Holdfast hear, out of order, that the session of a booking has ended.
    pub(crate) async fn hear_of_expiry(&self, booking: &Value) {
        let session = booking["checkout"]["sessionId"].as_str().unwrap();
        let mut object = self
            .ask_stripe(&format!("/v1/checkout/sessions/{session}"))
            .await;
        object["status"] = json!("expired");
        object["payment_status"] = json!("unpaid");
        let event = json!({
            "id": format!("evt_expired_{session}"), "object": "event",
            "api_version": "2026-09-30.endive", "type": "checkout.session.expired",
            "created": self.now().timestamp(), "livemode": false, "pending_webhooks": 1,
            "data": { "object": object },
        });
        assert_eq!(
            self.deliver(&event.to_string()).await.body["outcome"],
            "processed"
        );
    }

    /// Reads from the simulator's API.
    pub(crate) async fn ask_stripe(&self, path: &str) -> Value {
        send(
            self.http
                .get(format!("{}{path}", self.simulator.url()))
                .bearer_auth("sk_test_stage"),
        )
        .await
        .body
    }

    /// Delivers events like this one that are about charges of others, or of nobody: each is
    /// ignored in the end, at the latest after days.
    pub(crate) async fn hear_of_other_charges(&self, ours: &Value, object_id: &str) {
        let other = |id: &str, intent: Value, metadata: Value| {
            let mut event = ours.clone();
            event["id"] = json!(id);
            event["data"]["object"]["id"] = json!(object_id);
            event["data"]["object"]["charge"] = intent.clone();
            event["data"]["object"]["payment_intent"] = intent;
            event["data"]["object"]["metadata"] = metadata;
            event.to_string()
        };
        let of_others = other("evt_1", json!("pi_x"), json!({ "app": "another" }));
        let unnamed = other("evt_2", Value::Null, json!({}));
        let unknown = other("evt_3", json!("pi_x"), json!({}));

        for (body, outcome) in [
            (of_others, "ignored"),
            (unnamed, "ignored"),
            (unknown, "deferred"),
        ] {
            assert_eq!(self.deliver(&body).await.body["outcome"], outcome);
        }
        self.advance(TimeDelta::days(4)).await;
        self.run_jobs().await;

        let ignored =
            "select count(*) from payment_events where id like 'evt__' and status = 'ignored'";
        assert_eq!(self.sql(ignored).await, "3");
    }

    /// Delivers a body as Stripe does, signed now.
    pub(crate) async fn deliver(&self, body: &str) -> Answer {
        self.deliver_signed(body, &self.signature(body)).await
    }

    /// A `Stripe-Signature` of now that fits no body: only who has read it knows.
    pub(crate) fn forged_signature(&self) -> String {
        format!("t={},v1={}", self.now().timestamp(), "0".repeat(64))
    }

    /// Delivers a body with this `Stripe-Signature`.
    pub(crate) async fn deliver_signed(&self, body: &str, signature: &str) -> Answer {
        let request = self
            .request(Method::POST, "/api/stripe")
            .header("stripe-signature", signature);
        send(
            request
                .header("content-type", "application/json; charset=utf-8")
                .body(body.to_owned()),
        )
        .await
    }

    /// The header that Stripe would send with this body now.
    pub(crate) fn signature(&self, body: &str) -> String {
        let timestamp = self.now().timestamp();
        format!("t={timestamp},v1={}", sign(SECRET, timestamp, body))
    }
}

/// The signature of Stripe's scheme v1.
pub(crate) fn sign(secret: &str, timestamp: i64, body: impl AsRef<[u8]>) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{timestamp}.").as_bytes());
    mac.update(body.as_ref());
    hex::encode(mac.finalize().into_bytes())
}
