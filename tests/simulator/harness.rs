//! A simulator with a webhook endpoint, and the verbs of the tests.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use holdfast::dev::simulator::{Endpoint, Options, Simulator};
use reqwest::{Client, Method};
use serde_json::{Value, json};

pub(super) const SECRET: &str = "whsec_test_secret";
/// 2026-11-21 12:00:00 UTC.
pub(super) const NOW: i64 = 1_795_262_400;
const KEY: &str = "sk_test_anything";

/// What came back from one request.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The `error` of a refused request.
    pub(super) fn error(&self) -> Value {
        self.json().get("error").unwrap().clone()
    }
}

/// One delivery as the endpoint saw it.
#[derive(Debug, Clone)]
pub(super) struct Delivered {
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Delivered {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(super) fn kind(&self) -> String {
        text(&self.json(), "type")
    }
}

/// The endpoint that a merchant would have.
#[derive(Debug, Default, Clone)]
pub(super) struct Receiver {
    deliveries: Arc<Mutex<Vec<Delivered>>>,
    refusals_left: Arc<Mutex<u32>>,
}

impl Receiver {
    /// Serves until the test's runtime ends; gives its address.
    pub(super) async fn listen(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(receive).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}/webhook")
    }

    pub(super) fn refuse_next(&self, times: u32) {
        *self.refusals_left.lock().unwrap() = times;
    }

    pub(super) fn all(&self) -> Vec<Delivered> {
        self.deliveries.lock().unwrap().clone()
    }

    pub(super) fn kinds(&self) -> Vec<String> {
        self.all().iter().map(Delivered::kind).collect()
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let body = String::from_utf8(body.to_vec()).unwrap();
    receiver
        .deliveries
        .lock()
        .unwrap()
        .push(Delivered { headers, body });
    let mut left = receiver.refusals_left.lock().unwrap();
    if *left > 0 {
        *left = left.saturating_sub(1);
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::OK
    }
}

/// One simulator for one test.
pub(super) struct Harness {
    pub(super) simulator: Simulator,
    pub(super) receiver: Receiver,
    client: Client,
}

impl Harness {
    /// The clock stands at `NOW`; one endpoint listens.
    pub(super) async fn new() -> Self {
        let receiver = Receiver::default();
        let endpoint = Endpoint {
            url: receiver.listen().await,
            secret: SECRET.to_owned(),
            api_version: None,
        };
        Self::with(options(vec![endpoint]), receiver).await
    }

    pub(super) async fn with(options: Options, receiver: Receiver) -> Self {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([])
            .build()
            .unwrap();
        Self {
            simulator: Simulator::start(options).await.unwrap(),
            receiver,
            client,
        }
    }

    /// Sends any request; `Err` means that no answer came.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Reply, reqwest::Error> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.simulator.url()))
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        Ok(Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await?,
        })
    }

    pub(super) async fn try_post(&self, path: &str, body: &str) -> Result<Reply, reqwest::Error> {
        let key = format!("Bearer {KEY}");
        self.send(
            Method::POST,
            path,
            &[("authorization", &key)],
            body.to_owned(),
        )
        .await
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> Reply {
        self.try_post(path, body).await.unwrap()
    }

    pub(super) async fn try_post_with_key(
        &self,
        key: &str,
        path: &str,
        body: &str,
    ) -> Result<Reply, reqwest::Error> {
        let bearer = format!("Bearer {KEY}");
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        self.send(Method::POST, path, &headers, body.to_owned())
            .await
    }

    pub(super) async fn post_with_key(&self, key: &str, path: &str, body: &str) -> Reply {
        self.try_post_with_key(key, path, body).await.unwrap()
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        let key = format!("Bearer {KEY}");
        self.send(Method::GET, path, &[("authorization", &key)], String::new())
            .await
            .unwrap()
    }

    /// Turns a knob and gives its answer.
    pub(super) async fn knob(&self, name: &str, setting: Value) -> Value {
        let reply = self.turn(name, setting).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()
    }

    pub(super) async fn turn(&self, name: &str, setting: Value) -> Reply {
        let path = format!("/_simulator/{name}");
        self.send(
            Method::POST,
            &path,
            &[("content-type", "application/json")],
            setting.to_string(),
        )
        .await
        .unwrap()
    }

    /// What the simulator's own log or list says.
    pub(super) async fn look(&self, name: &str) -> Value {
        self.get(&format!("/_simulator/{name}")).await.json()
    }

    /// Creates an open session and gives its id.
    pub(super) async fn session(&self) -> String {
        let reply = self.post("/v1/checkout/sessions", &session_form()).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        text(&reply.json(), "id")
    }

    /// A paid session and its payment intent.
    pub(super) async fn paid(&self) -> (String, String) {
        let session = self.session().await;
        let paid = self.knob("pay", json!({ "session": session })).await;
        (session, text(&paid, "paymentIntent"))
    }

    pub(super) async fn retrieve(&self, session: &str) -> Value {
        self.get(&format!("/v1/checkout/sessions/{session}"))
            .await
            .json()
    }
}

pub(super) fn options(endpoints: Vec<Endpoint>) -> Options {
    Options {
        bind: "127.0.0.1:0".parse().unwrap(),
        endpoints,
        data_file: None,
        now: Some(DateTime::<Utc>::from_timestamp(NOW, 0).unwrap()),
    }
}

/// What a seat for €24.00 asks of Stripe.
pub(super) fn session_form() -> String {
    [
        "mode=payment",
        "client_reference_id=booking-1",
        "metadata[bookingId]=booking-1",
        "payment_intent_data[metadata][bookingId]=booking-1",
        "line_items[0][quantity]=2",
        "line_items[0][price_data][currency]=eur",
        "line_items[0][price_data][unit_amount]=1200",
        "line_items[0][price_data][product_data][name]=Stalls%20%26%20more",
        "submit_type=book",
        "locale=auto",
        "customer_email=jenny%40example.com",
        "success_url=https://shop.example/success?session_id={CHECKOUT_SESSION_ID}",
        "cancel_url=https://shop.example/cancel",
    ]
    .join("&")
}

/// The session form with one parameter replaced, or left out when `value` is empty.
pub(super) fn session_form_with(name: &str, value: &str) -> String {
    let form = session_form();
    let mut pairs: Vec<&str> = form
        .split('&')
        .filter(|pair| !pair.starts_with(&format!("{name}=")))
        .collect();
    let pair = format!("{name}={value}");
    if !value.is_empty() {
        pairs.push(&pair);
    }
    pairs.join("&")
}

/// The string field `name`.
pub(super) fn text(object: &Value, name: &str) -> String {
    object[name].as_str().unwrap_or_default().to_owned()
}
