//! What becomes of a word from Stripe: recorded, decided and carried out in one transaction.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::{Acquire, PgConnection};

use crate::app::App;
use crate::domain::booking::BookingStatus;
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::settlement::{Decision, Fact, Mismatch, Paid, Standing, SurplusReason, decide};
use crate::error::Result;
use crate::gateways::stripe::webhook::{APP, Event};
use crate::repositories::payment_events::{self, EventStatus, NewEvent, Recorded, Settled};
use crate::repositories::settlements::{self, Captured, Discrepancy};

/// How long the slowest of Stripe's delayed methods takes. <https://docs.stripe.com/payments/bank-debits>
const DELAYED_METHOD_MAX: TimeDelta = TimeDelta::days(14);

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Decided, and the effect is committed.
    Processed,
    /// It had been decided before.
    Duplicate,
    /// Stored, with the reason why there is nothing to do.
    Ignored,
    /// Ours, but what it is about is not here yet; stored, and to be decided later.
    Deferred,
}

/// Records an event and does what it asks for, in one transaction that this function commits. An error means that nothing
/// is stored, and the same event may come again. An event that was decided before is only counted.
///
/// Round trips beside BEGIN and COMMIT: record and find, lock and read, write, mark.
pub async fn settle(app: &App, event: &Event, payload: &str) -> Result<Outcome> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let recorded = payment_events::record(&mut tx, &new_event(event, payload), now).await?;
    let outcome = if recorded.status.is_settled() {
        Outcome::Duplicate
    } else {
        let (status, sentence) = conclude(&mut tx, app, event, &recorded, now).await?;
        let settled = Settled { id: &event.id, status, outcome: sentence, subject: recorded.subject };
        payment_events::mark(&mut tx, &settled, now).await?;
        tracing::info!(event.id, event.kind, "{sentence}");
        match status {
            EventStatus::Ignored => Outcome::Ignored,
            EventStatus::Deferred => Outcome::Deferred,
            EventStatus::Received | EventStatus::Processed | EventStatus::Failed => Outcome::Processed,
        }
    };
    tx.commit().await?;
    Ok(outcome)
}

fn new_event<'a>(event: &'a Event, payload: &'a str) -> NewEvent<'a> {
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
    if event.livemode != app.config.stripe.livemode() {
        return Ok((EventStatus::Ignored, "ignored: test and live mode do not mix"));
    }
    if event.account.is_some() {
        return Ok((EventStatus::Ignored, "ignored: it belongs to a connected account"));
    }
    let fact = match &event.fact {
        Ok(fact) => fact,
        Err(reason) => return Ok((EventStatus::Ignored, reason)),
    };
    match recorded.subject {
        Some(subject) => {
            let sentence = carry_out(db, event, subject, fact, now).await?;
            Ok((EventStatus::Processed, sentence))
        }
        None if event.subject.app.as_deref() == Some(APP) => {
            tracing::warn!(event.id, "an event of ours names no attempt that is known");
            Ok((EventStatus::Deferred, "deferred: the attempt it names is not known yet"))
        }
        None => Ok((EventStatus::Ignored, "ignored: it is about nothing of ours")),
    }
}

