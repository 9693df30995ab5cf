//! Carries the news of changed bookings to the other processes, and theirs to those who wait here.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::app::AppState;
use crate::domain::ids::BookingId;
use crate::error::Result;
use crate::repositories::changes::{self, News};

/// News that is told in one statement.
const BATCH: usize = 100;
/// How long to wait for a database that is not there.
const AGAIN: Duration = Duration::from_secs(2);

/// Relays until `stopping` is true. News that is lost, because the database is away, costs those
/// who wait some seconds: they look for themselves at the end.
pub async fn relay(app: AppState, mut stopping: watch::Receiver<bool>) {
    let Some(mut outbox) = app.changes.take_outbox() else {
        return;
    };
    while !*stopping.borrow() {
        let told = stopping.wait_for(|stopping| *stopping);
        tokio::select! {
            _ = told => {}
            result = carry(&app, &mut outbox) => {
                if let Err(error) = result {
                    tracing::warn!("no news of bookings is relayed: {error}");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}

async fn carry(app: &AppState, outbox: &mut mpsc::Receiver<BookingId>) -> Result<()> {
    let db = &app.pools.workers;
    let mut news = News::listen(db).await?;
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            changed = news.next() => {
                if let Some(id) = changed? {
                    app.changes.tell_here(id);
                }
            }
            _ = outbox.recv_many(&mut batch, BATCH) => {
                changes::notify(&mut *db.acquire().await?, &batch).await?;
                batch.clear();
            }
        }
    }
}
