//! Behind a connection pooler: what it takes is enough, and what it refuses is said by all alike.

use super::harness::Harness;
use super::serve::book;
use crate::pg_proxy::PgProxy;

const REMEDY: &str = "take `options` out of DATABASE_URL";

/// A proxy that refuses at start-up what PgBouncer refuses.
async fn pooler(harness: &Harness) -> PgProxy {
    let pg_proxy = PgProxy::start(&harness.database.options()).await;
    pg_proxy.refuse_as_pooler();
    pg_proxy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_refuses_all_it_does_not_know_is_enough() {
    let harness = Harness::new().await;
    let pooler = pooler(&harness).await;
    let own = [("DATABASE_URL", pooler.url())];

    for command in ["migrate", "seed", "doctor", "verify"] {
        let ended = harness.run(&[command], &own);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let server = harness.serve(&own);
    server.ready(200).await;
    let (status, booking) = book(&harness, &server).await.await;
    assert_eq!(status, 201, "{booking}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_a_pooler_for_too_much_is_told_what_to_change() {
    let harness = Harness::new().await;
    let pooler = pooler(&harness).await;
    let url = format!("{}&options=-c%20geqo=off", pooler.url());
    let own = [("DATABASE_URL", url.as_str())];

    for command in ["migrate", "seed", "doctor", "verify"] {
        let ended = harness.run(&[command], &own);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let said = ended.stdout + &ended.stderr;
        assert!(said.contains(REMEDY), "{command}: {said}");
        assert!(
            said.contains("unsupported startup parameter: options"),
            "{command}: {said}"
        );
    }
    let mut server = harness.serve(&own);
    server.logged(REMEDY);
    let problem = server.ready(503).await;
    assert_eq!(problem["code"], "database_unavailable");
    let missing = problem["missing"][0].as_str().unwrap();
    assert!(missing.contains(REMEDY), "{missing}");
}
