//! One account asks for a whole show, thirty requests at once, and asks again without a pause; an
//! honest buyer looks every second, and books two of the seats that they see.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Caller, World};

/// Holds end often enough to be renewed while the script runs.
pub(crate) const SETTINGS: &[(&str, &str)] = &[("HOLD_SECONDS", "10")];

/// Rows of the show, and requests at once: each asks for a row of ten.
const ROWS: u8 = 30;
/// Between two requests of one of the thirty, once it was refused.
const AGAIN: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Seen {
    visits: u32,
    /// Visits that saw a free seat.
    free: u32,
    /// Tries to book, and those that were granted.
    tries: u32,
    booked: u32,
    /// The fewest seats that were ever free.
    fewest: Option<usize>,
}

pub(crate) async fn run(world: &World, lasting: Duration) {
    let show = world.show(ROWS).await;
    let rows = world.free_seats(&show).await;
    let hoarder = world.caller("hoarder", &json!({}));
    let end = Instant::now() + lasting;
    let hoard = rows.chunks(10).map(async |row| {
        while Instant::now() < end {
            let (status, _) = hoarder.book(&show, row).await;
            if status != 201 {
                tokio::time::sleep(AGAIN).await;
            }
        }
    });
    let (seen, _) = tokio::join!(look(world, &show, end), join_all(hoard));
    println!(
        "the hoarder was answered: {:?}",
        hoarder.answers.lock().unwrap()
    );
    println!(
        "an honest buyer looked {} times, saw free seats {} times (at least {} of {}), \
         and booked {} of {} times",
        seen.visits,
        seen.free,
        seen.fewest.unwrap_or_default(),
        rows.len(),
        seen.booked,
        seen.tries
    );
}

/// What an honest buyer gets. What they have booked they call off, to try again.
async fn look(world: &World, show: &str, end: Instant) -> Seen {
    let buyer = world.caller("buyer", &json!({}));
    let mut seen = Seen::default();
    // The hoarder begins.
    tokio::time::sleep(LOOK_EVERY).await;
    while Instant::now() < end {
        let free = world.free_seats(show).await;
        seen.visits += 1;
        seen.fewest = Some(
            seen.fewest
                .map_or(free.len(), |fewest| fewest.min(free.len())),
        );
        if let Some(two) = free.get(..2) {
            seen.free += 1;
            seen.tries += 1;
            let (status, booking) = buyer.book(show, two).await;
            if status == 201 {
                seen.booked += 1;
                call_off(&buyer, &booking).await;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    seen
}

async fn call_off(buyer: &Caller<'_>, booking: &Value) {
    let path = format!("/api/bookings/{}/cancel", booking["id"].as_str().unwrap());
    buyer.call(Method::POST, &path, &json!({})).await;
}
