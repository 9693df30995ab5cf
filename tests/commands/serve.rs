//! `holdfast serve`: it starts with everything in order or not at all, and lets nobody down when it
//! stops.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::harness::{Harness, NOWHERE, Server};
use super::world::Buyer;

/// Long enough for a process on a busy machine, and shorter than anything that waits for a timeout.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_settings_are_all_told_and_nothing_is_served() {
    let harness = Harness::new().await;
    let wrong = [
        ("DATABASE_URL", ""),
        ("STRIPE_WEBHOOK_SECRET", "sk_test_stage"),
        ("HOLD_SECONDS", "abc"),
        ("APP_ORIGINS", "front.example"),
        ("LOG_FORMAT", "yaml"),
    ];

    let ended = harness.run(&["serve"], &wrong);

    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.starts_with("holdfast: 5 settings to fix:\n"),
        "{ended:?}"
    );
    for (variable, _) in wrong {
        assert!(
            ended.stderr.contains(&format!("\n  {variable}: ")),
            "{variable}: {ended:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_taken_is_told() {
    let harness = Harness::new().await;
    let server = harness.serve(&[]);

    let ended = harness.run(
        &["serve"],
        &[("BIND", server.url.trim_start_matches("http://"))],
    );

    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("set BIND to another address"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_and_never_what_belongs_to_the_simulator() {
    let harness = Harness::new().await;
    let server = harness.serve(&[]);

    assert_eq!(
        server.get("/health").await,
        (200, json!({ "status": "ok" }))
    );
    assert_eq!(
        server.get("/ready").await,
        (200, json!({ "status": "ready" }))
    );
    for path in [
        "/_simulator/requests",
        "/_simulator/clock",
        "/_simulator",
        "/v1/balance",
        "/.well-known/jwks.json",
    ] {
        let (status, problem) = server.get(path).await;
        assert_eq!(
            (status, &problem["code"]),
            (404, &json!("not_found")),
            "{path}"
        );
    }
    let pay = reqwest::Client::new()
        .post(format!("{}/_simulator/pay", server.url))
        .send()
        .await
        .unwrap();
    assert_eq!(pay.status(), 404);
}

/// Whoever reads errors has something to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_another_is_away_is_no_error_in_the_log() {
    let harness = Harness::new().await;
    let mut server = harness.serve(&[("CLERK_ISSUER", NOWHERE)]);

    server.ready(503).await;
    server.get("/health").await;

    server.logged(r#""status":200"#);
    assert_eq!(server.errors(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_for_an_unknown_path_is_in_the_log_without_what_may_be_secret() {
    let harness = Harness::new().await;
    let mut server = harness.serve(&[]);
    let token = "0123456789abcdef0123456789abcdef0";
    let post = |path: &str| {
        let client = reqwest::Client::new();
        client.post(format!("{}{path}", server.url)).body("{}")
    };

    let unsigned = post("/api/unsigned").send().await.unwrap();
    let signed = post(&format!("/webhooks/{token}/a%0Ab/stripe?token={token}"))
        .header("stripe-signature", "t=1,v1=00");
    let signed = signed.send().await.unwrap();

    assert_eq!(
        (unsigned.status(), signed.status()),
        (404.try_into().unwrap(), 404.try_into().unwrap())
    );
    let rest = server.logged("an event of Stripe's came to /webhooks/…/…/stripe, which is no path");
    assert!(rest.contains(r#""request.id""#), "{rest}");
    assert!(!server.has_logged(token) && !server.has_logged("/api/unsigned"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_is_in_the_log_with_the_id_of_its_answer() {
    let harness = Harness::new().await;
    let mut server = harness.serve(&[]);
    let address = server.url.trim_start_matches("http://").to_owned();
    let mut connection = TcpStream::connect(address).await.unwrap();

    connection.write_all(b"garbage\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();

    let (_, problem) = answer.split_once("\r\n\r\n").unwrap();
    let problem: Value = serde_json::from_str(problem).unwrap();
    let line = server.logged("refused what is no whole request");
    assert!(
        line.contains(&format!(r#""request.id":{}"#, problem["requestId"])),
        "{line}"
    );
    assert!(!server.has_logged("garbage"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_ready_once_the_migrations_are_applied() {
    let harness = Harness::new().await;
    harness.empty_database().await;
    let mut server = harness.serve(&[]);

    server.logged("run `holdfast migrate`");
    let problem = server.ready(503).await;
    assert_eq!(problem["code"], "database_unavailable");
    let missing = problem["missing"][0].as_str().unwrap();
    let advice = " migrations are to be applied; run `holdfast migrate`";
    assert!(missing.ends_with(advice), "{missing}");
    assert_eq!(server.get("/health").await.0, 200);

    assert_eq!(harness.run(&["migrate"], &[]).code, Some(0));
    assert_eq!(server.get("/ready").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_and_comes_back_makes_it_unready_and_ready_again() {
    let harness = Harness::new().await;
    let server = harness.serve(&[]);
    assert_eq!(server.get("/ready").await.0, 200);

    harness.close_database(true).await;
    assert_eq!(server.ready(503).await["code"], "database_unavailable");
    assert_eq!(server.get("/health").await.0, 200);

    harness.close_database(false).await;
    server.ready(200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_database_it_lives_at_once_and_is_not_ready() {
    let harness = Harness::new().await;
    let asked = Instant::now();
    let server = harness.serve(&[("DATABASE_URL", "postgres://postgres@127.0.0.1:1/holdfast")]);

    assert_eq!(server.get("/health").await.0, 200);
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "it took {:?}",
        asked.elapsed()
    );
    assert_eq!(server.ready(503).await["code"], "database_unavailable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_keys_of_the_issuer_it_is_not_ready() {
    let harness = Harness::new().await;
    let server = harness.serve(&[("CLERK_ISSUER", NOWHERE)]);

    let problem = server.ready(503).await;
    assert_eq!(problem["code"], "identity_unavailable");
    assert_eq!(
        problem["missing"],
        json!(["the issuer's keys cannot be had; check CLERK_ISSUER and CLERK_JWKS_URL"])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_issuer_delays_neither_the_start_nor_the_public() {
    let harness = Harness::new().await;
    // Whoever connects waits for an answer.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let asked = Instant::now();

    let mut server = harness.serve(&[("CLERK_JWKS_URL", &url)]);
    let shows = reqwest::Client::new().get(format!("{}/api/shows", server.url));
    let token = harness.issuer.token(&json!({ "sub": "user_dana" }));
    let shows = shows.bearer_auth(token).send().await.unwrap();
    let (ready, _) = server.get("/ready").await;
    let took = asked.elapsed();
    server.signal("TERM");

    assert_eq!((shows.status().as_u16(), ready), (200, 503));
    assert!(took < Duration::from_secs(3), "it took {took:?}");
    assert_eq!(server.ended(AT_ONCE).code(), Some(0));
}

/// Without a file for another connection nothing spins, and it goes on when there are files again.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_no_connection_can_be_taken_is_in_the_log() {
    let harness = Harness::new().await;
    let mut server = harness.serve(&[]);
    // It has raised its limit by then, and looked at the database.
    assert_eq!(server.get("/health").await.0, 200);
    server.logged("the schema is up to date");
    let limit = server.limit_files(Some(1));

    let address = server.url.trim_start_matches("http://").to_owned();
    let connection = TcpStream::connect(address).await.unwrap();
    let first = server.logged("no connection can be taken, tried 1 times: ");
    // Tried every twentieth of a second, and said once in one.
    let next = server.logged_again("no connection can be taken, tried ");
    server.limit_files(limit);
    drop(connection);

    assert!(first.starts_with("Too many open files"), "{first}");
    let times: u32 = next.split(' ').next().unwrap().parse().unwrap();
    assert!((2..=21).contains(&times), "{next}");
    assert_eq!(server.get("/health").await.0, 200);
}

/// A request for the first free seat of the first show.
pub(crate) async fn book(
    harness: &Harness,
    server: &Server,
) -> impl Future<Output = (u16, Value)> + use<> {
    let (_, shows) = server.get("/api/shows").await;
    let show = shows["items"][0]["id"].clone();
    assert!(show.is_string(), "{shows}");
    let (_, seats) = server
        .get(&format!("/api/shows/{}/seats", show.as_str().unwrap()))
        .await;
    let free = seats["seats"]
        .as_array()
        .unwrap()
        .iter()
        .find(|seat| seat["state"] == "free")
        .unwrap();
    let request = json!({ "kind": "show", "showId": show, "seats": [free["label"]] });
    // Of each seat another: a user may hold one booking of a show.
    let buyer = format!("of_{}", free["label"].as_str().unwrap());
    let answer = Buyer::new(harness, &buyer).post(server, "/api/bookings", &request, None);
    async move { answer.await.unwrap() }
}
