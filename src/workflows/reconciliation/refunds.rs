//! Refunds, whenever their payments were made: one that was made behind our back, or has failed.

use std::collections::HashMap;

use super::compared::{Compared, Uncompared};
use super::settling::Settling;
use crate::app::App;
use crate::gateways::stripe::lists::PageOf;
use crate::repositories::refunds;
use crate::settlement;

/// Settles those of a page whose payments are here, where they stand otherwise than is recorded.
pub(super) async fn compare(app: &App, page: PageOf<'_>) -> Result<Compared, Uncompared> {
    let page = app.stripe.list_recent_refunds(page).await;
    let mut page = page.map_err(Uncompared::NotListed)?;
    let known = refunds::list_known(&mut app.acquire().await?, &page.items).await?;
    let known: HashMap<_, _> = known
        .into_iter()
        .map(|known| (known.stripe_refund_id, known.status))
        .collect();
    // What has failed makes room for what was made after it.
    page.items
        .sort_by_key(|refund| (refund.status.has_left(), refund.created_at));
    let mut settling = Settling::new(app, "refund_unsettled");
    for found in page.items {
        let Some(recorded) = known.get(&found.id) else {
            continue;
        };
        let id = found.id.clone();
        let settled = if *recorded == Some(found.status) {
            Ok(Vec::new())
        } else {
            settlement::settle_refunds(app, vec![found]).await
        };
        settling.note(&id, settled).await?;
    }
    Ok(Compared::new(settling.end().await?, page.next_after))
}
