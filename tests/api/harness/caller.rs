//! Those who call the API with a token of their own.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Answer, ORIGIN, TestApp, send};

/// Someone who calls the API with a token of their own.
pub(crate) struct Caller<'a> {
    harness: &'a TestApp,
    token: String,
}

impl TestApp {
    /// A customer, by a name that becomes their id.
    pub(crate) fn customer(&self, name: &str) -> Caller<'_> {
        let claims = self.claims(&format!("user_{name}"), &format!("{name}@example.com"));
        Caller {
            harness: self,
            token: self.issuer.token(&claims),
        }
    }

    /// An admin.
    pub(crate) fn admin(&self) -> Caller<'_> {
        let mut claims = self.claims("user_admin", "admin@example.com");
        claims["metadata"] = json!({ "role": "admin" });
        Caller {
            harness: self,
            token: self.issuer.token(&claims),
        }
    }

    /// The claims of a token that stands.
    pub(crate) fn claims(&self, sub: &str, email: &str) -> Value {
        let now = self.now().timestamp();
        json!({
            "sub": sub, "email": email, "name": sub, "iss": self.issuer.url(), "azp": ORIGIN,
            "iat": now, "nbf": now, "exp": now.saturating_add(3_600),
        })
    }

    /// Someone who brings this token.
    pub(crate) fn bearer(&self, token: String) -> Caller<'_> {
        Caller {
            harness: self,
            token,
        }
    }
}

impl Caller<'_> {
    /// Reads.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// Posts JSON.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        send(
            self.request(Method::POST, path)
                .header("content-type", "application/json")
                .body(body.to_string()),
        )
        .await
    }

    /// Posts JSON to another process.
    pub(crate) async fn post_to(&self, server: &str, path: &str, body: &Value) -> Answer {
        let request = self.harness.http.post(format!("{server}{path}"));
        let request = request.bearer_auth(&self.token);
        let request = request.header("content-type", "application/json");
        send(request.body(body.to_string())).await
    }

    /// Changes a resource.
    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        send(
            self.request(Method::PATCH, path)
                .header("content-type", "application/json")
                .body(body.to_string()),
        )
        .await
    }

    /// Posts JSON with an idempotency key.
    pub(crate) async fn post_keyed(&self, path: &str, body: Value, key: &str) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/json");
        send(
            request
                .header("idempotency-key", key)
                .body(body.to_string()),
        )
        .await
    }

    /// Holds seats of a show.
    pub(crate) async fn book(&self, show_id: &str, seats: &[&str]) -> Answer {
        self.post(
            "/api/bookings",
            json!({ "kind": "show", "showId": show_id, "seats": seats }),
        )
        .await
    }

    /// Holds seats of a show, which must succeed; returns the booking.
    pub(crate) async fn booked(&self, show_id: &str, seats: &[&str]) -> Value {
        let answer = self.book(show_id, seats).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body
    }

    /// A booking as it stands now.
    pub(crate) async fn booking(&self, booking: &Value) -> Value {
        self.get(&format!(
            "/api/bookings/{}",
            booking["id"].as_str().unwrap()
        ))
        .await
        .body
    }

    /// A request of any kind, to be sent with [`send`].
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.harness.request(method, path).bearer_auth(&self.token)
    }
}
