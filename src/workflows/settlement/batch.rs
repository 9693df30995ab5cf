//! Events that arrive together are settled in one transaction: most of what an event costs is its
//! commit.
//!
//! Only what is ordinary goes this way, alone or together: a payment that is applied, and an event
//! that changes nothing. Where one asks for more, or anything fails, the transaction is rolled back
//! and each event has its own, so that none suffers for another.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;

use super::{APPLIED, event};
use crate::app::{App, AppState, Arrival};
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::settlement::{Decision, Outcome, Standing, decide};
use crate::error::Result;
use crate::gateways::stripe::webhook::{APP, Event};
use crate::repositories::payment_events::{self, EventStatus, Recorded, Settled};
use crate::repositories::settlements::{self, Captured};

/// Settles an event as [`event::settle`] does, together with others that arrive meanwhile. Once it
/// is in line, it is settled even if the caller goes away.
pub async fn arrive(app: &AppState, arrival: Arrival) -> Result<Outcome> {
    app.lines
        .arrivals
        .join(app, arrival, |app, batch| Box::pin(settle_all(app, batch)))
        .await
}

async fn settle_all(app: &App, batch: &[Arrival]) -> Result<Vec<Result<Outcome>>> {
    if let Some(outcomes) = together(app, batch).await? {
        return Ok(outcomes.into_iter().map(Ok).collect());
    }
    let alone = batch
        .iter()
        .map(|arrival| event::settle(app, &arrival.event, &arrival.payload));
    Ok(join_all(alone).await)
}

/// What becomes of one event of a batch.
struct Verdict<'a> {
    outcome: Outcome,
    settled: Option<Settled<'a>>,
    captured: Option<Captured<'a>>,
}

/// Settles all of them in one transaction, which it commits; `None`, with nothing done, if one
/// needs its own.
///
/// Locks as everywhere: the events in the order of their ids, then the bookings in theirs, then the
/// attempts. Round trips beside BEGIN and COMMIT: record and find, lock and read, write.
async fn together(app: &App, batch: &[Arrival]) -> Result<Option<Vec<Outcome>>> {
    let now = app.now();
    let new: Vec<_> = batch
        .iter()
        .map(|arrival| event::new_event(&arrival.event, &arrival.payload))
        .collect();
    let mut tx = app.begin_settling().await?;
    let recorded = payment_events::record(&mut tx, &new, now).await?;
    let recorded: HashMap<&str, &Recorded> = recorded
        .iter()
        .map(|recorded| (recorded.id.as_str(), recorded))
        .collect();
    let undecided = recorded
        .values()
        .filter(|recorded| !recorded.status.is_settled());
    let subjects: Vec<(AttemptId, BookingId)> =
        undecided.filter_map(|recorded| recorded.subject).collect();
    let bookings: HashSet<BookingId> = subjects.iter().map(|(_, booking_id)| *booking_id).collect();
    if bookings.len() < subjects.len() {
        return Ok(None);
    }
    let standings = match subjects.as_slice() {
        [] => HashMap::new(),
        subjects => settlements::lock_all(&mut tx, subjects).await?,
    };
    let verdicts = batch.iter().map(|Arrival { event, .. }| {
        let recorded = recorded.get(event.id.as_str())?;
        verdict(app, event, recorded, &standings)
    });
    let Some(verdicts) = verdicts.collect::<Option<Vec<Verdict<'_>>>>() else {
        return Ok(None);
    };
    let captured: Vec<_> = verdicts
        .iter()
        .filter_map(|verdict| verdict.captured.clone())
        .collect();
    if !captured.is_empty() {
        settlements::apply(&mut tx, &captured, APPLIED, now).await?;
    }
    let unmarked = verdicts.iter().filter(|verdict| verdict.captured.is_none());
    let unmarked: Vec<_> = unmarked
        .filter_map(|verdict| verdict.settled.clone())
        .collect();
    if !unmarked.is_empty() {
        payment_events::mark(&mut tx, &unmarked, now).await?;
    }
    tx.commit().await?;
    for booking_id in bookings {
        app.changes.tell(booking_id);
    }
    for settled in verdicts
        .iter()
        .filter_map(|verdict| verdict.settled.as_ref())
    {
        tracing::info!(event.id = settled.id, "{}", settled.outcome);
    }
    Ok(Some(
        verdicts.iter().map(|verdict| verdict.outcome).collect(),
    ))
}

/// Decides on one of them, as [`event::settle`] would; `None` if more is to be done than to apply
/// money.
fn verdict<'a>(
    app: &App,
    event: &'a Event,
    recorded: &Recorded,
    standings: &HashMap<AttemptId, Standing>,
) -> Option<Verdict<'a>> {
    if recorded.status.is_settled() {
        return Some(Verdict {
            outcome: Outcome::Duplicate,
            settled: None,
            captured: None,
        });
    }
    let settled = |status, outcome| {
        Some(Settled {
            id: &event.id,
            status,
            outcome,
            subject: recorded.subject,
        })
    };
    let ignored = |reason| Verdict {
        outcome: Outcome::Ignored,
        settled: settled(EventStatus::Ignored, reason),
        captured: None,
    };
    let processed = |sentence, captured| Verdict {
        outcome: Outcome::Processed,
        settled: settled(EventStatus::Processed, sentence),
        captured,
    };
    let fact = match event::fact(app, event) {
        Ok(fact) => fact,
        Err(reason) => return Some(ignored(reason)),
    };
    let Some((attempt_id, _)) = recorded.subject else {
        return (event.subject.app.as_deref() != Some(APP)).then(|| ignored(event::NOT_OURS));
    };
    match decide(standings.get(&attempt_id)?, fact) {
        Decision::Keep(sentence) => Some(processed(sentence, None)),
        Decision::Apply(paid) => Some(processed(
            APPLIED,
            Some(event::word(event, fact).captured(attempt_id, paid)),
        )),
        _ => None,
    }
}
