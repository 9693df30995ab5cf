//! Reads what has happened to bookings, and publishes it to those who follow them in this process.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::app::App;
use crate::error::{Result, explain};
use crate::repositories::booking_events;

/// How often the changes of other processes are looked for while somebody follows a booking. The
/// changes of this process nudge the reader.
const LOOK: Duration = Duration::from_millis(50);
/// The least between two looks: in a storm, many changes are read at once.
const PAUSE: Duration = Duration::from_millis(5);
/// How long to wait for a database that is not there.
const AGAIN: Duration = Duration::from_secs(1);

/// Reads for ever. While the database is away, those who wait look for themselves in the end.
pub async fn feed(app: &App) {
    loop {
        if let Err(error) = read_while_followed(app).await {
            tracing::warn!("changes of bookings are not read: {}", explain(&error));
            sleep(AGAIN).await;
        }
    }
}

/// Reads as long as anybody follows a booking; then waits for somebody who does.
async fn read_while_followed(app: &App) -> Result<()> {
    if !app.feed.is_followed() {
        app.feed.nudged().await;
        return Ok(());
    }
    let mut cursor = booking_events::latest(&mut app.pools.watch.acquire().await?).await?;
    // Whoever followed a booking before this moment may have missed a change.
    app.feed.publish_gap();
    while app.feed.is_followed() {
        // Either way, it is time to look.
        let _ = timeout(LOOK, app.feed.nudged()).await;
        let unread =
            booking_events::read_since(&mut app.pools.watch.acquire().await?, &cursor).await?;
        unread
            .booking_ids
            .iter()
            .for_each(|id| app.feed.publish(*id));
        if unread.is_cut_short {
            app.feed.publish_gap();
        }
        cursor = unread.cursor;
        sleep(PAUSE).await;
    }
    Ok(())
}
