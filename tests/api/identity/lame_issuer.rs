//! The issuer is silent, fails, or answers nonsense: nobody floods it, and whoever does not need it
//! does not wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use chrono::TimeDelta;
use futures_util::future::join_all;
use holdfast::app::AppState;
use holdfast::dev::identity::Issuer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::keys::another_issuer;
use super::{ask, encode, refused};
use crate::harness::{Answer, TestApp, send};

/// How the stand-in answers.
#[derive(Clone, PartialEq)]
enum Reply {
    /// As it should.
    Keys(String),
    /// Not until this changes.
    Nothing,
    Failure,
    Nonsense(String),
}

/// A stand-in for the issuer, before a Holdfast that nobody has asked anything yet.
struct Lame {
    harness: TestApp,
    issuer: Issuer,
    jwks: String,
    reply: watch::Sender<Reply>,
    requests: watch::Receiver<usize>,
}

#[derive(Clone)]
struct StandIn {
    reply: watch::Receiver<Reply>,
    requests: Arc<watch::Sender<usize>>,
}

async fn answer(State(mut stand_in): State<StandIn>) -> Result<String, StatusCode> {
    stand_in.requests.send_modify(|requests| *requests += 1);
    let reply = stand_in.reply.wait_for(|reply| *reply != Reply::Nothing);
    match reply.await.unwrap().clone() {
        Reply::Keys(text) | Reply::Nonsense(text) => Ok(text),
        Reply::Nothing | Reply::Failure => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

impl Lame {
    async fn new(reply: Reply) -> Self {
        let issuer = another_issuer().await;
        let jwks = jwks(&issuer).await;
        let (reply, replies) = watch::channel(reply);
        let (counter, requests) = watch::channel(0);
        let router = Router::new().route("/", get(answer)).with_state(StandIn {
            reply: replies,
            requests: Arc::new(counter),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let harness = TestApp::with(&[("CLERK_JWKS_URL", &url)]).await;
        Self {
            harness,
            issuer,
            jwks,
            reply,
            requests,
        }
    }

    /// One that has answered once.
    async fn known() -> Self {
        let lame = Self::new(Reply::Failure).await;
        lame.heal();
        assert_eq!(lame.ask().await.status, 200);
        lame
    }

    fn heal(&self) {
        self.reply.send_replace(Reply::Keys(self.jwks.clone()));
    }

    fn requests(&self) -> usize {
        *self.requests.borrow()
    }

    async fn advance(&self, milliseconds: i64) {
        self.harness
            .advance(TimeDelta::milliseconds(milliseconds))
            .await;
    }

    fn token(&self) -> String {
        let mut claims = self.harness.claims("user_dana", "dana@example.com");
        claims["exp"] = json!((self.harness.now() + TimeDelta::days(2)).timestamp());
        self.issuer.token(&claims)
    }

    /// Asks, with a token that stands, for what only a user may see.
    async fn ask(&self) -> Answer {
        ask(&self.harness, self.token()).await
    }

    /// Asks with many invented keys at once.
    async fn flood(&self) -> Vec<Answer> {
        static INVENTED: AtomicUsize = AtomicUsize::new(0);
        let claims = encode(&self.harness.claims("user_eve", ""));
        let forged = (0..20).map(|_| {
            let id = INVENTED.fetch_add(1, Ordering::Relaxed);
            let header = json!({ "alg": "RS256", "kid": format!("invented {id}") });
            ask(&self.harness, format!("{}.{claims}.AAAA", encode(&header)))
        });
        join_all(forged).await
    }
}

/// The keys that an issuer publishes.
async fn jwks(issuer: &Issuer) -> String {
    let url = format!("{}/.well-known/jwks.json", issuer.url());
    let answer = send(reqwest::Client::new().get(url)).await;
    answer.body.to_string()
}

#[tokio::test]
async fn at_a_cold_start_only_who_signs_in_waits_for_a_silent_issuer() {
    let mut lame = Lame::new(Reply::Nothing).await;
    let app = AppState::clone(&lame.harness.app);
    let now = lame.harness.now();
    let keeping = tokio::spawn(async move { app.identity.keep_keys(now).await });
    lame.requests
        .wait_for(|requests| *requests == 1)
        .await
        .unwrap();

    for path in ["/api/shows", "/api/movies", "/health"] {
        let answer = lame.harness.bearer(lame.token()).get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    let ready = lame.harness.get("/ready").await;
    assert!(!keeping.is_finished(), "nobody has waited for the issuer");
    ready.refused(503, "identity_unavailable");
    let (signed_in, ()) = tokio::join!(lame.ask(), async { lame.heal() });

    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    keeping.await.unwrap();
    assert_eq!(lame.harness.get("/ready").await.status, 200);
    assert_eq!(lame.requests(), 1);
}

#[tokio::test]
async fn a_silent_issuer_is_given_up_for_all_who_wait() {
    let lame = Lame::new(Reply::Nothing).await;

    let answers = join_all((0..5).map(|_| lame.ask())).await;

    for answer in answers {
        answer.refused(503, "identity_unavailable");
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert_eq!(lame.requests(), 1);
}

#[tokio::test]
async fn who_stops_waiting_does_not_stop_the_fetch() {
    let mut lame = Lame::new(Reply::Nothing).await;
    let request = lame.harness.bearer(lame.token());
    let request = tokio::spawn(
        request
            .request(reqwest::Method::GET, "/api/bookings")
            .send(),
    );
    lame.requests
        .wait_for(|requests| *requests == 1)
        .await
        .unwrap();

    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    let (other, ()) = tokio::join!(lame.ask(), async { lame.heal() });

    assert_eq!(other.status, 200, "{other:?}");
    assert_eq!(lame.requests(), 1);
}

#[tokio::test]
async fn an_issuer_that_fails_is_asked_once_a_pause_by_all_together() {
    let lame = Lame::new(Reply::Failure).await;

    for (milliseconds, requests) in [
        (0, 1),
        (999, 1),
        (1, 2),
        (1_999, 2),
        (1, 3),
        (3_999, 3),
        (1, 4),
        (4_000, 5),
    ] {
        lame.advance(milliseconds).await;
        for answer in join_all((0..5).map(|_| lame.ask())).await {
            answer.refused(503, "identity_unavailable");
        }
        lame.harness.keep_issuer_keys().await;
        let ready = lame.harness.get("/ready").await;
        ready.refused(503, "identity_unavailable");

        assert_eq!(lame.requests(), requests, "after {milliseconds} ms more");
    }
    lame.heal();
    lame.advance(4_000).await;
    assert_eq!(lame.ask().await.status, 200);
    assert_eq!(lame.requests(), 6);
}

/// The pause begins when it was given up, and not when it was asked.
#[tokio::test]
async fn an_issuer_that_has_hung_is_left_in_peace_after_it_was_given_up() {
    let lame = Lame::new(Reply::Nothing).await;
    // That takes five seconds.
    lame.harness.keep_issuer_keys().await;
    lame.reply.send_replace(Reply::Failure);

    for (milliseconds, requests) in [(5_000, 1), (999, 1), (1, 2)] {
        lame.advance(milliseconds).await;
        lame.ask().await.refused(503, "identity_unavailable");

        assert_eq!(lame.requests(), requests, "after {milliseconds} ms more");
    }
}

#[tokio::test]
async fn nonsense_takes_no_key_away() {
    let lame = Lame::known().await;
    let curve = json!({ "kty": "EC", "kid": "x", "crv": "P-256", "x": "AA", "y": "AA" });
    let nonsense = [
        String::new(),
        "<html>".to_owned(),
        "{}".to_owned(),
        json!({ "keys": [] }).to_string(),
        json!({ "keys": null }).to_string(),
        json!({ "keys": [curve] }).to_string(),
        format!("{}{}", " ".repeat(1 << 20), lame.jwks),
    ];

    for (number, text) in nonsense.into_iter().enumerate() {
        lame.reply.send_replace(Reply::Nonsense(text));
        lame.advance(30 * 60_000).await;
        lame.harness.keep_issuer_keys().await;

        assert_eq!(lame.requests(), number + 2);
        assert_eq!(lame.ask().await.status, 200, "{number}");
        assert_eq!(lame.harness.get("/ready").await.status, 200);
    }
}

/// Somebody else has answered, or the issuer with what is another's.
#[tokio::test]
async fn an_answer_with_none_of_the_known_keys_takes_no_key_away() {
    let lame = Lame::known().await;
    let others = jwks(&another_issuer().await).await;
    lame.reply.send_replace(Reply::Keys(others));
    lame.advance(30 * 60_000).await;
    lame.harness.keep_issuer_keys().await;
    let strange = lame.ask().await;

    lame.heal();
    lame.advance(30 * 60_000).await;
    lame.harness.keep_issuer_keys().await;
    lame.advance(59 * 60_000).await;
    let healed = lame.ask().await;

    assert_eq!((strange.status, healed.status), (200, 200), "{strange:?}");
}

#[tokio::test]
async fn a_key_that_the_issuer_has_withdrawn_ends_though_it_fails_from_then_on() {
    let lame = Lame::known().await;
    let others = jwks(&another_issuer().await).await;
    lame.reply.send_replace(Reply::Keys(others));
    lame.advance(30 * 60_000).await;
    lame.harness.keep_issuer_keys().await;
    lame.reply.send_replace(Reply::Failure);
    lame.advance(30 * 60_000).await;

    lame.harness.keep_issuer_keys().await;

    lame.ask().await.refused(503, "identity_unavailable");
}

/// Its answer says which of its keys are left.
#[tokio::test]
async fn a_withdrawn_key_ends_with_the_first_answer_that_has_another_known_one() {
    let lame = Lame::known().await;
    let other = another_issuer().await;
    let mut both: Value = serde_json::from_str(&lame.jwks).unwrap();
    let others: Value = serde_json::from_str(&jwks(&other).await).unwrap();
    let keys = both["keys"].as_array_mut().unwrap();
    keys.push(others["keys"][0].clone());
    lame.reply.send_replace(Reply::Keys(both.to_string()));
    lame.advance(30 * 60_000).await;
    lame.harness.keep_issuer_keys().await;
    assert_eq!(lame.ask().await.status, 200);

    lame.reply.send_replace(Reply::Keys(others.to_string()));
    lame.advance(30 * 60_000).await;
    lame.harness.keep_issuer_keys().await;

    refused(&lame.ask().await);
}

#[tokio::test]
async fn a_key_counts_for_a_day_while_the_issuer_fails() {
    let lame = Lame::known().await;
    lame.reply.send_replace(Reply::Failure);

    lame.advance(24 * 3_600_000 - 1).await;
    lame.harness.keep_issuer_keys().await;
    let last = lame.ask().await;
    lame.advance(1).await;
    let unconfirmed = lame.ask().await;

    assert_eq!(last.status, 200, "{last:?}");
    unconfirmed.refused(503, "identity_unavailable");
}

/// Of what does not stand anyway, nobody needs the issuer's word.
#[tokio::test]
async fn an_unknown_key_under_claims_that_do_not_stand_is_refused_by_itself() {
    let lame = Lame::new(Reply::Failure).await;
    let header = encode(&json!({ "alg": "RS256", "kid": "invented" }));

    for (claim, value) in [("exp", json!(0)), ("iss", json!("https://evil.example"))] {
        let mut claims = lame.harness.claims("user_eve", "");
        claims[claim] = value;
        let token = format!("{header}.{}.AAAA", encode(&claims));
        refused(&ask(&lame.harness, token).await);
    }

    assert_eq!(lame.requests(), 0);
}

#[tokio::test]
async fn an_unknown_key_is_refused_only_by_an_issuer_that_answers() {
    let lame = Lame::known().await;
    for answer in lame.flood().await {
        refused(&answer);
    }

    lame.reply.send_replace(Reply::Failure);
    lame.advance(30_000).await;
    for answer in lame.flood().await {
        answer.refused(503, "identity_unavailable");
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert_eq!(lame.requests(), 2);
    assert_eq!(lame.ask().await.status, 200, "its key is known");

    lame.heal();
    lame.advance(1_000).await;
    for answer in lame.flood().await {
        refused(&answer);
    }
    assert_eq!(lame.requests(), 3);
}

#[tokio::test]
async fn a_session_by_a_known_key_does_not_wait_for_one_before_it() {
    let mut lame = Lame::known().await;
    lame.reply.send_replace(Reply::Nothing);
    lame.advance(30_000).await;
    let unknown = another_issuer()
        .await
        .token(&lame.harness.claims("user_eve", ""));
    let cookies = format!("__session={unknown}; __session={}", lame.token());
    let request = lame.harness.request(reqwest::Method::GET, "/api/bookings");

    let answer = send(request.header("cookie", cookies)).await;

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(*lame.requests.borrow_and_update(), 1);
}
