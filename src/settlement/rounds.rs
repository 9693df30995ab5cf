//! Settles a batch of reports in rounds.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tracing::Instrument;

use super::execute::{Done, Round};
use super::plan::{Item, Plan, plan};
use crate::domain::checkout_state::CheckoutDecision;
use crate::domain::ids::BookingId;
use crate::error::Result;
use crate::repositories::attempts;

/// Settles reports, in their order for each booking, and says of each what was done. The caller
/// commits.
///
/// Reports are taken in rounds, so that each is planned on what those before it have made of its
/// booking: what changes a booking makes the later reports of the same one wait for the next round.
/// Usually there is one round, of two round trips: lock and read, write.
pub(super) async fn settle(
    db: &mut PgConnection,
    items: &[Item<'_>],
    now: DateTime<Utc>,
) -> Result<Vec<Done>> {
    let mut done: Vec<Option<Done>> = vec![None; items.len()];
    while done.iter().any(Option::is_none) {
        let open: Vec<_> = items
            .iter()
            .zip(&mut done)
            .filter(|(_, done)| done.is_none())
            .collect();
        settle_round(db, open, now).await?;
    }
    Ok(done.into_iter().flatten().collect())
}

async fn settle_round<'a>(
    db: &mut PgConnection,
    open: Vec<(&'a Item<'a>, &mut Option<Done>)>,
    now: DateTime<Utc>,
) -> Result<()> {
    let attempts: Vec<_> = open
        .iter()
        .filter_map(|(item, _)| item.attempt_to_lock())
        .collect();
    let states = if attempts.is_empty() {
        HashMap::new()
    } else {
        attempts::lock(db, &attempts).await?
    };
    let mut changed: HashSet<BookingId> = HashSet::new();
    let mut round = Round::new(now);
    for (item, done) in open {
        let attempt = item.attempt_to_lock();
        if attempt.is_some_and(|attempt| changed.contains(&attempt.booking_id)) {
            continue;
        }
        let state = attempt.and_then(|attempt| states.get(&attempt.attempt_id));
        let plan = plan(item, state, now);
        if let (Plan::Checkout(decision), Some(attempt)) = (&plan, attempt)
            && !matches!(decision, CheckoutDecision::NoChange(_))
        {
            changed.insert(attempt.booking_id);
        }
        let executed = round
            .execute(db, item, state, plan)
            .instrument(item.span.clone())
            .await?;
        *done = Some(executed);
    }
    round.finish(db).await
}
