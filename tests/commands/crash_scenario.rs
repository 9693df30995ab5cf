//! What the tests of crashes have in common: a show that is on sale, and a buyer of one of its
//! seats.

use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};
use tokio::task::JoinHandle;

use super::harness::{Harness, Server};
use super::world::Buyer;

pub(crate) const SESSIONS: &str = "/v1/checkout/sessions";
pub(crate) const BOOKING: &str = "select string_agg(status::text, ',' order by id) from bookings";
pub(crate) const CLAIMS: &str = "select count(*) from seat_claims";
pub(crate) const SESSION: &str = "select stripe_session_id from checkout_attempts";
const PAYMENTS: &str = "select count(*) from payments";

/// A request under way; an error if the process dies before it answers.
type Asked = JoinHandle<reqwest::Result<(u16, Value)>>;

/// A show is on sale, and Dana wants one of its seats.
pub(crate) struct Scenario {
    pub(crate) harness: Harness,
    dana: Buyer,
    request: Value,
}

impl Scenario {
    pub(crate) async fn new() -> Self {
        let harness = Harness::new().await;
        assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
        let free = "select show_id::text, label from show_seats join shows on shows.id = show_id
                    where sellable and status = 'on_sale' order by show_id, position limit 1";
        let (show, seat): (String, String) = sqlx::query_as(free)
            .fetch_one(harness.database.pool())
            .await
            .unwrap();
        let request = json!({ "kind": "show", "showId": show, "seats": [seat] });
        Self {
            dana: Buyer::new(&harness, "dana"),
            request,
            harness,
        }
    }

    /// Dana asks for the seat; she may never hear.
    pub(crate) fn ask(&self, server: &Server) -> Asked {
        tokio::spawn(
            self.dana
                .post(server, "/api/bookings", &self.request, Some("one-request")),
        )
    }

    pub(crate) async fn booked(&self, server: &Server) -> Value {
        let (status, booking) = self
            .dana
            .post(server, "/api/bookings", &self.request, None)
            .await
            .unwrap();
        assert_eq!(status, 201, "{booking}");
        booking
    }

    /// What Dana posts about her booking.
    pub(crate) fn act(&self, server: &Server, booking: &Value, what: &str) -> Asked {
        let path = format!("/api/bookings/{}/{what}", booking["id"].as_str().unwrap());
        tokio::spawn(self.dana.post(server, &path, &json!({}), None))
    }

    /// Sooner than it would be so: the lease of a dead request is over.
    pub(crate) async fn end_lease(&self) {
        self.harness
            .sql("update idempotency_keys set locked_until = now()")
            .await;
    }

    /// Sooner than it would be so: the hold has ended, and whatever is to be done is due.
    pub(crate) async fn end_hold(&self) {
        let ends = "update bookings set hold_expires_at = now() where status = 'pending'";
        self.harness
            .sql(&format!("{ends}; update jobs set run_at = now()"))
            .await;
    }

    pub(crate) async fn text(&self, query: &'static str) -> String {
        sqlx::query_scalar(query)
            .fetch_one(self.harness.database.pool())
            .await
            .unwrap()
    }

    /// Kills the process while it waits for this lock, in a statement like this one, and lets the
    /// lock go.
    pub(crate) async fn kill_waiting(
        &self,
        server: Server,
        lock: Transaction<'static, Postgres>,
        statement: &str,
    ) {
        self.harness.until_waiting(statement).await;
        server.kill();
        lock.rollback().await.unwrap();
        self.harness.until_forgotten().await;
    }

    /// Proves that the seat is free, once: it is sold once more, and not twice.
    pub(crate) async fn seat_is_free(&self, server: &Server) {
        self.harness.finds(CLAIMS, "0").await;
        self.booked(server).await;
        let emil = Buyer::new(&self.harness, "emil");
        let (status, problem) = emil
            .post(server, "/api/bookings", &self.request, None)
            .await
            .unwrap();
        assert_eq!(
            (status, &problem["code"]),
            (409, &json!("seat_unavailable")),
            "{problem}"
        );
        self.harness.finds(CLAIMS, "1").await;
        self.harness.reconcile().await;
    }

    /// Dana pays, and the event comes twice: one payment.
    pub(crate) async fn pays(&self, server: &Server, session_id: &str) {
        let event = self.harness.pay(session_id).await;
        for outcome in ["processed", "duplicate"] {
            let (status, receipt) = server.deliver(&event).await.unwrap();
            assert_eq!(
                (status, &receipt["outcome"]),
                (200, &json!(outcome)),
                "{receipt}"
            );
        }
        self.is_paid().await;
    }

    pub(crate) async fn is_paid(&self) {
        self.harness.finds(BOOKING, "confirmed").await;
        self.harness.finds(CLAIMS, "1").await;
        self.harness.finds(PAYMENTS, "1").await;
        assert_eq!(self.harness.at_stripe("/v1/charges").await, 1);
        self.harness.reconcile().await;
    }
}
