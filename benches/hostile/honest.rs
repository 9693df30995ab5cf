//! Buyers who do nothing wrong: ten a second, each with an account of their own, book a seat, read
//! the booking, pay, and wait until it is confirmed.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::report::Report;
use crate::world::World;

/// Rows of their show, of ten seats each: enough for as long as a run may take.
const ROWS: u8 = 60;
/// Between two buyers.
const EVERY: Duration = Duration::from_millis(100);
/// Between two looks whether what was paid is confirmed.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Stripe delivers again after five seconds what was not taken.
const CONFIRMED_MAX: Duration = Duration::from_secs(4);

/// How one of them fared.
#[derive(Default)]
struct Visit {
    /// How long each answer took that they waited for.
    took: Vec<Duration>,
    /// How long after the payment the booking was confirmed.
    confirmed_after: Option<Duration>,
    refused: Option<String>,
}

/// How all fared.
pub(crate) struct Served {
    /// Both sorted.
    took: Vec<Duration>,
    confirmed_after: Vec<Duration>,
    refused: Vec<String>,
}

/// Which of the buyers' waits must be below [`WAIT_MAX`].
pub(crate) enum Judged {
    P90,
    P99,
}

const WAIT_MAX: Duration = Duration::from_secs(1);

/// What is on sale for them.
pub(crate) struct OnSale {
    show: String,
    seats: Vec<String>,
}

/// Puts their show on sale.
pub(crate) async fn open_show(world: &World) -> OnSale {
    let show = world.show(ROWS).await;
    let seats = world.free_seats(&show).await;
    OnSale { show, seats }
}

/// Lets buyers come for so long.
pub(crate) async fn buy(world: &World, on_sale: &OnSale, lasting: Duration) -> Served {
    let mut at = Duration::ZERO;
    let visits = on_sale.seats.iter().map_while(|seat| {
        let begins = at;
        at += EVERY;
        (begins < lasting).then_some(async move {
            tokio::time::sleep(begins).await;
            let mut visit = Visit::default();
            visit.go(world, &on_sale.show, seat).await;
            visit
        })
    });
    let visits = join_all(visits.collect::<Vec<_>>()).await;
    let sorted = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times
    };
    let confirmed_after = visits.iter().filter_map(|visit| visit.confirmed_after);
    Served {
        took: sorted(visits.iter().flat_map(|visit| visit.took.clone()).collect()),
        confirmed_after: sorted(confirmed_after.collect()),
        refused: visits
            .into_iter()
            .filter_map(|visit| visit.refused)
            .collect(),
    }
}

impl Visit {
    /// `None` if it did not come to its end.
    async fn go(&mut self, world: &World, show: &str, seat: &str) -> Option<()> {
        let buyer = world.caller(&format!("buyer-of-{seat}"), &json!({}));
        let seats = [seat.to_owned()];
        let booking = self.ask("a booking", buyer.book(show, &seats)).await?;
        let path = format!("/api/bookings/{}", booking["id"].as_str()?);
        let nothing = json!({});
        let read = || buyer.call(Method::GET, &path, &nothing);
        self.ask("the reading of a booking", read()).await?;
        let paid = Instant::now();
        world.pay(booking["checkout"]["sessionId"].as_str()?).await;
        while paid.elapsed() < CONFIRMED_MAX {
            tokio::time::sleep(LOOK_EVERY).await;
            let (_, booking) = read().await;
            if booking["status"] == "confirmed" {
                self.confirmed_after = Some(paid.elapsed());
                return Some(());
            }
        }
        self.refused = Some(format!(
            "what was paid is not confirmed after {CONFIRMED_MAX:?}"
        ));
        None
    }

    /// What was answered, if it is what was asked for.
    async fn ask(
        &mut self,
        what: &str,
        answer: impl Future<Output = (u16, Value)>,
    ) -> Option<Value> {
        let began = Instant::now();
        let (status, body) = answer.await;
        self.took.push(began.elapsed());
        if matches!(status, 200..300) {
            return Some(body);
        }
        let code = body["code"].as_str().unwrap_or_default();
        self.refused = Some(format!("{what} was answered {status} {code}"));
        None
    }
}

impl Served {
    /// Says how they fared, beside how they did `before` the limits.
    pub(crate) fn report(&self, report: &mut Report, judged: &Judged, before: &str) {
        let [p50, p90, p99] = [50, 90, 99].map(|percent| percentile(&self.took, percent));
        report.note("buyers' p50", "", p50);
        match judged {
            Judged::P90 => {
                report.at_most("buyers' p90", before, p90, WAIT_MAX);
                report.note("buyers' p99", "", p99);
            }
            Judged::P99 => {
                report.note("buyers' p90", "", p90);
                report.at_most("buyers' p99", before, p99, WAIT_MAX);
            }
        }
        let confirmed = percentile(&self.confirmed_after, 99);
        report.note("paid until confirmed, p99", "", confirmed);
        let all = self.confirmed_after.len() + self.refused.len();
        report.at_most(
            &format!("refused, of {all} buyers"),
            "",
            self.refused.len(),
            0,
        );
        report.wrong.extend(self.refused.first().cloned());
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let index = sorted.len() * percent / 100;
    let last = sorted.len().saturating_sub(1);
    sorted.get(index.min(last)).copied().unwrap_or_default()
}
