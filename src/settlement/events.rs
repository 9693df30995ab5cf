//! Events of Stripe's: recorded, and settled in the same transaction.

use std::collections::HashMap;
use std::sync::Weak;

use futures_util::future::BoxFuture;
use tracing::Span;

use super::execute::Done;
use super::plan::{Item, ReportingEvent};
use super::settle::settle;
use crate::app::{App, BatchHandler, Batched, ReceivedEvent};
use crate::domain::payment::SettledBy;
use crate::domain::payment_event::{Delivery, DeliveryOutcome, EventStatus};
use crate::domain::stripe_report::StripeReport;
use crate::error::Result;
use crate::gateways::stripe::event::{self, Event};
use crate::repositories::payment_events::{self, NewEvent, RecordedEvent};

/// Why an event is ignored that is of the mode in which Stripe is not.
pub(super) const OTHER_MODE: &str = "ignored: test and live mode do not mix";

/// Settles the events that come at the same moment.
pub struct SettleEvents(pub Weak<App>);

impl BatchHandler for SettleEvents {
    type Request = ReceivedEvent;
    type Answer = Delivery;

    /// Two deliveries of one event come one after the other; several events of one attempt may
    /// share a batch.
    fn conflict_keys(&self, received: &ReceivedEvent) -> Vec<String> {
        vec![received.event.id.clone()]
    }

    /// What it is about, as closely as it says: two batches at once would wait for each other's
    /// locks.
    fn order_key(&self, received: &ReceivedEvent) -> Option<String> {
        let reference = &received.event.reference;
        let attempt_id = reference.attempt_id.map(|id| id.to_string());
        attempt_id
            .or_else(|| reference.session_id.clone())
            .or_else(|| reference.payment_intent_id.clone())
    }

    fn handle<'a>(
        &'a self,
        batch: &'a [Batched<ReceivedEvent>],
    ) -> BoxFuture<'a, Result<Vec<Result<Delivery>>>> {
        Box::pin(async {
            let deliveries = settle_events(&*App::upgrade(&self.0)?, batch).await?;
            Ok(deliveries.into_iter().map(Ok).collect())
        })
    }
}

/// Records events, each named once, and settles them, in one transaction, which it commits. An
/// error means that nothing is stored, and the same events may come again. One that was decided
/// before is only counted.
///
/// Locks as everywhere: the events in the order of their ids, then the bookings in theirs, then the
/// attempts. Round trips beside BEGIN and COMMIT, for payments that confirm: record and find, lock
/// and read, write.
pub async fn settle_events(app: &App, batch: &[Batched<ReceivedEvent>]) -> Result<Vec<Delivery>> {
    let now = app.now();
    let new: Vec<_> = batch
        .iter()
        .map(|batched| new_event(&batched.request))
        .collect();
    let mut tx = app.begin_payment().await?;
    let recorded = payment_events::record(&mut tx, &new, now).await?;
    let recorded: HashMap<&str, &RecordedEvent> = recorded
        .iter()
        .map(|recorded| (recorded.id.as_str(), recorded))
        .collect();
    let undecided = batch.iter().filter_map(|Batched { request, span }| {
        let recorded = recorded.get(request.event.id.as_str())?;
        (!recorded.status.is_settled()).then(|| Item {
            settled_by: Some(request.settled_by),
            ..item(app, &request.event, recorded, span)
        })
    });
    let undecided: Vec<_> = undecided.collect();
    let done = settle(&mut tx, &undecided, now).await?;
    app.commit(tx).await?;

    let done = undecided
        .iter()
        .filter_map(|item| Some(item.event?.id))
        .zip(done);
    let done: HashMap<&str, Done> = done.collect();
    let deliveries = batch.iter().map(|Batched { request, span }| {
        let event = &request.event;
        let Some(done) = done.get(event.id.as_str()) else {
            return Delivery {
                outcome: DeliveryOutcome::Duplicate,
                change: None,
            };
        };
        span.in_scope(|| tracing::info!(event.id, event.kind, "{}", done.sentence));
        Delivery {
            outcome: outcome(*done),
            change: done.change(),
        }
    });
    Ok(deliveries.collect())
}

/// Settles an event that was deferred, from what was stored of it. Commits. One that is settled is
/// left alone.
pub async fn settle_deferred(app: &App, event_id: &str) -> Result<()> {
    settle_stored(app, event_id, SettledBy::Webhook, EventStatus::is_settled).await
}

/// Settles an event again, from what was stored of it, for an admin. Commits. One whose effect is
/// committed is left alone.
pub async fn replay(app: &App, event_id: &str) -> Result<()> {
    let is_processed = |status| status == EventStatus::Processed;
    settle_stored(app, event_id, SettledBy::Replay, is_processed).await
}

async fn settle_stored(
    app: &App,
    event_id: &str,
    settled_by: SettledBy,
    is_over: fn(EventStatus) -> bool,
) -> Result<()> {
    let mut tx = app.begin_payment().await?;
    let locked = payment_events::lock(&mut tx, event_id).await?;
    let Some((recorded, payload)) = locked.filter(|(recorded, _)| !is_over(recorded.status)) else {
        return Ok(());
    };
    let event = event::parse(&payload)?;
    let span = Span::current();
    let item = Item {
        settled_by: Some(settled_by),
        ..item(app, &event, &recorded, &span)
    };
    let done = settle(&mut tx, &[item], app.now()).await?;
    app.commit(tx).await?;
    for done in done {
        tracing::info!(event.id, event.kind, "{}", done.sentence);
    }
    Ok(())
}

fn new_event(received: &ReceivedEvent) -> NewEvent<'_> {
    let event = &received.event;
    NewEvent {
        id: &event.id,
        kind: &event.kind,
        api_version: event.api_version.as_deref(),
        livemode: event.livemode,
        created_at: event.created_at,
        session_id: event.reference.session_id.as_deref(),
        payment_intent_id: event.reference.payment_intent_id.as_deref(),
        attempt_id: event.reference.attempt_id,
        payload: &received.payload,
    }
}

/// An event, without how it was brought.
fn item<'a>(app: &App, event: &'a Event, recorded: &'a RecordedEvent, span: &'a Span) -> Item<'a> {
    Item {
        span,
        report: relevant(app.config.stripe.livemode(), event),
        reference: &event.reference,
        is_ours: event.reference.is_made_by(&app.config.stripe.app_name),
        attempt: recorded.attempt,
        settled_by: None,
        event: Some(ReportingEvent {
            id: &event.id,
            received_at: recorded.received_at,
            was_given_up: recorded.status == EventStatus::Failed,
        }),
    }
}

/// What an event says, or why that does not matter where Stripe is in this mode, whatever it is
/// about.
pub(super) fn relevant(livemode: bool, event: &Event) -> Result<&StripeReport, &'static str> {
    match event.livemode {
        Some(of_event) if of_event == livemode => {}
        Some(_) => return Err(OTHER_MODE),
        None => return Err("ignored: it does not say whether it is of test or of live mode"),
    }
    if event.is_of_connected_account {
        return Err("ignored: it belongs to a connected account");
    }
    event.report.as_ref().map_err(|reason| *reason)
}

fn outcome(done: Done) -> DeliveryOutcome {
    match done.status {
        EventStatus::Ignored => DeliveryOutcome::Ignored,
        EventStatus::Deferred | EventStatus::Received | EventStatus::Failed => {
            DeliveryOutcome::Deferred
        }
        EventStatus::Processed => DeliveryOutcome::Processed,
    }
}
