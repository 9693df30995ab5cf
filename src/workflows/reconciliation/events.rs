//! Events that Stripe could not deliver.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;

use super::compared::{Compared, Uncompared};
use super::settling::Settling;
use crate::app::{App, ReceivedEvent};
use crate::connection::Connection;
use crate::domain::payment::SettledBy;
use crate::domain::payment_event::DeliveryOutcome;
use crate::domain::reconciliation::Reconciliation;
use crate::error::{Result, explain};
use crate::gateways::stripe::event;
use crate::gateways::stripe::lists::PageOf;
use crate::repositories::{discrepancies, payment_events, reconciliations};

/// As what an event is left to a person that cannot be settled.
const EVENT_UNSETTLED: &str = "event_unsettled";
/// So many of those are looked at again, whether they are settled by now.
const LEFT_MAX: i64 = 100;
/// Stripe promises no order, and not that an event is listed as soon as it is made: those that were
/// made so long before the last that was decided are listed once more. Of one that appears even
/// later, the other steps find the effect, by the object that it is about, and a reconciliation
/// that an admin begins finds the event.
const LISTED_AGAIN: TimeDelta = TimeDelta::hours(1);

/// From where on the next reconciliation has to list undelivered events; `None` where that is not
/// known. To Stripe they stay undelivered for thirty days whatever we do: without this, each
/// reconciliation lists all of them.
pub(super) async fn next_since(
    db: &mut Connection,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    let decided_to = reconciliations::find_decided_to(db, now).await?;
    Ok(decided_to.map(|decided_to| decided_to - LISTED_AGAIN))
}

/// Settles a page of them as if they had been delivered. Those that are decided here are left
/// alone. One that cannot be settled now comes again.
pub(super) async fn compare(
    app: &App,
    running: &Reconciliation,
    page: PageOf<'_>,
) -> Result<Compared, Uncompared> {
    let since = page.since;
    let page = app.stripe.list_undelivered_events(page).await;
    let page = page.map_err(Uncompared::NotListed)?;
    let listed: Vec<_> = page.items.into_iter().filter_map(read).collect();
    let newest = listed
        .iter()
        .filter_map(|received| received.event.created_at);
    let newest = running.events_decided_to.or(newest.max());
    let decided = decided(app, &listed).await?;
    let mut settling = Settling::new(app, EVENT_UNSETTLED);
    let (left_alone, open): (Vec<_>, Vec<_>) = listed
        .into_iter()
        .partition(|received| decided.contains(&received.event.id));
    settling.findings.checked = i64::try_from(left_alone.len()).unwrap_or(i64::MAX);
    settling.note_over(decided.into_iter().collect());
    let settled = open.into_iter().map(async |received| {
        let event = &received.event;
        let (id, made_at) = (event.id.clone(), event.created_at.unwrap_or(since));
        (id, made_at, app.batchers.events.submit(received).await)
    });
    let mut undecided = Vec::new();
    for (id, made_at, settled) in join_all(settled).await {
        let outcome = settled.as_ref().map(|delivery| delivery.outcome);
        if matches!(outcome, Ok(DeliveryOutcome::Deferred) | Err(_)) {
            undecided.push(made_at);
        }
        let change = settled.map(|delivery| delivery.change);
        settling.note(&id, change).await?;
    }
    // By Stripe's clock, which has made all of them. No later than the first that comes again.
    let decided_to = newest.into_iter().chain(undecided).min();
    Ok(Compared {
        events_decided_to: decided_to,
        ..Compared::new(settling.end().await?, page.next_after)
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
    let left = discrepancies::list_open_subjects(&mut db, EVENT_UNSETTLED, LEFT_MAX).await?;
    let ids = listed.iter().map(|received| received.event.id.as_str());
    let ids: Vec<_> = ids.chain(left.iter().map(String::as_str)).collect();
    let decided = payment_events::list_decided(&mut db, &ids).await?;
    Ok(decided.into_iter().collect())
}
