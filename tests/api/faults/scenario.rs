//! One case: a show of its own, a buyer, and what they and the world around them do.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use holdfast::domain::job::Job;
use holdfast::error::Error;
use holdfast::jobs;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

use crate::harness::{Answer, Caller, TestApp, send};
use crate::invariants::INVARIANTS;

/// The seat that everybody wants.
pub(super) const SEAT: &str = "A2";

/// Something that is done once, whatever goes wrong.
pub(super) trait Flow: Sized {
    /// What comes before it.
    async fn begin(scenario: &Scenario<'_>) -> Self;

    /// Does it.
    async fn run(&self, scenario: &Scenario<'_>) -> Outcome;

    /// Does it again, as the one does who was not told that it is done.
    async fn again(&self, scenario: &Scenario<'_>) -> Outcome {
        self.run(scenario).await
    }

    /// Whether it is done.
    fn is_done(&self, outcome: &Outcome) -> bool {
        outcome.is_success()
    }

    /// Checks that it was done once.
    async fn check(&self, scenario: &Scenario<'_>);
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// To who called.
    Answer(Answer),
    /// To the queue.
    Job(Result<(), Error>),
}

impl Outcome {
    pub(super) fn is_success(&self) -> bool {
        match self {
            Self::Answer(answer) => answer.status < 300,
            Self::Job(result) => result.is_ok(),
        }
    }

    /// The status and code of a problem.
    pub(super) fn is_problem(&self, status: u16, code: &str) -> bool {
        let Self::Answer(answer) = self else {
            return false;
        };
        answer.status == status && answer.body["code"] == code
    }

    /// Success, or a problem that the caller can do something about; the queue takes any error.
    pub(super) fn is_clean(&self) -> bool {
        let problems = [
            (500, "internal"),
            (503, "database_unavailable"),
            (502, "payment_provider_error"),
            (503, "payment_provider_unavailable"),
            (409, "idempotency_in_progress"),
            (409, "seat_unavailable"),
            (409, "slot_unavailable"),
        ];
        match self {
            Self::Job(_) => true,
            Self::Answer(answer) => {
                answer.status < 300
                    || (problems
                        .iter()
                        .any(|(status, code)| self.is_problem(*status, code))
                        && answer.headers["content-type"] == "application/problem+json")
            }
        }
    }
}

/// A few seconds of looking.
const LOOKS_MAX: usize = 2_000;

/// A case.
pub(super) struct Scenario<'a> {
    pub(super) harness: &'a TestApp,
    pub(super) show: String,
    router: &'a Router,
    name: String,
}

impl<'a> Scenario<'a> {
    pub(super) async fn new(harness: &'a TestApp, router: &'a Router) -> Self {
        Self {
            harness,
            router,
            show: harness.show().await,
            name: Uuid::now_v7().simple().to_string(),
        }
    }

    /// Who wants the seat, and nobody has seen before.
    pub(super) fn buyer(&self) -> Caller<'a> {
        self.harness.customer(&self.name)
    }

    /// Who wants it too.
    pub(super) fn rival(&self) -> Caller<'a> {
        self.harness.customer(&format!("rival_{}", self.name))
    }

    /// The body of a request for the seat.
    pub(super) fn request(&self) -> Value {
        json!({ "kind": "show", "showId": self.show, "seats": [SEAT] })
    }

    /// A seat, held by the buyer.
    pub(super) async fn booked(&self, seat: &str) -> Value {
        self.buyer().booked(&self.show, &[seat]).await
    }

    /// The seat, held by a booking that Stripe has not answered.
    pub(super) async fn unanswered(&self) -> Value {
        self.inject(
            "POST /v1/checkout/sessions$",
            json!({ "kind": "status", "status": 503, "should_retry": false }),
        )
        .await;
        self.buyer()
            .book(&self.show, &[SEAT])
            .await
            .refused(503, "payment_provider_unavailable");
        self.own_booking().await
    }

    /// What the buyer finds in their list.
    pub(super) async fn own_booking(&self) -> Value {
        let own = self.buyer().get("/api/bookings").await.body;
        assert_eq!(own["items"].as_array().unwrap().len(), 1, "{own}");
        own["items"][0].clone()
    }

    /// Lets Stripe err.
    pub(super) async fn inject(&self, route: &str, mut fault: Value) {
        fault["route"] = json!(route);
        self.harness.knob("faults", fault).await;
    }

