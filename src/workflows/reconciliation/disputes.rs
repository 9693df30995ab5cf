//! Disputes, whenever their payments were made.

use super::compared::{Compared, Uncompared};
use super::settling::Settling;
use crate::app::App;
use crate::domain::dispute::{self, DisputeDecision};
use crate::gateways::stripe::lists::PageOf;
use crate::repositories::disputes;
use crate::settlement;

/// Settles those of a page whose payments are here, where they stand otherwise than is recorded.
/// Listed is as far back as the oldest that is open here, too: a bank takes months to decide.
pub(super) async fn compare(app: &App, page: PageOf<'_>) -> Result<Compared, Uncompared> {
    let mut db = app.pools.reporting.acquire().await?;
    let oldest = disputes::oldest_open(&mut db).await?;
    drop(db);
    let page = PageOf {
        since: oldest.map_or(page.since, |oldest| oldest.min(page.since)),
        ..page
    };
    // They stand so when Stripe is asked, or later: what an event says of that time counts more.
    let page = app.stripe.list_disputes(page, app.now()).await;
    let page = page.map_err(Uncompared::NotListed)?;
    let intents = page.items.iter();
    let intents: Vec<_> = intents
        .filter_map(|dispute| dispute.charge.payment_intent_id.as_deref())
        .collect();
    let payments = disputes::find_disputed(&mut app.acquire().await?, &intents).await?;
    let mut settling = Settling::new(app, "dispute_unsettled");
    for found in page.items {
        let intent = found.charge.payment_intent_id.as_ref();
        let Some(payment) = intent.and_then(|intent| payments.get(intent)) else {
            continue;
        };
        let id = found.stripe_dispute_id.clone();
        // Decided without locks at first: nearly all agree, and nobody has to wait for these.
        let settled = match dispute::decide(payment, &found) {
            DisputeDecision::NoChange(_) => Ok(None),
            DisputeDecision::Store(_) => settlement::settle_dispute(app, found).await,
        };
        settling.note(&id, settled).await?;
    }
    Ok(Compared::new(settling.end().await?, page.next_after))
}
