//! `holdfast verify`: what it says, and how it ends.

use std::process::{Child, Command, Stdio};

use holdfast::app::Clock;
use holdfast::domain::audit::{AdminAction, ChainEnd, NewAuditEntry};
use holdfast::domain::user::UserId;
use serde_json::json;

use super::harness::{Harness, PATIENCE};
use super::world::Buyer;
use crate::pg_proxy::{Held, PgProxy, Way};

const SCHEMAS: &str = "select count(*) from pg_namespace where nspname like 'holdfast_verify_%'";
/// A statement of the pages, and so one that comes when the copies are there.
const OF_A_PAGE: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_is_well_beside_a_server_until_somebody_tampers() {
    let harness = Harness::new().await;
    assert_eq!(harness.run(&["seed"], &[]).code, Some(0));
    let server = harness.serve(&[]);
    let show = "select show_id::text from show_seats where sellable order by show_id limit 1";
    let show: String = sqlx::query_scalar(show)
        .fetch_one(harness.database.pool())
        .await
        .unwrap();
    let order = json!({ "kind": "show", "showId": show, "seats": ["C4"] });
    let dana = Buyer::new(&harness, "dana");
    let (status, booking) = dana
        .post(&server, "/api/bookings", &order, None)
        .await
        .unwrap();
    assert_eq!(status, 201, "{booking}");
    let session = booking["checkout"]["sessionId"].as_str().unwrap();
    let event = harness.pay(session).await;
    assert_eq!(server.deliver(&event).await.unwrap().0, 200);

    let well = harness.run(&["verify"], &[]);
    harness
        .sql(
            "set session_replication_role = replica;
             update payments set amount_minor = 2 * amount_minor;
             insert into audit_log (number, at, actor, action, subject, previous_hash, hash)
             values (1, now(), 'somebody', 'refund', 'a booking',
                     decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'));
             set session_replication_role = origin",
        )
        .await;
    let tampered = harness.run(&["verify"], &[]);

    assert_eq!(well.code, Some(0), "{well:?}");
    assert_eq!(
        well.stdout,
        format!(
            "audit log: 0 entries, last hash {}\n\
             ok    1 bookings and 1 events: what is stored is what they come to, and all sums come \
             out\n",
            "00".repeat(32)
        )
    );
    assert!(
        !well.stderr.contains(" left"),
        "a bar without a terminal: {well:?}"
    );
    assert_eq!(tampered.code, Some(1), "{tampered:?}");
    for said in [
        "DIFFERS  payment ",
        "the replay says ",
        "DIFFERS  what is paid of booking ",
        "DIFFERS  audit log: stored entry 1",
        "\nFAIL  1 bookings and 1 events: not all is as it should be\n",
    ] {
        assert!(tampered.stdout.contains(said), "{said}: {tampered:?}");
    }
}

#[tokio::test]
async fn what_stands_in_the_way_is_said() {
    let harness = Harness::new().await;
    let dead = [("DATABASE_URL", "postgres://postgres@127.0.0.1:1/holdfast")];
    let ended = harness.run(&["verify"], &dead);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("check DATABASE_URL"), "{ended:?}");

    harness.empty_database().await;
    let ended = harness.run(&["verify"], &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("run `holdfast migrate`"), "{ended:?}");
}

/// A `holdfast verify` that is held in the middle of a page.
async fn held(harness: &Harness, pg_proxy: &PgProxy) -> Child {
    pg_proxy.hold_up(Held::Statement, OF_A_PAGE);
    let mut command = harness.command(&["verify"], &[("DATABASE_URL", pg_proxy.url())]);
    let verify = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let verify = verify.spawn().unwrap();
    pg_proxy.held().await;
    harness.until(SCHEMAS, "1", PATIENCE).await;
    verify
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_breaks_it_off_leaves_nothing_and_who_kills_it_no_more_than_the_next_takes_away() {
    let harness = Harness::new().await;
    let pg_proxy = PgProxy::start(&harness.database.options()).await;

    let verify = held(&harness, &pg_proxy).await;
    let interrupt = format!("kill -INT {}", verify.id());
    let interrupted = Command::new("/bin/sh").args(["-c", &interrupt]).status();
    assert!(interrupted.unwrap().success());
    let ended = verify.wait_with_output().unwrap();
    pg_proxy.let_go(Way::Cut);

    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let (said, why) = (
        String::from_utf8(ended.stdout),
        String::from_utf8(ended.stderr),
    );
    assert!(said.unwrap().contains("were looked at, and then no more"));
    assert!(why.unwrap().contains("it was stopped before its end"));
    harness.until(SCHEMAS, "0", PATIENCE).await;

    let mut verify = held(&harness, &pg_proxy).await;
    verify.kill().unwrap();
    verify.wait().unwrap();
    pg_proxy.let_go(Way::Cut);
    let alive = "select count(*) from pg_locks where locktype = 'advisory'
                   and database = (select oid from pg_database where datname = current_database())";
    harness.until(alive, "0", PATIENCE).await;
    harness.until(SCHEMAS, "1", PATIENCE).await;

    let next = harness.run(&["verify"], &[]);

    assert_eq!(next.code, Some(0), "{next:?}");
    harness.until(SCHEMAS, "0", PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_log_that_was_cut_off_differs_from_what_was_noted_of_it() {
    let harness = Harness::new().await;
    let mut log = ChainEnd::default();
    for subject in ["first", "second", "third"] {
        let new = NewAuditEntry {
            actor: UserId("user_admin".to_owned()),
            action: AdminAction::CreateMovie,
            subject: subject.to_owned(),
            reason: None,
            request_id: None,
        };
        let entry = log.append(&new, Clock::system().now());
        let written = sqlx::query(
            "insert into audit_log (number, at, actor, action, subject, previous_hash, hash)
             values ($1, $2, $3, $4, $5, $6, $7)",
        );
        let written = written.bind(entry.number).bind(entry.at).bind(&entry.actor);
        let written = written.bind(&entry.action).bind(&entry.subject);
        let written = written.bind(&entry.previous_hash).bind(&entry.hash);
        written.execute(harness.database.pool()).await.unwrap();
        log = log.followed_by(&entry).unwrap();
    }
    let hash = hex::encode(&log.hash);
    let noted = format!("--audit-was=3:{hash}");

    let whole = harness.run(&["verify", &noted], &[]);
    harness
        .sql(
            "set session_replication_role = replica;
             delete from audit_log where number = 3;
             set session_replication_role = origin",
        )
        .await;
    let unnoted = harness.run(&["verify"], &[]);
    let cut_off = harness.run(&["verify", &noted], &[]);
    let wrong = harness.run(&["verify", "--audit-was", "3:ab"], &[]);

    assert_eq!(whole.code, Some(0), "{whole:?}");
    let ends = format!("audit log: 3 entries, last hash {hash}\n");
    assert!(whole.stdout.starts_with(&ends), "{whole:?}");
    assert_eq!(unnoted.code, Some(0), "its chain holds: {unnoted:?}");
    assert_eq!(cut_off.code, Some(1), "{cut_off:?}");
    let differs = "DIFFERS  audit log: stored 2 entries, what was noted says ";
    assert!(cut_off.stdout.contains(differs), "{cut_off:?}");
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
}