    /// Posts as the buyer.
    pub(super) async fn post(&self, path: &str, body: &Value, key: Option<&str>) -> Outcome {
        self.post_as(&self.buyer(), path, body, key).await
    }

    /// Posts as somebody. The request is dropped with this future, as it is when its time is over.
    pub(super) async fn post_as(
        &self,
        who: &Caller<'_>,
        path: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Outcome {
        let request = who
            .request(Method::POST, path)
            .header("content-type", "application/json");
        let request = request.body(body.to_string());
        self.call(match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        })
        .await
    }

    /// Posts about a booking.
    pub(super) async fn post_about(&self, booking: &Value, what: &str) -> Outcome {
        self.post(
            &format!("/api/bookings/{}/{what}", booking["id"].as_str().unwrap()),
            &json!({}),
            None,
        )
        .await
    }

    /// Delivers as Stripe does.
    pub(super) async fn deliver(&self, body: &str) -> Outcome {
        let request = self.harness.request(Method::POST, "/api/stripe");
        self.call(
            request
                .header("stripe-signature", self.harness.signature(body))
                .body(body.to_owned()),
        )
        .await
    }

    async fn call(&self, request: RequestBuilder) -> Outcome {
        let request = request.header("host", "holdfast.example");
        let request: Request<reqwest::Body> = request.build().unwrap().try_into().unwrap();
        let response = self
            .router
            .clone()
            .oneshot(request.map(Body::new))
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap();
        Outcome::Answer(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
    }

    /// Does a job, once.
    pub(super) async fn perform(&self, job: &Job) -> Outcome {
        Outcome::Job(jobs::perform(&self.harness.app, job).await)
    }

    /// A value of the database, about the show `$show`.
    pub(super) async fn finds(&self, query: &str, value: &str) {
        assert_eq!(
            self.harness
                .sql(&query.replace("$show", &format!("'{}'", self.show)))
                .await,
            value,
            "{query}"
        );
    }

    /// As [`Scenario::finds`], after a while: the request of a caller who has gone goes on by
    /// itself.
    pub(super) async fn comes_to(&self, query: &str, value: &str) {
        let filled = query.replace("$show", &format!("'{}'", self.show));
        for _ in 0..LOOKS_MAX {
            if self.harness.sql(&filled).await == value {
                return;
            }
        }
        self.finds(query, value).await;
    }

    /// How the bookings of the show stand, oldest first.
    pub(super) async fn stand(&self, status: &str) {
        self.finds(
            "select string_agg(status::text, ',' order by id) from bookings where show_id = $show",
            status,
        )
        .await;
    }

    pub(super) async fn claims(&self, count: &str) {
        self.finds(
            "select count(*) from seat_claims where show_id = $show",
            count,
        )
        .await;
    }

    /// The payments of the show.
    pub(super) async fn payments(&self, payments: &str) {
        let query = "select string_agg(disposition || coalesce(' ' || surplus_reason, ''), ',')
                     from payments p join bookings b on b.id = p.booking_id
                     where show_id = $show";
        self.finds(query, payments).await;
    }

    /// The booking is paid, once, and has its seat.
    pub(super) async fn is_sold(&self) {
        self.stand("confirmed").await;
        self.claims("1").await;
        self.payments("applied").await;
    }

    /// The seat is free: somebody else can have it.
    pub(super) async fn is_free(&self) {
        self.claims("0").await;
        self.rival().booked(&self.show, &[SEAT]).await;
    }

    /// The buyer has one booking, and one payment page that works.
    pub(super) async fn can_be_paid(&self) {
        let booking = self.own_booking().await;
        assert_eq!(booking["status"], "pending");
        assert!(booking["checkout"]["url"].is_string(), "{booking}");
        self.harness.pay(&booking).await;
        self.is_sold().await;
    }

    /// What must be true after every case.
    pub(super) async fn check(&self) {
        for (what, query) in INVARIANTS {
            assert_eq!(self.harness.sql(query).await, "0", "{what}");
        }
        let url = format!("{}/_simulator/sessions", self.harness.simulator.url());
        let sessions = send(self.harness.http.get(url)).await.body;
        let mut attempts = BTreeSet::new();
        for session in sessions.as_array().unwrap() {
            let attempt = session["metadata"]["attemptId"].as_str().unwrap();
            assert!(
                attempts.insert(attempt),
                "two sessions of one attempt: {sessions}"
            );
        }
    }
}
