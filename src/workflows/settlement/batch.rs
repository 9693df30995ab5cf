//! Events that arrive together are settled in one transaction: most of what an event costs is its
//! commit.
//!
//! Only what is ordinary goes this way, alone or together: a payment that is applied, and an event
//! that changes nothing. Where one asks for more, or anything fails, the transaction is rolled back
//! and each event has its own, so that none suffers for another.

use std::collections::{HashMap, HashSet};
use std::sync::Weak;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use tracing::Instrument;

use super::{APPLIED, event};
use crate::app::{App, BatchHandler, Batched, HANDLED_ALONE_MAX, ReceivedEvent, commit};
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::settlement::{Decision, Outcome, Standing, decide};
use crate::error::Result;
use crate::gateways::stripe::webhook::{APP, Event};
use crate::repositories::payment_events::{self, EventStatus, Recorded, Settled};
use crate::repositories::settlements::{self, Captured};

/// Settles events as [`event::settle`] does, those together that come at the same moment.
pub struct SettleEvents(pub(in crate::workflows) Weak<App>);

impl BatchHandler for SettleEvents {
    type Request = ReceivedEvent;
    type Answer = Outcome;

    /// What it is about, as closely as it says.
    fn conflict_keys(&self, received: &ReceivedEvent) -> Vec<String> {
        let subject = &received.event.subject;
        let attempt_id = subject.attempt_id.map(|id| id.to_string());
        let known = attempt_id
            .or_else(|| subject.session_id.clone())
            .or_else(|| subject.payment_intent_id.clone());
        vec![known.unwrap_or_else(|| received.event.id.clone())]
    }

    fn handle<'a>(
        &'a self,
        batch: &'a [Batched<ReceivedEvent>],
    ) -> BoxFuture<'a, Result<Vec<Result<Outcome>>>> {
        Box::pin(async { settle_all(&*App::upgrade(&self.0)?, batch).await })
    }
}

async fn settle_all(app: &App, batch: &[Batched<ReceivedEvent>]) -> Result<Vec<Result<Outcome>>> {
    if let Some(outcomes) = together(app, batch).await? {
        return Ok(outcomes.into_iter().map(Ok).collect());
    }
    let alone: Vec<_> = batch
        .iter()
        .map(|Batched { request, span }| {
            event::settle(app, &request.event, &request.payload).instrument(span.clone())
        })
        .collect();
    Ok(stream::iter(alone)
        .buffered(HANDLED_ALONE_MAX)
        .collect()
        .await)
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
async fn together(app: &App, batch: &[Batched<ReceivedEvent>]) -> Result<Option<Vec<Outcome>>> {
    let now = app.now();
    let new: Vec<_> = batch
        .iter()
        .map(|Batched { request, .. }| event::new_event(&request.event, &request.payload))
        .collect();
    let mut tx = app.begin_payment().await?;
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
    let verdicts = batch.iter().map(|Batched { request, .. }| {
        let event = &request.event;
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
    commit(tx).await?;
    for booking_id in bookings {
        app.changes.tell(booking_id);
    }
    for (verdict, batched) in verdicts.iter().zip(batch) {
        if let Some(settled) = &verdict.settled {
            let log = || tracing::info!(event.id = settled.id, "{}", settled.outcome);
            batched.span.in_scope(log);
        }
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
