//! What goes by the time that passes, and not by any clock: the comparison of the clocks, and the
//! sweep of each minute. The queue's own schedule would wait after a clock that was ahead has been
//! set right, in all processes, until the time comes again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::app::{App, AppState};
use crate::domain::job::Job;
use crate::domain::skew::Skew;
use crate::error::{Result, explain};
use crate::repositories::jobs;

/// How often clocks are compared …
const COMPARE: Duration = Duration::from_mins(5);
/// … and how often while ours differs.
const COMPARE_AGAIN: Duration = Duration::from_secs(30);
const SWEEP: Duration = Duration::from_mins(1);

/// Compares our clock with Postgres' and Stripe's, and says if it differs, until `stopping` is
/// true.
pub async fn compare_clocks(app: AppState, mut stopping: watch::Receiver<bool>) {
    let comparing = async {
        loop {
            let (postgres, stripe) = tokio::join!(ask_postgres(&app), ask_stripe_for_time(&app));
            let found = [("Postgres", postgres), ("Stripe", stripe)];
            for (whose, skew) in found {
                report(whose, skew);
            }
            let differs = |(_, skew): (_, Option<Skew>)| skew.is_some_and(Skew::is_noticeable);
            sleep(if found.into_iter().any(differs) {
                COMPARE_AGAIN
            } else {
                COMPARE
            })
            .await;
        }
    };
    tokio::select! {
        _ = stopping.wait_for(|stopping| *stopping) => {}
        () = comparing => {}
    }
}

/// Notes how far our clock is from Stripe's, and returns it; `None` where it does not answer.
pub async fn ask_stripe_for_time(app: &App) -> Option<Skew> {
    let before = app.now();
    let theirs = match app.stripe.probe().await {
        Ok(probe) => probe.stripe_time,
        Err(error) => {
            tracing::info!("Stripe cannot be asked for the time: {error}");
            None
        }
    };
    let skew = theirs.map(|theirs| app.skew(before, theirs));
    app.stripe_skew.note(skew);
    skew
}

async fn ask_postgres(app: &App) -> Option<Skew> {
    let asked = async {
        app.database_skew(&mut app.pools.watch.acquire().await?)
            .await
    };
    asked.await.ok()
}

fn report(whose: &str, skew: Option<Skew>) {
    match skew {
        Some(skew) if skew.is_too_large() => {
            tracing::error!("our clock is {skew} that of {whose}, which is too much: set it right");
        }
        Some(skew) if skew.is_noticeable() => {
            tracing::warn!("our clock is {skew} that of {whose}; is NTP running?");
        }
        Some(_) | None => {}
    }
}

/// Has a sweep done each minute until `stopping` is true.
pub async fn sweep(app: AppState, mut stopping: watch::Receiver<bool>) {
    let sweeping = async {
        loop {
            sleep(SWEEP).await;
            if let Err(error) = enqueue_sweep(&app).await {
                tracing::warn!("no sweep in this minute: {}", explain(&error));
            }
        }
    };
    tokio::select! {
        _ = stopping.wait_for(|stopping| *stopping) => {}
        () = sweeping => {}
    }
}

/// Due at once, whatever our clock says, and whatever that of the queue.
async fn enqueue_sweep(app: &App) -> Result<()> {
    let mut db = app.pools.watch.acquire().await?;
    jobs::enqueue(&mut db, &[Job::Sweep.at(DateTime::<Utc>::UNIX_EPOCH)]).await
}