/// Locks, decides and writes. The sentence says what was done.
async fn carry_out(
    db: &mut PgConnection,
    event: &Event,
    subject: (AttemptId, BookingId),
    fact: &Fact,
    now: DateTime<Utc>,
) -> Result<&'static str> {
    let standing = settlements::lock(db, subject).await?;
    let (attempt_id, booking_id) = subject;
    let session_id = event.subject.session_id.as_deref();
    let payment_intent_id = event.subject.payment_intent_id.as_deref();
    let captured = |paid: Paid| Captured {
        attempt_id,
        session_id,
        payment_intent_id,
        money: paid.money,
        captured_at: paid.captured_at,
        event_id: &event.id,
        now,
    };
    match decide(&standing, fact) {
        Decision::Keep(sentence) => Ok(sentence),
        Decision::Apply(paid) => {
            settlements::apply(db, &captured(paid)).await?;
            Ok("the payment is applied and the booking confirmed")
        }
        Decision::ClaimAgain(paid) => claim_again(db, booking_id, &captured(paid)).await,
        Decision::Surplus(paid, reason) => keep_surplus(db, booking_id, &captured(paid), reason).await,
        Decision::Review(paid, mismatch) => {
            if let Some(paid) = paid.filter(|paid| paid.money.amount_minor > 0) {
                settlements::keep_surplus(db, &captured(paid), SurplusReason::Mismatch.as_str()).await?;
            }
            if !matches!(standing.status, BookingStatus::Confirmed | BookingStatus::Review) {
                // The session that could have paid for the seats is complete, so they are free.
                settlements::end(db, booking_id, BookingStatus::Review, now).await?;
            }
            flag(db, attempt_id, &standing, (fact, mismatch), now).await?;
            Ok("the payment does not match what was asked for; a person decides")
        }
        Decision::Flag(mismatch) => {
            flag(db, attempt_id, &standing, (fact, mismatch), now).await?;
            Ok("the payment is recorded, but this word of it differs from what was asked for")
        }
        Decision::Process => {
            let until = now + DELAYED_METHOD_MAX;
            settlements::process(db, (attempt_id, session_id, payment_intent_id), until, now).await?;
            Ok("the buyer has paid by a delayed method; the seats are kept")
        }
        Decision::Release(ending) => {
            settlements::close(db, (attempt_id, session_id), ending.attempt_status(), now).await?;
            settlements::end(db, booking_id, ending.booking_status(), now).await?;
            Ok("the booking has ended unpaid and its seats are free")
        }
        Decision::Close(ending) => {
            settlements::close(db, (attempt_id, session_id), ending.attempt_status(), now).await?;
            Ok("the attempt is closed; the booking had gone on without it")
        }
    }
}

/// Confirms a booking whose hold had ended, if all its seats can still be had; else keeps the money as surplus.
async fn claim_again(db: &mut PgConnection, booking_id: BookingId, captured: &Captured<'_>) -> Result<&'static str> {
    let mut savepoint = db.begin().await?;
    settlements::apply(&mut savepoint, captured).await?;
    if settlements::claim_again(&mut savepoint, booking_id, captured.now).await? {
        savepoint.commit().await?;
        return Ok("the payment came late; the seats were still free, are claimed again, and the booking is confirmed");
    }
    savepoint.rollback().await?;
    keep_surplus(db, booking_id, captured, SurplusReason::LatePayment).await
}

async fn keep_surplus(
    db: &mut PgConnection,
    booking_id: BookingId,
    captured: &Captured<'_>,
    reason: SurplusReason,
) -> Result<&'static str> {
    settlements::keep_surplus(db, captured, reason.as_str()).await?;
    let reason = reason.as_str();
    tracing::error!(booking.id = %booking_id, "money that is not owed has to be refunded: {reason}");
    Ok("the money is kept as surplus and owed back")
}

/// Opens a discrepancy for an attempt, once however often the same word comes.
async fn flag(
    db: &mut PgConnection,
    attempt_id: AttemptId,
    standing: &Standing,
    (fact, mismatch): (&Fact, Mismatch),
    now: DateTime<Utc>,
) -> Result<()> {
    let booking_id = standing.booking_id;
    let discrepancy = Discrepancy {
        kind: mismatch.as_str(),
        subject: &attempt_id.to_string(),
        booking_id: Some(booking_id),
        ours: json!({ "bookingId": booking_id, "asked": standing.asked }),
        theirs: json!(format!("{fact:?}")),
    };
    settlements::open_discrepancy(db, &discrepancy, now).await?;
    tracing::error!(booking.id = %booking_id, "a payment differs from what was asked for: {}", mismatch.as_str());
    Ok(())
}
