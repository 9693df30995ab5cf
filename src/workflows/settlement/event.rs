//! Events: recorded, and settled in the same transaction.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::{Word, carry_out};
use crate::app::App;
use crate::domain::job::Job;
use crate::domain::settlement::{Fact, Outcome};
use crate::error::{Error, Result};
use crate::gateways::stripe::webhook::{self, APP, Event};
use crate::repositories::jobs;
use crate::repositories::payment_events::{self, EventStatus, NewEvent, Recorded, Settled};

/// A deferred event is looked at again after as long as it has waited, but at least and at most
/// after this.
const AGAIN_MIN: TimeDelta = TimeDelta::seconds(5);
const AGAIN_MAX: TimeDelta = TimeDelta::hours(1);
/// An event that matches nothing for as long as Stripe would have sent it again is left to a
/// person.
const DEFERRED_MAX: TimeDelta = TimeDelta::days(3);

/// Records an event and does what it asks for, in one transaction that this function commits. An
/// error means that nothing is stored, and the same event may come again. An event that was decided
/// before is only counted.
///
/// Round trips beside BEGIN and COMMIT: record and find, lock and read, write, mark. What is
/// ordinary takes one less, in [`batch`](super::batch).
pub async fn settle(app: &App, event: &Event, payload: &str) -> Result<Outcome> {
    let now = app.now();
    let mut tx = app.begin_payment().await?;
    let recorded = payment_events::record(&mut tx, &[new_event(event, payload)], now)
        .await?
        .pop();
    let recorded = recorded.ok_or_else(|| Error::fault("an event was recorded nowhere"))?;
    let outcome = if recorded.status.is_settled() {
        Outcome::Duplicate
    } else {
        finish(&mut tx, app, event, &recorded).await?
    };
    tx.commit().await?;
    recorded
        .subject
        .iter()
        .for_each(|(_, booking_id)| app.changes.tell(*booking_id));
    Ok(outcome)
}

/// Settles an event that was deferred, from what was stored of it. Commits. One that is settled is
/// left alone.
pub async fn settle_deferred(app: &App, event_id: &str) -> Result<()> {
    let mut tx = app.begin_payment().await?;
    let Some((recorded, payload)) = payment_events::lock_unsettled(&mut tx, event_id).await? else {
        return Ok(());
    };
    let event = webhook::parse(payload.as_bytes())?;
    finish(&mut tx, app, &event, &recorded).await?;
    tx.commit().await?;
    recorded
        .subject
        .iter()
        .for_each(|(_, booking_id)| app.changes.tell(*booking_id));
    Ok(())
}

/// Decides, writes and marks.
async fn finish(
    tx: &mut PgConnection,
    app: &App,
    event: &Event,
    recorded: &Recorded,
) -> Result<Outcome> {
    let now = app.now();
    let (status, outcome) = conclude(tx, app, event, recorded, now).await?;
    payment_events::mark(
        tx,
        &[Settled {
            id: &event.id,
            status,
            outcome,
            subject: recorded.subject,
        }],
        now,
    )
    .await?;
    tracing::info!(event.id, event.kind, "{outcome}");
    Ok(match status {
        EventStatus::Ignored => Outcome::Ignored,
        EventStatus::Deferred => Outcome::Deferred,
        EventStatus::Received | EventStatus::Processed | EventStatus::Failed => Outcome::Processed,
    })
}

pub(super) fn new_event<'a>(event: &'a Event, payload: &'a str) -> NewEvent<'a> {
    NewEvent {
        id: &event.id,
        kind: &event.kind,
        api_version: event.api_version.as_deref(),
        livemode: event.livemode,
        created_at: event.created_at,
        session_id: event.subject.session_id.as_deref(),
        payment_intent_id: event.subject.payment_intent_id.as_deref(),
        attempt_id: event.subject.attempt_id,
        payload,
    }
}

async fn conclude(
    db: &mut PgConnection,
    app: &App,
    event: &Event,
    recorded: &Recorded,
    now: DateTime<Utc>,
) -> Result<(EventStatus, &'static str)> {
    let fact = match fact(app, event) {
        Ok(fact) => fact,
        Err(reason) => return Ok((EventStatus::Ignored, reason)),
    };
    match recorded.subject {
        Some(subject) => {
            let word = word(event, fact);
            Ok((
                EventStatus::Processed,
                carry_out(db, subject, &word, now).await?,
            ))
        }
        None if event.subject.app.as_deref() == Some(APP) => wait(db, event, recorded, now).await,
        None => Ok((EventStatus::Ignored, NOT_OURS)),
    }
}

/// Why an event is none of our business, if it names nothing of ours.
pub(super) const NOT_OURS: &str = "ignored: it is about nothing of ours";

/// What an event says of an attempt, or why it is ignored, whatever it is about.
pub(super) fn fact<'a>(app: &App, event: &'a Event) -> Result<&'a Fact, &'static str> {
    if event.livemode != app.config.stripe.livemode() {
        return Err("ignored: test and live mode do not mix");
    }
    if event.account.is_some() {
        return Err("ignored: it belongs to a connected account");
    }
    event.fact.as_ref().map_err(|reason| *reason)
}

pub(super) fn word<'a>(event: &'a Event, fact: &'a Fact) -> Word<'a> {
    Word {
        fact,
        session_id: event.subject.session_id.as_deref(),
        payment_intent_id: event.subject.payment_intent_id.as_deref(),
        event_id: Some(&event.id),
    }
}

/// Puts an event off whose attempt is not here. It is looked at again, and at once when the attempt
/// is committed.
async fn wait(
    db: &mut PgConnection,
    event: &Event,
    recorded: &Recorded,
    now: DateTime<Utc>,
) -> Result<(EventStatus, &'static str)> {
    let waited = now.signed_duration_since(recorded.received_at);
    if waited > DEFERRED_MAX {
        tracing::error!(event.id, "an event of ours has matched nothing for days");
        return Ok((
            EventStatus::Failed,
            "failed: the attempt it names has never come",
        ));
    }
    let again = now + waited.clamp(AGAIN_MIN, AGAIN_MAX);
    jobs::enqueue(
        db,
        &Job::SettleEvent {
            event_id: event.id.clone(),
        },
        again,
    )
    .await?;
    Ok((
        EventStatus::Deferred,
        "deferred: the attempt it names is not known yet",
    ))
}
