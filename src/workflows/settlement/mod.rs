//! What becomes of a word from Stripe, whoever brings it: decided and carried out in the caller's
//! transaction.
//!
//! Words come by [`event`], and by asking: [`release`] fences a session before its seats go free,
//! [`verify`] asks for a buyer who has come back. What is not owed goes back by [`refund`].

pub mod batch;
pub mod event;
mod inquiry;
pub mod refund;
pub mod release;
pub mod verify;

use std::slice;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::{Acquire, PgConnection};

use crate::domain::booking::BookingStatus;
use crate::domain::ids::{AttemptId, BookingId};
use crate::domain::job::Job;
use crate::domain::settlement::{Decision, Fact, Mismatch, Paid, Standing, decide};
use crate::domain::surplus::SurplusReason;
use crate::error::Result;
use crate::repositories::settlements::{self, Captured, Discrepancy};
use crate::repositories::{jobs, refunds};

/// How long the slowest of Stripe's delayed methods takes.
/// <https://docs.stripe.com/payments/bank-debits>
const DELAYED_METHOD_MAX: TimeDelta = TimeDelta::days(14);

/// What Stripe says of an attempt, and where it says so.
struct Word<'a> {
    fact: &'a Fact,
    session_id: Option<&'a str>,
    payment_intent_id: Option<&'a str>,
    event_id: Option<&'a str>,
}

impl<'a> Word<'a> {
    fn captured(&self, attempt_id: AttemptId, paid: Paid) -> Captured<'a> {
        Captured {
            attempt_id,
            session_id: self.session_id,
            payment_intent_id: self.payment_intent_id,
            money: paid.money,
            captured_at: paid.captured_at,
            event_id: self.event_id,
        }
    }
}

/// What was done with most payments.
const APPLIED: &str = "the payment is applied and the booking confirmed";

/// Locks, decides and writes. The sentence says what was done.
async fn carry_out(
    db: &mut PgConnection,
    subject: (AttemptId, BookingId),
    word: &Word<'_>,
    now: DateTime<Utc>,
) -> Result<&'static str> {
    let standing = settlements::lock(db, subject).await?;
    let (attempt_id, booking_id) = subject;
    let session = (attempt_id, word.session_id);
    let captured = |paid: Paid| word.captured(attempt_id, paid);
    match decide(&standing, word.fact) {
        Decision::Keep(sentence) => Ok(sentence),
        Decision::Apply(paid) => {
            settlements::apply(db, &[captured(paid)], APPLIED, now).await?;
            Ok(APPLIED)
        }
        Decision::ClaimAgain(paid) => claim_again(db, booking_id, &captured(paid), now).await,
        Decision::Surplus(paid, reason) => {
            keep_surplus(db, booking_id, (&captured(paid), reason), now).await
        }
        Decision::Review(paid, mismatch) => {
            if let Some(paid) = paid.filter(|paid| paid.money.amount_minor > 0) {
                settlements::keep_surplus(
                    db,
                    &captured(paid),
                    SurplusReason::Mismatch.as_str(),
                    now,
                )
                .await?;
            }
            if !matches!(
                standing.status,
                BookingStatus::Confirmed | BookingStatus::Review
            ) {
                // The session that could have paid for the seats is complete, so they are free.
                settlements::end(db, booking_id, BookingStatus::Review, now).await?;
            }
            flag(db, attempt_id, &standing, (word.fact, mismatch), now).await?;
            Ok("the payment does not match what was asked for; a person decides")
        }
        Decision::Flag(mismatch) => {
            flag(db, attempt_id, &standing, (word.fact, mismatch), now).await?;
            Ok("the payment is recorded, but this word of it differs from what was asked for")
        }
        Decision::Process => {
            let until = now + DELAYED_METHOD_MAX;
            settlements::process(
                db,
                (attempt_id, word.session_id, word.payment_intent_id),
                until,
                now,
            )
            .await?;
            Ok("the buyer has paid by a delayed method; the seats are kept")
        }
        Decision::Release(ending) => {
            settlements::close(db, session, ending.attempt_status(), now).await?;
            settlements::end(db, booking_id, ending.booking_status(), now).await?;
            Ok("the booking has ended unpaid and its seats are free")
        }
        Decision::Close(ending) => {
            settlements::close(db, session, ending.attempt_status(), now).await?;
            Ok("the attempt is closed; the booking had gone on without it")
        }
    }
}

/// Confirms a booking whose hold had ended, if all its seats can still be had; else keeps the money
/// as surplus.
async fn claim_again(
    db: &mut PgConnection,
    booking_id: BookingId,
    captured: &Captured<'_>,
    now: DateTime<Utc>,
) -> Result<&'static str> {
    let mut savepoint = db.begin().await?;
    settlements::apply(&mut savepoint, slice::from_ref(captured), APPLIED, now).await?;
    if settlements::claim_again(&mut savepoint, booking_id, now).await? {
        savepoint.commit().await?;
        return Ok(
            "the payment came late; the seats were still free, are claimed again, and the booking is confirmed",
        );
    }
    savepoint.rollback().await?;
    keep_surplus(db, booking_id, (captured, SurplusReason::LatePayment), now).await
}

/// Keeps money that is not owed, and sends it back unless a person has to look first.
async fn keep_surplus(
    db: &mut PgConnection,
    booking_id: BookingId,
    (captured, reason): (&Captured<'_>, SurplusReason),
    now: DateTime<Utc>,
) -> Result<&'static str> {
    settlements::keep_surplus(db, captured, reason.as_str(), now).await?;
    if reason.refunds_itself() {
        let refund_id =
            refunds::request_surplus(db, captured.attempt_id, reason.as_str(), now).await?;
        jobs::enqueue(db, &Job::Refund { refund_id }, now).await?;
        return Ok("the money is kept as surplus, and its refund is on the way");
    }
    let reason = reason.as_str();
    tracing::error!(booking.id = %booking_id, "surplus money waits for a person: {reason}");
    Ok("the money is kept as surplus; a person decides")
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
