//! What happens outside: buyers pay, banks decide, Stripe sends events, fails and forgets.

use serde_json::{Value, json};

use super::generator::{History, StripeEvent};
use crate::harness::send;

const SEPA: &str = "DE89370400440532013000";
const DECLINED: &str = "4000000000000002";
const REFUNDED_SLOWLY: &str = "4000000000007726";

const CREATE: &str = "POST /v1/checkout/sessions$";
const REFUND: &str = "POST /v1/refunds";

/// Of the events that say nothing about a booking, so many of a hundred are delivered at all.
const IDLE_OF_HUNDRED: u32 = 10;

impl History<'_> {
    /// A buyer pays an open session: mostly as they should.
    pub(crate) async fn pay(&mut self) {
        let open = self.sessions("open").await;
        let Some(session) = self.pick(&open) else {
            return;
        };
        let mut how = json!({ "session": session["id"] });
        match self.draw(20) {
            0..9 => {}
            9 | 10 => how["card"] = json!(REFUNDED_SLOWLY),
            // Also where it is not offered: an earlier release may have opened the session.
            11..16 => {
                how["card"] = json!(SEPA);
                how["unoffered"] = json!(true);
            }
            16 | 17 => how["card"] = json!(DECLINED),
            18 => {
                // Where a deposit comes with more, the balance is smaller.
                let cents = [-1, 1, 300][self.index(3)];
                how["amount"] = json!(session["amountTotal"].as_i64().unwrap() + cents);
            }
            _ => {
                how["metadata"] = session["metadata"].clone();
                how["metadata"]["bookingId"] = json!("01930000-0000-7000-8000-000000000000");
            }
        }
        self.note(&format!("pays {how}"));
        self.harness.knob("pay", how).await;
    }

    /// A bank decides about a delayed payment.
    pub(crate) async fn settle(&mut self) {
        let waiting = self.waiting().await;
        if let Some(session) = self.pick(&waiting) {
            self.settle_one(&session).await;
        }
    }

    /// The bank says yes or no.
    pub(crate) async fn settle_one(&mut self, session: &Value) {
        let outcome = if self.chance(60) {
            "succeeded"
        } else {
            "failed"
        };
        self.note(&format!("the bank: {} has {outcome}", session["id"]));
        self.harness
            .knob(
                "settle",
                json!({ "session": session["id"], "outcome": outcome }),
            )
            .await;
    }

    /// Sessions whose delayed payment is undecided.
    pub(crate) async fn waiting(&self) -> Vec<Value> {
        let mut waiting = Vec::new();
        for session in self.sessions("complete").await {
            let Some(intent) = session["paymentIntent"]
                .as_str()
                .filter(|_| session["paymentStatus"] == "unpaid")
            else {
                continue;
            };
            let intent = self
                .harness
                .ask_stripe(&format!("/v1/payment_intents/{intent}"))
                .await;
            if intent["status"] == "processing" {
                waiting.push(session);
            }
        }
        waiting
    }

    /// Sessions of this history, as Stripe has them.
    pub(crate) async fn sessions(&self, status: &str) -> Vec<Value> {
        let url = format!("{}/_simulator/sessions", self.harness.simulator.url());
        let sessions = send(self.harness.http.get(url)).await.body;
        let sessions = sessions.as_array().unwrap().iter();
        sessions
            .filter(|session| session["status"] == status)
            .cloned()
            .collect()
    }

    /// The events that are there and will be delivered some time, oldest first.
    pub(crate) async fn events(&mut self) -> Vec<StripeEvent> {
        let after = self
            .newest
            .as_ref()
            .map(|id| format!("&ending_before={id}"))
            .unwrap_or_default();
        let page = self
            .harness
            .ask_stripe(&format!("/v1/events?limit=100{after}"))
            .await;
        assert_eq!(page["has_more"], false, "a history of too many events");
        for event in page["data"].as_array().unwrap().iter().rev() {
            self.newest = event["id"].as_str().map(str::to_owned);
            let kind = event["type"].as_str().unwrap();
            let matters = kind.starts_with("checkout.session.")
                || kind.starts_with("refund.")
                || ["payment_intent.succeeded", "charge.refunded"].contains(&kind);
            let lost = if matters {
                self.chance(self.lost_of_hundred)
            } else {
                !self.chance(IDLE_OF_HUNDRED)
            };
            if lost && matters {
                self.note(&format!("{kind} is lost"));
            }
            let body = serde_json::to_string_pretty(event).unwrap();
            self.seen.push(StripeEvent {
                kind: kind.to_owned(),
                body,
                lost,
            });
        }
        self.seen
            .iter()
            .filter(|event| !event.lost)
            .cloned()
            .collect()
    }

    /// Somebody refunds a payment in Stripe's dashboard, all of it or a part.
    pub(crate) async fn refund_by_hand(&mut self) {
        let charges = self.harness.ask_stripe("/v1/charges?limit=100").await;
        let charges = charges["data"].as_array().unwrap();
        let left = |charge: &Value| {
            let captured = charge["amount_captured"].as_i64().unwrap();
            captured - charge["amount_refunded"].as_i64().unwrap()
        };
        let open: Vec<_> = charges
            .iter()
            .filter(|charge| charge["status"] == "succeeded" && left(charge) > 0)
            .cloned()
            .collect();
        let Some(charge) = self.pick(&open) else {
            return;
        };
        let amount = if self.chance(50) {
            left(&charge)
        } else {
            left(&charge).min(500)
        };
        let intent = charge["payment_intent"].as_str().unwrap();
        let url = format!("{}/v1/refunds", self.harness.simulator.url());
        let request = self.harness.http.post(url).bearer_auth("sk_test_stage");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let form = format!("payment_intent={intent}&amount={amount}");
        // In a storm, the answer may be lost.
        let made = request.body(form).send().await;
        let made = made.map(|answer| answer.status());
        self.note(&format!("by hand {amount} of {intent}: {made:?}"));
    }

    /// The bank decides about a refund: one that was pending, or one that it sends back.
    pub(crate) async fn decide_refund(&mut self) {
        let refunds = self.harness.ask_stripe("/v1/refunds?limit=100").await;
        let refunds = refunds["data"].as_array().unwrap();
        let open: Vec<_> = refunds
            .iter()
            .filter(|refund| refund["status"] == "pending" || refund["status"] == "succeeded")
            .cloned()
            .collect();
        let Some(refund) = self.pick(&open) else {
            return;
        };
        let status = match self.draw(4) {
            0 => "failed",
            1 if refund["status"] == "pending" => "canceled",
            _ => "succeeded",
        };
        let id = refund["id"].as_str().unwrap();
        self.note(&format!("the bank: {id} has {status}"));
        let knob = format!("refunds/{id}");
        self.harness.knob(&knob, json!({ "status": status })).await;
    }

    /// No more seats of this show are sold; a service is always sold.
    pub(crate) async fn close_show(&mut self) {
        self.note("the show is closed");
        let close = sqlx::query(
            "update shows set status = 'closed' where id = $1::uuid and status = 'on_sale'",
        );
        close
            .bind(&self.offer)
            .execute(self.harness.db())
            .await
            .unwrap();
    }

    /// Stripe makes the next session behind a failure that it stores and repeats: the booking gets
    /// a second one, and both can be paid, although nobody is given the link of the first. Only
    /// events say so, so none is lost any more.
    pub(crate) async fn hide_session(&mut self) {
        self.hides_session = true;
        self.lost_of_hundred = 0;
        self.inject(stored_failure(CREATE, true)).await;
    }

    async fn inject(&mut self, fault: Value) {
        self.note(&format!("fault: {fault}"));
        self.harness.knob("faults", fault).await;
    }

    /// One of the next calls goes wrong. Those that the client would repeat for long are told
    /// not to.
    pub(crate) async fn inject_fault(&mut self) {
        let routes = [
            CREATE,
            "POST /v1/checkout/sessions/*/expire",
            REFUND,
            "GET /v1/checkout/sessions",
        ];
        let route = routes[self.index(routes.len())];
        let times = self.draw(3) + 1;
        let unavailable = json!({
            "route": route, "kind": "status", "status": 503, "should_retry": false, "times": times,
        });
        match self.draw(11) {
            0 | 1 => self.inject(unavailable).await,
            2 => {
                self.inject(json!({ "route": route, "kind": "status", "status": 503 }))
                    .await;
            }
            3 => {
                self.inject(json!({ "route": route, "kind": "lost_answer" }))
                    .await;
            }
            4 | 5 => {
                self.inject(json!({ "route": route, "kind": "lost_answer" }))
                    .await;
                self.inject(unavailable).await;
            }
            6 => {
                self.inject(json!({ "route": route, "kind": "garbage" }))
                    .await;
            }
            7 => self.inject(stored_failure(route, false)).await,
            8 => self.inject(stored_failure(REFUND, true)).await,
            9 => self.hide_session().await,
            _ => {
                self.inject(json!({ "route": CREATE, "kind": "pay_then_answer" }))
                    .await;
            }
        }
    }
}

fn stored_failure(route: &str, after: bool) -> Value {
    json!({
        "route": route, "kind": "status", "status": 500, "stored": true, "after": after,
        "should_retry": false,
    })
}
