//! One account asks for a whole show, thirty requests at once, and asks again without a pause;
//! honest buyers look, one every second, and book two of the seats that they see.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::Settings;
use crate::report::Report;
use crate::world::{Caller, Start, World};

/// Holds end often enough to be renewed while the script runs.
const SETTINGS: &[(&str, &str)] = &[("HOLD_SECONDS", "10")];

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

pub(crate) async fn run(settings: &Settings) -> Report {
    let mut report = Report::begin("hoard");
    let start = Start {
        own: SETTINGS,
        ..Start::usual("hoard", settings)
    };
    let world = World::new(start).await;
    let show = world.show(ROWS).await;
    let rows = world.free_seats(&show).await;
    let hoarder = world.caller("hoarder", &json!({}));
    let end = Instant::now() + settings.lasting();
    let hoard = rows.chunks(10).map(async |row| {
        while Instant::now() < end {
            let (status, _) = hoarder.book(&show, row).await;
            if status != 201 {
                tokio::time::sleep(AGAIN).await;
            }
        }
    });
    let (seen, _) = tokio::join!(look(&world, &show, end), join_all(hoard));
    println!(
        "the hoarder was answered: {:?}",
        hoarder.answers.lock().unwrap()
    );
    let visits = format!("of {} honest visits, saw free seats", seen.visits);
    report.at_least(&visits, "0", seen.free, seen.visits);
    // Another may be quicker: the hoarder too, when a hold of theirs ends.
    let booked = format!("of {} tries to book, were granted", seen.tries);
    report.at_least(&booked, "0", seen.booked, seen.tries / 2);
    let fewest = format!("of {} seats, were free at the least", rows.len());
    report.note(&fewest, "0", seen.fewest.unwrap_or_default());
    report.end()
}

/// What honest buyers get, one after the other. What they have booked they call off, so that the
/// next one finds as much.
async fn look(world: &World, show: &str, end: Instant) -> Seen {
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
            let buyer = world.caller(&format!("buyer{}", seen.visits), &json!({}));
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
