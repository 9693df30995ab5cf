//! Payments: money that Stripe captured, stored with all that it changes.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

use super::Columns;
use crate::domain::attempt::AttemptOfBooking;
use crate::domain::booking_event::{BookingEvent, StoredEvent};
use crate::domain::funds::{CapturedFunds, SurplusReason};
use crate::domain::ids::{BookingId, PaymentId, TransferId};
use crate::domain::ledger::{Account, TransferKind};
use crate::domain::payment_event::EventStatus;
use crate::error::{Error, Result};

/// What a settlement writes in its last statement.
#[derive(Debug, Default)]
pub struct Settlement<'a> {
    /// Money that came; at most one payment of a booking.
    pub payments: Vec<NewPayment<'a>>,
    /// What has happened to bookings, in order for each.
    pub booking_events: Vec<(BookingId, BookingEvent)>,
    /// Events of Stripe's that are decided now.
    pub payment_events: Vec<SettledEvent<'a>>,
}

impl Settlement<'_> {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.payments.is_empty() && self.booking_events.is_empty() && self.payment_events.is_empty()
    }
}

/// Money that an attempt has brought.
#[derive(Debug, Clone)]
pub struct NewPayment<'a> {
    /// The payment.
    pub id: PaymentId,
    /// The attempt that was paid.
    pub attempt: AttemptOfBooking,
    /// The session, where Stripe named it.
    pub session_id: Option<&'a str>,
    /// The money.
    pub funds: CapturedFunds,
    /// Why it is kept apart; `None` if it is applied, and confirms the booking.
    pub surplus_reason: Option<SurplusReason>,
    /// The event that brought it; none where Stripe was asked.
    pub event_id: Option<&'a str>,
}

/// Where an event of Stripe's ends, for now or for good.
#[derive(Debug, Clone)]
pub struct SettledEvent<'a> {
    /// `evt_…`
    pub id: &'a str,
    /// Where it stands now.
    pub status: EventStatus,
    /// A sentence for people.
    pub outcome: &'a str,
    /// The attempt it is about, if one was found.
    pub attempt: Option<AttemptOfBooking>,
}

