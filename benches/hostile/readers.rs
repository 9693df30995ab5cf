//! Strangers who read what anybody may read, as fast as they are answered, while others book. Who
//! is told that they ask too often goes on from another address.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Settings;
use crate::connection::Connection;
use crate::honest::{self, Judged};
use crate::report::Report;
use crate::world::{Start, World};

const READERS: usize = 290;
/// What they read: movies, shows of each, rows of each.
const MOVIES: u8 = 20;
const SHOWS: u8 = 5;
const ROWS: u8 = 10;
/// The first of the addresses that they come from.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);
/// After a connection that could not be made or broke.
const AGAIN: Duration = Duration::from_millis(100);
const TOO_MANY: u16 = 429;

struct Readers {
    to: SocketAddr,
    /// One after the other: the list of movies, which counts seats, and the map of a show.
    requests: [Vec<u8>; 2],
    addresses: AtomicU32,
    answers: Mutex<BTreeMap<u16, u64>>,
}

pub(crate) async fn run(settings: &Settings) -> Report {
    let mut report = Report::begin("readers");
    let world = World::new(Start::usual("readers", settings)).await;
    let show = honest::open_show(&world).await;
    let shows = world.catalogue(MOVIES, SHOWS, ROWS).await;
    let seats = format!("/api/shows/{}/seats", shows[0]);
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes();
    let readers = Arc::new(Readers {
        to: world.address(),
        requests: ["/api/movies", &*seats].map(request),
        addresses: AtomicU32::new(FIRST_ADDRESS.to_bits()),
        answers: Mutex::default(),
    });
    let reading: JoinSet<()> = (0..READERS)
        .map(|_| Arc::clone(&readers).read_on_and_on())
        .collect();
    let served = honest::buy(&world, &show, settings.lasting()).await;
    drop(reading);
    served.report(&mut report, &Judged::P90, "3.4 s");
    let answers = readers.answers.lock().unwrap();
    println!("readers were answered: {answers:?}");
    let read = answers.get(&200).copied().unwrap_or_default();
    report.note("answers a second", "", read / settings.seconds);
    let failed = answers.range(500..).map(|(_, count)| count).sum::<u64>();
    report.at_most("readers answered 5xx", "", failed, 0);
    report.at_most("errors in the log", "", world.errors(), 0);
    report.end()
}

impl Readers {
    async fn read_on_and_on(self: Arc<Self>) {
        loop {
            let address = self.addresses.fetch_add(1, Ordering::Relaxed);
            if self.read_from(Ipv4Addr::from_bits(address)).await.is_err() {
                sleep(AGAIN).await;
            }
        }
    }

    /// Returns when who asks from there has asked too often.
    async fn read_from(&self, address: Ipv4Addr) -> io::Result<()> {
        let mut connection = Connection::open_from(address, self.to).await?;
        for request in self.requests.iter().cycle() {
            connection.send(request).await?;
            let status = connection.answer().await?;
            *self.answers.lock().unwrap().entry(status).or_default() += 1;
            if status == TOO_MANY {
                break;
            }
        }
        Ok(())
    }
}
