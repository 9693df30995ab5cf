//! Events that Stripe could not deliver.

use std::collections::HashSet;

use futures_util::future::join_all;

use super::compared::Compared;
use super::settling::Settling;
use crate::app::{App, ReceivedEvent};
use crate::domain::payment::SettledBy;
use crate::error::{Result, explain};
use crate::gateways::stripe::event;
use crate::gateways::stripe::lists::PageOf;
use crate::repositories::{discrepancies, payment_events};

/// As what an event is left to a person that cannot be settled.
const UNSETTLED: &str = "event_unsettled";
/// So many of those are looked at again, whether they are settled by now.
const UNSETTLED_MAX: i64 = 100;

/// Settles a page of them as if they had been delivered. To Stripe they stay undelivered for thirty
/// days whatever we do: those that are decided here are left alone. One that cannot be settled now
/// comes again.
pub(super) async fn compare(app: &App, page: PageOf<'_>) -> Result<Compared> {
    let page = app.stripe.list_undelivered_events(page).await?;
    let listed: Vec<_> = page.items.into_iter().filter_map(read).collect();
    let decided = decided(app, &listed).await?;
    let mut settling = Settling::new(app, UNSETTLED);
    let (left_alone, open): (Vec<_>, Vec<_>) = listed
        .into_iter()
        .partition(|received| decided.contains(&received.event.id));
    settling.findings.checked = i64::try_from(left_alone.len()).unwrap_or(i64::MAX);
    settling.note_over(decided.into_iter().collect());
    let settled = open.into_iter().map(async |received| {
        let id = received.event.id.clone();
        (id, app.batchers.events.submit(received).await)
    });
    for (id, settled) in join_all(settled).await {
        let change = settled.map(|delivery| delivery.change);
        settling.note(&id, change).await?;
    }
    Ok(Compared {
        findings: settling.end().await?,
        next_after: page.next_after,
    })
}

fn read(payload: String) -> Option<ReceivedEvent> {
    match event::parse(&payload) {
        Ok(event) => Some(ReceivedEvent {
            event,
            payload,
            settled_by: SettledBy::Reconciliation,
        }),
        Err(refusal) => {
            tracing::warn!("an undelivered event is none: {}", explain(&refusal));
            None
        }
    }
}

/// Which of the events, and of those that could not be settled before, are decided.
async fn decided(app: &App, listed: &[ReceivedEvent]) -> Result<HashSet<String>> {
    let mut db = app.acquire().await?;
    let left = discrepancies::list_open_subjects(&mut db, UNSETTLED, UNSETTLED_MAX).await?;
    let ids = listed.iter().map(|received| received.event.id.as_str());
    let ids: Vec<_> = ids.chain(left.iter().map(String::as_str)).collect();
    let decided = payment_events::list_decided(&mut db, &ids).await?;
    Ok(decided.into_iter().collect())
}
