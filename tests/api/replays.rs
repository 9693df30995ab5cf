//! Whatever an endpoint replies under an idempotency key comes again as it was; a failure does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::post;
use holdfast::app::AppState;
use holdfast::domain::refusal::Refusal;
use holdfast::error::{Error, Result};
use holdfast::http::admission::{Admission, admit_user};
use holdfast::http::idempotency::{Idempotent, Keyed};
use holdfast::http::middleware::request_id;
use holdfast::http::reply::Reply;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::{Answer, TestApp, send};

const STORED: &str = "select count(response_status) from idempotency_keys";

/// Work, given how often it was done before.
type Work = fn(u64) -> Result<Reply<Value>>;

/// An endpoint of the test's own, which does `work`.
struct Endpoint<'a> {
    harness: &'a TestApp,
    url: String,
}

impl<'a> Endpoint<'a> {
    async fn with(harness: &'a TestApp, work: Work) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        let handler = async move |State(app): State<AppState>, request: Idempotent<Value>| {
            let work = async |keyed: Keyed| {
                let reply = work(done.fetch_add(1, Ordering::Relaxed))?;
                let mut tx = app.begin().await?;
                let kept = keyed.keep(&mut tx, reply, app.now()).await?;
                tx.commit().await?;
                Ok(kept)
            };
            request.key.respond(&app, work).await
        };
        let app = AppState::clone(&harness.app);
        let admission = Admission::new(AppState::clone(&app));
        let router = Router::new()
            .route("/things", post(handler))
            .layer(from_fn_with_state(admission, admit_user))
            .layer(from_fn(request_id))
            .with_state(app);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/things", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { harness, url }
    }

    async fn post(&self, key: &str) -> Answer {
        let claims = self.harness.claims("user_dana", "dana@example.com");
        let request = self
            .harness
            .http
            .post(&self.url)
            .bearer_auth(self.harness.issuer.token(&claims))
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        send(request.body("{}")).await
    }
}

#[tokio::test]
async fn each_success_comes_again_as_it_was() {
    let harness = TestApp::new().await;
    let cases: [(Work, u16, Option<&str>); 3] = [
        (|done| Ok(Reply::ok(json!({ "done": done }))), 200, None),
        (
            |done| {
                Ok(Reply::created(
                    "/things/1".to_owned(),
                    json!({ "done": done }),
                ))
            },
            201,
            Some("/things/1"),
        ),
        (
            |done| {
                Ok(Reply::accepted(
                    "/things/1".to_owned(),
                    json!({ "done": done }),
                ))
            },
            202,
            Some("/things/1"),
        ),
    ];

    for (work, status, location) in cases {
        let endpoint = Endpoint::with(&harness, work).await;
        let key = status.to_string();
        let first = endpoint.post(&key).await;
        let again = endpoint.post(&key).await;

        for answer in [&first, &again] {
            let headers = &answer.headers;
            assert_eq!(
                (answer.status, &answer.body),
                (status, &json!({ "done": 0 }))
            );
            assert_eq!(
                headers.get("location").map(|path| path.to_str().unwrap()),
                location
            );
            assert_eq!(headers["content-type"], "application/json");
        }
        assert!(first.headers.get("idempotent-replayed").is_none());
        assert_eq!(again.headers["idempotent-replayed"], "true");
    }
}

#[tokio::test]
async fn a_refusal_comes_again_as_it_was_with_the_id_of_its_own_request() {
    let harness = TestApp::new().await;
    let endpoint = Endpoint::with(&harness, |done| {
        let maximum = usize::try_from(done).unwrap();
        Err(Refusal::TooManySeats { maximum }.into())
    })
    .await;

    let first = endpoint.post("key-1").await;
    let again = endpoint.post("key-1").await;

    for answer in [&first, &again] {
        answer.refused(422, "too_many_seats");
        assert_eq!(answer.body["maximum"], 0);
    }
    assert_eq!(first.body["detail"], again.body["detail"]);
    assert_ne!(first.body["requestId"], again.body["requestId"]);
    assert!(first.headers.get("idempotent-replayed").is_none());
    assert_eq!(again.headers["idempotent-replayed"], "true");
}

#[tokio::test]
async fn a_failure_is_never_stored_and_the_key_can_be_used_again_at_once() {
    let harness = TestApp::new().await;
    let endpoint = Endpoint::with(&harness, |done| match done {
        0 => Err(Error::fault("the log's")),
        1 => Err(Error::ProviderUnavailable("the log's".to_owned())),
        2 => Err(Error::ProviderRefused {
            reason: "the log's".to_owned(),
            request_id: "req_1".to_owned(),
        }),
        3 => Err(Error::Database(sqlx::Error::PoolTimedOut)),
        _ => Ok(Reply::ok(json!({}))),
    })
    .await;

    for (status, code) in [
        (500, "internal"),
        (503, "payment_provider_unavailable"),
        (502, "payment_provider_error"),
        (503, "database_unavailable"),
    ] {
        endpoint.post("key-1").await.refused(status, code);
        assert_eq!(harness.sql(STORED).await, "0");
    }
    let done = endpoint.post("key-1").await;

    assert_eq!(done.status, 200, "{done:?}");
    assert!(done.headers.get("idempotent-replayed").is_none());
}

/// A process that dies right after the commit must not leave work whose reply nobody knows.
#[tokio::test]
async fn what_an_admin_makes_is_committed_together_with_its_reply() {
    let harness = TestApp::new().await;
    for statement in [
        "create function refuse_claim_without_response() returns trigger language plpgsql as $$
         begin
           if (select response_status is null from idempotency_keys
               where caller = new.caller and key = new.key) then
             raise 'the key % is committed without its response', new.key;
           end if;
           return null;
         end $$",
        "create constraint trigger refuse_claim_without_response after insert on idempotency_keys
         deferrable initially deferred
         for each row execute function refuse_claim_without_response()",
    ] {
        sqlx::query(statement).execute(harness.db()).await.unwrap();
    }
    let admin = harness.admin();
    let tier = json!({ "name": "a", "price": { "amountMinor": 1200, "currency": "eur" } });
    let show = json!({
        "title": "Metropolis", "startsAt": "2026-12-24T19:30:00Z", "timezone": "Europe/Berlin",
        "tiers": [tier], "rows": [{ "row": "A", "seats": 1, "tier": "a" }],
    });

    for (path, body) in [
        ("/api/admin/movies", json!({ "title": "Metropolis" })),
        ("/api/admin/shows", show),
    ] {
        let first = admin.post_keyed(path, body.clone(), path).await;
        let again = admin.post_keyed(path, body, path).await;

        assert_eq!((first.status, again.status), (201, 201), "{first:?}");
        assert_eq!(first.body, again.body);
        assert_eq!(first.headers["location"], again.headers["location"]);
        assert_eq!(again.headers["idempotent-replayed"], "true");
    }
    assert_eq!(harness.sql("select count(*) from movies").await, "1");
    assert_eq!(harness.sql("select count(*) from shows").await, "1");
}