/// Writes the end of a settlement: payments, what has happened to bookings, and the events that are
/// decided. The one place where an event is marked. One round trip; the caller holds the locks of
/// the bookings and commits all of it, or nothing.
pub async fn settle(
    db: &mut PgConnection,
    settlement: &Settlement<'_>,
    now: DateTime<Utc>,
) -> Result<()> {
    let Settlement {
        payments,
        booking_events,
        payment_events,
    } = settlement;
    let happened = booking_events.column(|(_, event)| StoredEvent::from(event));
    let entries = payments.column(|payment| {
        TransferKind::Capture.accounts(Account::of_payment(payment.surplus_reason.is_some()))
    });
    let written = sqlx::query!(
        r#"with captured as (
             select *
             from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::text[],
                         $7::timestamptz[], $8::text[], $9::text[], $10::uuid[], $11::text[],
                         $12::text[])
               as capture (payment_id, attempt_id, session_id, payment_intent_id, amount_minor,
                           currency, captured_at, surplus_reason, event_id, transfer_id, debit,
                           credit)
           ), attempt as (
             -- Can be paid no more. What a paid attempt was paid as stays: this is a second payment.
             update checkout_attempts as attempt
             set status = 'paid', url = null, client_secret = null, updated_at = $13,
                 stripe_session_id = case attempt.status when 'paid' then attempt.stripe_session_id
                   else coalesce(captured.session_id, attempt.stripe_session_id) end,
                 stripe_payment_intent_id = case attempt.status
                   when 'paid' then attempt.stripe_payment_intent_id
                   else coalesce(captured.payment_intent_id, attempt.stripe_payment_intent_id) end
             from captured
             where attempt.id = captured.attempt_id
             returning attempt.booking_id, attempt.part, captured.*,
                       coalesce(captured.payment_intent_id, attempt.stripe_payment_intent_id) as paid_by
           ), payment as (
             insert into payments (id, booking_id, attempt_id, part, stripe_payment_intent_id,
                                   amount_minor, currency, disposition, surplus_reason, captured_at)
             select payment_id, booking_id, attempt_id, part, paid_by, amount_minor, currency,
                    (case when surplus_reason is null then 'applied' else 'surplus' end)
                      ::payment_disposition,
                    surplus_reason, captured_at
             from attempt
             returning id
           ), transfer as (
             -- Money enters the books in the breath in which it is stored.
             insert into ledger_transfers (id, kind, debit, credit, amount_minor, currency,
                                           booking_id, payment_id, payment_event_id, created_at)
             select transfer_id, $14, debit, credit, amount_minor, currency, booking_id, payment_id,
                    event_id, $13
             from attempt
           ), booking as (
             -- Only what is applied confirms.
             update bookings
             set status = 'confirmed', paid_minor = paid_minor + attempt.amount_minor,
                 confirmed_at = coalesce(confirmed_at, $13), hold_expires_at = null,
                 updated_at = $13
             from attempt
             where bookings.id = attempt.booking_id and attempt.surplus_reason is null
             returning bookings.id
           ), happened as (
             insert into booking_events (booking_id, kind, payload, at)
             select booking_id, kind, payload, $13
             from unnest($15::uuid[], $16::text[], $17::jsonb[]) with ordinality
               as event (booking_id, kind, payload, number)
             order by number
           ), decided as (
             -- An event is processed if and only if its effect is committed with it.
             update payment_events as event
             set status = decided.status, outcome = decided.outcome,
                 attempt_id = coalesce(decided.attempt_id, event.attempt_id),
                 booking_id = decided.booking_id,
                 processed_at = case when decided.status in ('processed', 'ignored')
                   then $13::timestamptz end
             from unnest($18::text[], $19::payment_event_status[], $20::text[], $21::uuid[],
                         $22::uuid[])
               as decided (id, status, outcome, attempt_id, booking_id)
             where event.id = decided.id
           )
           select (select count(*) from payment) as "payments!",
                  (select count(*) from booking) as "bookings!""#,
        &payments.column(|payment| payment.id) as _,
        &payments.column(|payment| payment.attempt.attempt_id) as _,
        &payments.column(|payment| payment.session_id) as _,
        &payments.column(|payment| payment.funds.payment_intent_id.as_deref()) as _,
        &payments.column(|payment| payment.funds.money.amount_minor),
        &payments.column(|payment| payment.funds.money.currency.as_str()) as _,
        &payments.column(|payment| payment.funds.captured_at),
        &payments.column(|payment| payment.surplus_reason.map(SurplusReason::as_str)) as _,
        &payments.column(|payment| payment.event_id) as _,
        &payments.column(|_| TransferId::new()) as _,
        &entries.column(|entry| entry.debit.as_str()) as _,
        &entries.column(|entry| entry.credit.as_str()) as _,
        now,
        TransferKind::Capture.as_str(),
        &booking_events.column(|(booking_id, _)| *booking_id) as _,
        &happened.column(|event| event.kind.as_str()) as _,
        &happened.column(|event| Json(&event.payload)) as _,
        &payment_events.column(|event| event.id) as _,
        &payment_events.column(|event| event.status) as _,
        &payment_events.column(|event| event.outcome) as _,
        &payment_events.column(|event| event.attempt.map(|attempt| attempt.attempt_id)) as _,
        &payment_events.column(|event| event.attempt.map(|attempt| attempt.booking_id)) as _,
    )
    .fetch_one(db)
    .await?;
    let applied = payments
        .iter()
        .filter(|payment| payment.surplus_reason.is_none())
        .count();
    if is_count(written.payments, payments.len()) && is_count(written.bookings, applied) {
        Ok(())
    } else {
        Err(Error::fault("a payment found no attempt or no booking"))
    }
}

fn is_count(written: i64, expected: usize) -> bool {
    usize::try_from(written) == Ok(expected)
}
