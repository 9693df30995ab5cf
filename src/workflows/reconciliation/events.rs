//! Events that Stripe could not deliver.

use futures_util::future::join_all;

use super::compared::Compared;
use crate::app::{App, ReceivedEvent};
use crate::domain::payment::SettledBy;
use crate::domain::reconciliation::{Findings, Healed};
use crate::error::{Result, explain};
use crate::gateways::stripe::event;
use crate::gateways::stripe::lists::PageOf;

/// Settles a page of them as if they had been delivered. One that cannot be settled now stays
/// undelivered, and comes again.
pub(super) async fn compare(app: &App, page: PageOf<'_>) -> Result<Compared> {
    let page = app.stripe.list_undelivered_events(page).await?;
    let checked = i64::try_from(page.items.len()).unwrap_or(i64::MAX);
    let settled = page.items.into_iter().map(async |payload| {
        let received = ReceivedEvent {
            event: event::parse(&payload)?,
            payload,
            settled_by: SettledBy::Reconciliation,
        };
        app.batchers.events.submit(received).await
    });
    let mut findings = Findings {
        checked,
        ..Findings::default()
    };
    for settled in join_all(settled).await {
        match settled {
            Ok(delivery) => findings.healed.extend(delivery.change.map(Healed::from)),
            Err(error) => {
                tracing::warn!("an undelivered event is not settled: {}", explain(&error));
            }
        }
    }
    Ok(Compared {
        findings,
        next_after: page.next_after,
    })
}
