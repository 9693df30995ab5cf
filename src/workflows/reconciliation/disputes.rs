//! Disputes, whenever their payments were made.

use super::compared::Compared;
use super::settling::Settling;
use crate::app::App;
use crate::error::Result;
use crate::gateways::stripe::lists::PageOf;
use crate::repositories::{disputes, payments};
use crate::settlement;

/// Settles how those of a page stand whose payments are here. Listed is as far back as the oldest
/// that is open here, too: a bank takes months to decide.
pub(super) async fn compare(app: &App, page: PageOf<'_>) -> Result<Compared> {
    let oldest = disputes::oldest_open(&mut app.pools.reporting.acquire().await?).await?;
    let page = PageOf {
        since: oldest.map_or(page.since, |oldest| oldest.min(page.since)),
        ..page
    };
    // They stand so when Stripe is asked, or later: what an event says of that time counts more.
    let page = app.stripe.list_disputes(page, app.now()).await?;
    let intents = page.items.iter();
    let intents: Vec<_> = intents
        .filter_map(|dispute| dispute.charge.payment_intent_id.as_deref())
        .collect();
    let ours = payments::recorded_intents(&mut app.acquire().await?, &intents).await?;
    let mut settling = Settling::new(app, "dispute_unsettled");
    for found in page.items {
        let intent = found.charge.payment_intent_id.as_ref();
        if !intent.is_some_and(|intent| ours.contains(intent)) {
            continue;
        }
        let id = found.stripe_dispute_id.clone();
        let settled = settlement::settle_dispute(app, found).await;
        settling.note(&id, settled).await?;
    }
    Ok(Compared {
        findings: settling.end().await?,
        next_after: page.next_after,
    })
}
