//! Is our clock right? Where it is not, events are refused for the time of their signatures, and
//! holds end too early or too late.

use std::time::Duration;

use tokio::time::sleep;

use crate::app::App;
use crate::domain::skew::Skew;

/// How often clocks are compared …
const COMPARE: Duration = Duration::from_mins(5);
/// … and how often while ours differs.
const COMPARE_AGAIN: Duration = Duration::from_secs(30);

/// Compares our clock with Postgres' and Stripe's, and says if it differs, for ever.
pub(super) async fn compare_clocks(app: &App) {
    loop {
        let (postgres, stripe) = tokio::join!(ask_postgres(app), ask_stripe_for_time(app));
        let found = [("Postgres", postgres), ("Stripe", stripe)];
        for (whose, skew) in found {
            log_skew(whose, skew);
        }
        let differs = |(_, skew): (_, Option<Skew>)| skew.is_some_and(Skew::is_noticeable);
        sleep(if found.into_iter().any(differs) {
            COMPARE_AGAIN
        } else {
            COMPARE
        })
        .await;
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

fn log_skew(whose: &str, skew: Option<Skew>) {
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
