//! Whether what is stored is what comes out when all that Stripe has told us is decided once more,
//! and whether all sums come out. Changes nothing: what is replayed goes to copies of the tables
//! that only this session has (`repositories/scratch.rs`).
//!
//! All is seen as it was at one moment, however long it takes and whatever a server does meanwhile.
//! The bookings are taken in pages, each with all that belongs to it, so that no more than a page
//! is in memory, and that no transaction that writes lives longer than a page: readers of the feed
//! of booking events would wait for it. The one that keeps the moment only reads.
//!
//! **Given, and not replayed**, is what no event says: what was booked, for how much, under which
//! policy and with which voucher; what buyers and admins have cancelled, asked back or resolved;
//! when holds have ended; what Stripe has answered when it was asked (a payment without an event,
//! `settledBy` verify, release, admin or reconciliation; a refund that was made, or found); whether
//! seats could be claimed again. It must agree with the past of its booking (`booking_events`) and
//! with the ledger all the same, and what events say of it must add nothing to it.

mod findings;
mod kept;
mod pages;

use chrono::{DateTime, Utc};
use sqlx::Executor;

use crate::app::Pools;
use crate::config::Secret;
use crate::error::Result;
use crate::repositories::{replays, scratch};
pub use findings::Findings;
use pages::Replay;

/// How far it has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Bookings that are done.
    pub done: u64,
    /// Of how many, about.
    pub of: u64,
}

/// Replays and compares everything; `now` stands for the present in what is replayed. On
/// connections of its own: whoever was lent one of them later would find the copies in the place of
/// the tables.
pub async fn verify(
    url: &Secret,
    now: DateTime<Utc>,
    mut on_progress: impl FnMut(Progress),
) -> Result<Findings> {
    let pool = Pools::new(url)?.reporting;
    let mut moment = pool.begin().await?;
    moment
        .execute("set transaction isolation level repeatable read, read only")
        .await?;
    moment
        .execute("set local idle_in_transaction_session_timeout = 0")
        .await?;
    let snapshot = replays::export_snapshot(&mut moment).await?;
    let livemode = replays::find_livemode(&mut moment).await?.unwrap_or(false);
    let of = replays::estimate(&mut moment).await?;
    let mut session = pool.acquire().await?;
    scratch::refuse_pooler(&mut session, &mut pool.acquire().await?).await?;
    scratch::create(&mut session).await?;
    let mut replay = Replay::new(session, snapshot, livemode, now);
    replay.go_through_unmatched().await?;
    loop {
        let done = replay.findings.bookings;
        on_progress(Progress { done, of });
        if !replay.go_on().await? {
            break;
        }
    }
    let findings = replay.end().await?;
    moment.rollback().await?;
    pool.close().await;
    Ok(findings)
}
