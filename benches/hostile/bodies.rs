//! Strangers who send bodies of the largest size to the webhook, with a signature that was forged
//! or none, or byte by byte, while others book and Stripe reports their payments.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use holdfast::app::Clock;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Settings;
use crate::connection::Connection;
use crate::honest::{self, Judged};
use crate::report::Report;
use crate::world::{Start, World};

/// Of each kind at once: with a signature of the right time, and without one.
const SENDERS: usize = 400;
const BODY_BYTES: usize = 1 << 20;
/// After which they send another.
const AGAIN: Duration = Duration::from_secs(2);
/// Who send one byte by byte.
const DRIPPING: usize = 100;
const DRIP_EVERY: Duration = Duration::from_millis(500);
/// Codes in a forged signature: as many as are looked at.
const CODES: usize = 16;

/// What a body may take (10 s), and a little.
const BODY_WAIT_MAX: Duration = Duration::from_secs(12);
/// How long one of those is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// 64 MiB of bodies at once, a buffer of 32 KiB for the head of each of 800 connections, and what
/// the allocator keeps of both.
const RSS_GROWTH_MIB_MAX: u64 = 128;

/// Forged webhooks whose cost is taken, one after the other, once nobody else is there.
const WEIGHED: u32 = 300;
/// What one of them may cost: it is received, copied and hashed once.
const CPU_EACH_MAX: Duration = Duration::from_millis(8);

/// What strangers were answered, and how often.
type Answers = Arc<Mutex<BTreeMap<u16, u64>>>;

pub(crate) async fn run(settings: &Settings) -> Report {
    let mut report = Report::begin("bodies");
    let world = World::new(Start::usual("bodies", settings)).await;
    let show = honest::open_show(&world).await;
    let (to, at_rest) = (world.address(), world.usage());
    let (forged, bare) = (with_body(forged_head()), with_body(bare_head()));
    let answers = Answers::default();
    let mut strangers = JoinSet::new();
    for _ in 0..SENDERS {
        for request in [&forged, &bare] {
            let sending = send_again_and_again(to, Arc::clone(request), Arc::clone(&answers));
            strangers.spawn(sending);
        }
    }
    let dripping: JoinSet<_> = (0..DRIPPING).map(|_| drip(to)).collect();
    let served = honest::buy(&world, &show, settings.lasting()).await;
    let dripped = dripping.join_all().await;
    let peak = world.usage();
    drop(strangers);
    served.report(&mut report, &Judged::P99, "");
    report.note("RSS at rest, MiB", "", at_rest.rss_mib);
    let growth = peak.peak_rss_mib.saturating_sub(at_rest.rss_mib);
    report.at_most(
        "RSS grows at most by, MiB",
        "435",
        growth,
        RSS_GROWTH_MIB_MAX,
    );
    let slowest = dripped.iter().map(|(took, _)| *took).max();
    let slowest = slowest.unwrap_or_default();
    report.at_most("a dripped body ends within", "", slowest, BODY_WAIT_MAX);
    let late = dripped.iter().filter(|(_, status)| *status == Some(408));
    report.at_least("dripped bodies answered 408", "0", late.count(), DRIPPING);
    judge(&answers, &mut report);
    let cost = weigh(&world, &forged).await;
    report.at_most("CPU of a forged webhook", "24.7 ms", cost, CPU_EACH_MAX);
    report.at_most("errors in the log", "", world.errors(), 0);
    report.end()
}

/// The head of a webhook whose signature is from now, and nobody's.
pub(crate) fn forged_head() -> Vec<u8> {
    let codes = format!(",v1={}", "0f".repeat(32)).repeat(CODES);
    let now = Clock::system().now().timestamp();
    head(&format!("stripe-signature: t={now}{codes}\r\n"))
}

/// The head of one that is not signed at all.
fn bare_head() -> Vec<u8> {
    head("")
}

fn head(signature: &str) -> Vec<u8> {
    let line = "POST /api/stripe HTTP/1.1\r\nhost: x\r\n";
    format!("{line}content-length: {BODY_BYTES}\r\n{signature}\r\n").into_bytes()
}

fn with_body(mut request: Vec<u8>) -> Arc<[u8]> {
    request.resize(request.len() + BODY_BYTES, b' ');
    request.into()
}

async fn send_again_and_again(to: SocketAddr, request: Arc<[u8]>, answers: Answers) {
    loop {
        // Who is closed without an answer comes back, as who is answered does.
        if let Ok(status) = send(to, &request).await {
            *answers.lock().unwrap().entry(status).or_default() += 1;
        }
        sleep(AGAIN).await;
    }
}

/// The status that a request is answered with.
async fn send(to: SocketAddr, request: &[u8]) -> io::Result<u16> {
    let mut connection = Connection::open(to).await?;
    connection.send(request).await?;
    connection.answer().await
}

/// How long the server listened to a body that does not come to its end, and what it said then.
async fn drip(to: SocketAddr) -> (Duration, Option<u16>) {
    let began = Instant::now();
    let dripped = async {
        let mut connection = Connection::open(to).await?;
        connection.send(&forged_head()).await?;
        connection.drip(DRIP_EVERY).await;
        connection.answer().await
    };
    let answered = timeout(PATIENCE, dripped).await;
    let status = answered.ok().and_then(Result::ok);
    (began.elapsed(), status)
}

/// Nobody is let through, and nobody is told that we have failed.
fn judge(answers: &Answers, report: &mut Report) {
    let answers = answers.lock().unwrap();
    println!("strangers were answered: {answers:?}");
    let others = answers
        .iter()
        .filter(|(status, _)| ![400, 408].contains(*status));
    let others = others.map(|(_, count)| count).sum::<u64>();
    report.at_most("strangers answered other than 400, 408", "", others, 0);
}

/// The CPU time of the process for a forged webhook.
async fn weigh(world: &World, request: &[u8]) -> Duration {
    // Those who were there are gone, and all that was paid is confirmed.
    sleep(Duration::from_secs(1)).await;
    let before = world.usage().cpu;
    for _ in 0..WEIGHED {
        let status = send(world.address(), request).await.unwrap();
        assert_eq!(status, 400);
    }
    world.usage().cpu.saturating_sub(before) / WEIGHED
}
