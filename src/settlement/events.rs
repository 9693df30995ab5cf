//! Events of Stripe's: recorded, and settled in the same transaction.

use std::collections::HashMap;

use chrono::Utc;

use super::execute::{Done, settle};
use super::plan::{Item, ReportingEvent};
use crate::app::App;
use crate::domain::payment_event::{DeliveryOutcome, EventStatus};
use crate::domain::stripe_report::StripeReport;
use crate::error::{Error, Result};
use crate::gateways::stripe::event::{self, Event};
use crate::repositories::payment_events::{self, NewEvent, RecordedEvent};

/// An event as it was delivered.
#[derive(Debug)]
pub struct Delivery {
    /// What it says.
    pub event: Event,
    /// Its body as it came.
    pub payload: String,
}

/// Records events, each named once, and settles them, in one transaction, which it commits. An error
/// means that nothing is stored, and the same events may come again. One that was decided before is
/// only counted.
///
/// Locks as everywhere: the events in the order of their ids, then the bookings in theirs, then the
/// attempts. Round trips beside BEGIN and COMMIT: record and find, lock and read, write.
pub async fn settle_deliveries(
    app: &App,
    deliveries: &[&Delivery],
) -> Result<Vec<DeliveryOutcome>> {
    let now = app.now();
    let new: Vec<_> = deliveries.iter().map(|delivery| new_event(delivery)).collect();
    let mut tx = app.begin_settling().await?;
    let recorded = payment_events::record(&mut tx, &new, now).await?;
    let recorded: HashMap<&str, &RecordedEvent> =
        recorded.iter().map(|recorded| (recorded.id.as_str(), recorded)).collect();
    let undecided = deliveries.iter().filter_map(|delivery| {
        let recorded = recorded.get(delivery.event.id.as_str())?;
        (!recorded.status.is_settled()).then(|| item(app, &delivery.event, recorded))
    });
    let undecided: Vec<_> = undecided.collect();
    let done = settle(&mut tx, &undecided, now).await?;
    tx.commit().await?;

    let done = undecided.iter().filter_map(|item| Some(item.event?.id)).zip(done);
    let done: HashMap<&str, Done> = done.collect();
    let outcomes = deliveries.iter().map(|delivery| done.get(delivery.event.id.as_str()));
    Ok(outcomes.map(|done| done.map_or(DeliveryOutcome::Duplicate, outcome)).collect())
}

/// Settles an event that was deferred, from what was stored of it. Commits. One that is settled is
/// left alone.
pub async fn settle_deferred(app: &App, event_id: &str) -> Result<()> {
    let mut tx = app.begin_settling().await?;
    let locked = payment_events::lock_unsettled(&mut tx, event_id).await?;
    let Some((recorded, payload)) = locked else { return Ok(()) };
    let event = event::parse(payload.as_bytes())?;
    settle(&mut tx, &[item(app, &event, &recorded)], app.now()).await?;
    tx.commit().await?;
    Ok(())
}

fn new_event(delivery: &Delivery) -> NewEvent<'_> {
    let event = &delivery.event;
    NewEvent {
        id: &event.id,
        kind: &event.kind,
        api_version: event.api_version.as_deref(),
        livemode: event.livemode,
        created_at: event.created_at,
        session_id: event.reference.session_id.as_deref(),
        payment_intent_id: event.reference.payment_intent_id.as_deref(),
        attempt_id: event.reference.attempt_id,
        payload: &delivery.payload,
    }
}

fn item<'a>(app: &App, event: &'a Event, recorded: &'a RecordedEvent) -> Item<'a> {
    Item {
        report: relevant(app, event),
        reference: &event.reference,
        attempt: recorded.attempt,
        event: Some(ReportingEvent {
            id: &event.id,
            received_at: recorded.received_at,
        }),
    }
}

/// What an event says, or why that does not matter here, whatever it is about.
fn relevant<'a>(app: &App, event: &'a Event) -> Result<&'a StripeReport, &'static str> {
    if event.livemode != app.config.stripe.livemode() {
        return Err("ignored: test and live mode do not mix");
    }
    if event.account.is_some() {
        return Err("ignored: it belongs to a connected account");
    }
    event.report.as_ref().map_err(|reason| *reason)
}

fn outcome(done: &Done) -> DeliveryOutcome {
    match done.status {
        EventStatus::Ignored => DeliveryOutcome::Ignored,
        EventStatus::Deferred => DeliveryOutcome::Deferred,
        EventStatus::Received | EventStatus::Processed | EventStatus::Failed => {
            DeliveryOutcome::Processed
        }
    }
}
