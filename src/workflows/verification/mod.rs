//! Whether what is stored is what comes out when all that Stripe has told us is decided once more,
//! and whether all sums come out. Changes nothing: what is replayed goes to copies of the tables in
//! a schema of its own (`repositories/scratch.rs`), and is rolled back.
//!
//! Each booking is seen with all that belongs to it as it was at one moment, whatever a server does
//! meanwhile. The bookings are taken in pages, each in a transaction of its own, and between two of
//! them nothing is seen or locked: no more than a page is in memory, and Postgres can tidy up, a
//! migration can begin, and readers of the feed of booking events can go on, after a page at most.
//! Bookings that are made meanwhile are not looked at.
//!
//! **Given, and not replayed**, is what no event says: what was booked, for how much, under which
//! policy and with which voucher; what buyers and admins have cancelled, asked back or resolved;
//! when holds have ended; what Stripe has answered when it was asked (a payment without an event,
//! `settledBy` verify, release, admin or reconciliation; a refund that was made, or found); whether
//! seats could be claimed again. It must agree with the past of its booking (`booking_events`) and
//! with the ledger all the same, and what events say of it must add nothing to it.

mod copies;
mod findings;
mod kept;
mod pages;
mod unmatched;
mod wholes;

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::app::{Pool, Pools};
use crate::config::Secret;
use crate::connection::Connection;
use crate::error::{Error, Result, explain};
use copies::Copies;
pub use findings::Findings;
use pages::Replay;

/// How long Postgres may say nothing: longer than the statements of a replay may take.
const SILENCE_MAX: Duration = Duration::from_mins(16);

/// How far it has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Bookings that are done.
    pub done: u64,
    /// Of how many, about.
    pub of: u64,
}

/// Replays and compares everything, until it is done or `stop` is; `now` stands for the present in
/// what is replayed. Also after an error, `findings` has what was found until then.
pub async fn verify(
    url: &Secret,
    now: DateTime<Utc>,
    stop: impl Future<Output = ()>,
    findings: &mut Findings,
    on_progress: impl FnMut(Progress),
) -> Result<()> {
    let pool = Pools::new(url)?.reporting;
    let copies = Copies::make(&pool).await?;
    let verified = tokio::select! {
        biased;
        () = stop => Err(Error::fault("it was stopped before its end")),
        verified = go_through(&pool, &copies, now, findings, on_progress) => verified,
    };
    if let Err(error) = copies.remove(&pool).await {
        let error = explain(&error);
        tracing::warn!("the copies are left behind; the next run takes them away: {error}");
    }
    pool.close().await;
    verified
}

async fn go_through(
    pool: &Pool,
    copies: &Copies,
    now: DateTime<Utc>,
    findings: &mut Findings,
    mut on_progress: impl FnMut(Progress),
) -> Result<()> {
    let mut replay = Replay::begin(patient(pool).await?, copies.schema(), now, findings).await?;
    let of = replay.estimate().await?;
    loop {
        let done = replay.findings.bookings;
        on_progress(Progress { done, of });
        if !replay.go_on().await? {
            break;
        }
    }
    replay.end().await
}

/// A connection on which statements may take their time.
async fn patient(pool: &Pool) -> Result<Connection> {
    let mut db = pool.acquire().await?;
    db.wait_for(SILENCE_MAX);
    Ok(db)
}
