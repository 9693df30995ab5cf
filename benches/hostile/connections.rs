//! Strangers who open connections and say nothing, send heads that are far too large or never come
//! to their end, while others book. At the end an operator stops the process, and nobody who has
//! not sent a whole request is waited for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Settings;
use crate::bodies;
use crate::connection::Connection;
use crate::honest::{self, Judged};
use crate::report::Report;
use crate::world::{Start, World};

/// Who say nothing.
const SILENT: usize = 1_100;
/// Who send a head without an end, and how large it is.
const LARGE: usize = 800;
const LARGE_BYTES: usize = 400_000;
/// Who send a head byte by byte, and what of it they send first: nearly as much as may be.
const DRIPPING: usize = 100;
const DRIPPED_BYTES: usize = 30_000;
const DRIP_EVERY: Duration = Duration::from_millis(500);
/// After which they come back.
const AGAIN: Duration = Duration::from_secs(2);

/// What most systems let a process have, if nobody raises it: there are more who say nothing.
const FEW_FILES: u64 = 1_024;

/// What a head may take (10 s), and a little.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(12);
/// How long one of those is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Each connection may have 32 KiB of a head in memory, and a task.
const RSS_GROWTH_MIB_MAX: u64 = 96;
const STOP_MAX: Duration = Duration::from_secs(5);

const HEAD: &[u8] = b"GET /api/movies HTTP/1.1\r\nhost: x\r\nx-long: ";

/// With as many files as there may be, and with few.
pub(crate) async fn run(settings: &Settings) -> Vec<Report> {
    let many = attack(settings, "connections", None).await;
    let few = attack(settings, "connections-few-files", Some(FEW_FILES)).await;
    vec![many, few]
}

async fn attack(settings: &Settings, name: &'static str, files_max: Option<u64>) -> Report {
    let mut report = Report::begin(name);
    let start = Start {
        files_max,
        ..Start::usual(name, settings)
    };
    let mut world = World::new(start).await;
    let show = honest::open_show(&world).await;
    let (to, at_rest) = (world.address(), world.usage());
    let head: Arc<[u8]> = head_of(LARGE_BYTES).into();
    let mut strangers = JoinSet::new();
    for _ in 0..SILENT {
        strangers.spawn(again_and_again(async move || stay_silent(to).await));
    }
    for _ in 0..LARGE {
        let head = Arc::clone(&head);
        strangers.spawn(again_and_again(async move || send_head(to, &head).await));
    }
    let dripping: JoinSet<_> = (0..DRIPPING).map(|_| drip(to)).collect();
    let served = honest::buy(&world, &show, settings.lasting()).await;
    let dripped = dripping.join_all().await;
    let peak = world.usage();
    drop(strangers);
    served.report(&mut report, &Judged::P99, "timed out");
    report.note("RSS at rest, MiB", "", at_rest.rss_mib);
    let growth = peak.peak_rss_mib.saturating_sub(at_rest.rss_mib);
    report.at_most(
        "RSS grows at most by, MiB",
        "354",
        growth,
        RSS_GROWTH_MIB_MAX,
    );
    let slowest = dripped.into_iter().max().unwrap_or_default();
    report.at_most(
        "a dripped head ends within",
        "never",
        slowest,
        HEAD_WAIT_MAX,
    );
    let stopped = stop(&mut world).await;
    report.at_most("SIGTERM ends the process within", "25 s", stopped, STOP_MAX);
    report.at_most("errors in the log", "", world.errors(), 0);
    report.end()
}

/// While three requests are not whole.
async fn stop(world: &mut World) -> Duration {
    let mut unfinished = Vec::new();
    let no_body = bodies::forged_head();
    for part in [&b""[..], HEAD, &no_body[..]] {
        let mut connection = Connection::open(world.address()).await.unwrap();
        connection.send(part).await.unwrap();
        unfinished.push(connection);
    }
    // What was sent has come.
    sleep(Duration::from_millis(500)).await;
    world.stop().await
}

fn head_of(bytes: usize) -> Vec<u8> {
    let mut head = HEAD.to_vec();
    head.resize(bytes, b'x');
    head
}

async fn again_and_again(attack: impl AsyncFn() -> io::Result<()>) {
    loop {
        drop(attack().await);
        sleep(AGAIN).await;
    }
}

async fn stay_silent(to: SocketAddr) -> io::Result<()> {
    Connection::open(to).await?.ended().await;
    Ok(())
}

async fn send_head(to: SocketAddr, head: &[u8]) -> io::Result<()> {
    let mut connection = Connection::open(to).await?;
    connection.send(head).await?;
    connection.ended().await;
    Ok(())
}

/// How long the server listened to a head that never ends.
async fn drip(to: SocketAddr) -> Duration {
    let began = Instant::now();
    let dripped = async {
        let mut connection = Connection::open(to).await?;
        connection.send(&head_of(DRIPPED_BYTES)).await?;
        connection.drip(DRIP_EVERY).await;
        connection.ended().await;
        Ok::<(), io::Error>(())
    };
    // Who is refused at once is not listened to either.
    drop(timeout(PATIENCE, dripped).await);
    began.elapsed()
}
