//! Payments: money that Stripe captured, stored with all that it changes, and listed.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::Columns;
use crate::connection::Connection;
use crate::domain::attempt::{AttemptOfBooking, PaymentPart};
use crate::domain::booking_event::NewBookingEvent;
use crate::domain::charge::{ChargeReport, FailedPayment, PaymentMethod};
use crate::domain::funds::{CapturedFunds, SurplusReason};
use crate::domain::ids::{BookingId, PaymentId, TransferId};
use crate::domain::ledger::{Account, TransferKind};
use crate::domain::money::Money;
use crate::domain::payment::{Disposition, PaidBooking, Payment, SettledBy};
use crate::domain::payment_event::EventStatus;
use crate::domain::user::UserId;
use crate::error::{Error, Result};

/// What a settlement writes in its last statement.
#[derive(Debug, Default)]
pub struct Settlement<'a> {
    /// Money that came; at most one payment of a booking.
    pub payments: Vec<NewPayment<'a>>,
    /// What has happened to bookings, in order for each.
    pub booking_events: Vec<NewBookingEvent>,
    /// Events of Stripe's that are decided now.
    pub payment_events: Vec<MarkedEvent<'a>>,
    /// How payments were paid.
    pub charges: Vec<ChargeReport>,
    /// Tries to pay that have failed.
    pub failed_payments: Vec<NewFailedPayment<'a>>,
}

impl Settlement<'_> {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.payments.is_empty()
            && self.booking_events.is_empty()
            && self.payment_events.is_empty()
            && self.charges.is_empty()
            && self.failed_payments.is_empty()
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
    /// By what we learned of it.
    pub settled_by: SettledBy,
}

/// Where an event of Stripe's ends, for now or for good.
#[derive(Debug, Clone)]
pub struct MarkedEvent<'a> {
    /// `evt_…`
    pub id: &'a str,
    /// Where it stands now.
    pub status: EventStatus,
    /// A sentence for people.
    pub outcome: &'a str,
    /// The attempt it is about, if one was found.
    pub attempt: Option<AttemptOfBooking>,
}

/// A try to pay an attempt that has failed.
#[derive(Debug, Clone)]
pub struct NewFailedPayment<'a> {
    /// What Stripe says of it.
    pub failure: FailedPayment,
    /// What was to be paid.
    pub attempt: AttemptOfBooking,
    /// The event that told of it.
    pub event_id: &'a str,
}

/// Writes the end of a settlement: payments, what has happened to bookings, and the events that are
/// decided. The one place where an event is marked. One round trip; the caller holds the locks of
/// the bookings and commits all of it, or nothing. Returns the events that have waited for one of
/// the payments.
pub async fn write(
    db: &mut Connection,
    settlement: &Settlement<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<String>> {
    let Settlement {
        payments,
        booking_events,
        payment_events,
        charges,
        failed_payments,
    } = settlement;
    let entries = payments.column(|payment| {
        TransferKind::Capture.accounts(Account::of_payment(payment.surplus_reason.is_some()))
    });
    let written = sqlx::query_file!(
        "src/repositories/settle.sql",
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
        &booking_events.column(|new| new.booking_id) as _,
        &booking_events.column(|new| new.event.kind()) as _,
        &booking_events.column(|new| new.event.json()),
        &payment_events.column(|event| event.id) as _,
        &payment_events.column(|event| event.status) as _,
        &payment_events.column(|event| event.outcome) as _,
        &payment_events.column(|event| event.attempt.map(|attempt| attempt.attempt_id)) as _,
        &payment_events.column(|event| event.attempt.map(|attempt| attempt.booking_id)) as _,
        &payments.column(|payment| payment.settled_by) as _,
        charges_json(charges),
        failures_json(failed_payments),
    )
    .fetch_one(db)
    .await?;
    let applied = payments
        .iter()
        .filter(|payment| payment.surplus_reason.is_none())
        .count();
    if is_count(written.payments, payments.len()) && is_count(written.bookings, applied) {
        Ok(written.deferred_events)
    } else {
        Err(Error::fault("a payment found no attempt or no booking"))
    }
}

/// Charges as the statement of a settlement reads them.
fn charges_json(charges: &[ChargeReport]) -> Value {
    let rows = charges.iter().map(|charge| {
        let method = charge.method.as_ref();
        json!({
            "payment_intent_id": charge.payment_intent_id,
            "charge_id": charge.charge_id,
            "method_type": method.map(|method| &method.kind),
            "method_brand": method.map(|method| &method.brand),
            "method_last4": method.map(|method| &method.last4),
            "receipt_url": charge.receipt_url,
            "reported_at": charge.reported_at,
        })
    });
    rows.collect()
}

/// Failed payments as the statement of a settlement reads them.
fn failures_json(failures: &[NewFailedPayment<'_>]) -> Value {
    let rows = failures.iter().map(|new| {
        let (failure, method) = (&new.failure, new.failure.method.as_ref());
        json!({
            "stripe_id": failure.charge_id.as_deref().unwrap_or(new.event_id),
            "booking_id": new.attempt.booking_id,
            "attempt_id": new.attempt.attempt_id,
            "payment_intent_id": failure.payment_intent_id,
            "code": failure.code,
            "decline_code": failure.decline_code,
            "method_type": method.map(|method| &method.kind),
            "method_brand": method.map(|method| &method.brand),
            "method_last4": method.map(|method| &method.last4),
            "failed_at": failure.failed_at,
        })
    });
    rows.collect()
}

/// Applies surplus to its booking, books it over, and confirms the booking, which is under review,
/// for this money, with so much let off in all. The caller holds the locks of both.
pub async fn accept(
    db: &mut Connection,
    id: PaymentId,
    conceded_minor: i64,
    now: DateTime<Utc>,
) -> Result<()> {
    let kind = TransferKind::Acceptance;
    let entry = kind.accounts(Account::CustomerSurplus);
    let confirmed = sqlx::query!(
        "with accepted as (
           update payments
           set disposition = 'applied', surplus_reason = null
           where id = $1 and disposition = 'surplus'
           returning id, booking_id, part, amount_minor, currency
         ), transfer as (
           insert into ledger_transfers (id, kind, debit, credit, amount_minor, currency,
                                         booking_id, payment_id, created_at)
           select $2, $3, $4, $5, amount_minor, currency, booking_id, id, $6
           from accepted
         )
         update bookings
         set status = 'confirmed', paid_minor = paid_minor + amount_minor,
             conceded_minor = $7, confirmed_at = coalesce(confirmed_at, $6),
             hold_expires_at = null, updated_at = $6
         from accepted
         where bookings.id = accepted.booking_id and status = 'review'",
        id as _,
        TransferId::new() as _,
        kind.as_str(),
        entry.debit.as_str(),
        entry.credit.as_str(),
        now,
        conceded_minor,
    )
    .execute(db)
    .await?;
    if confirmed.rows_affected() == 1 {
        Ok(())
    } else {
        Err(Error::fault("a payment was accepted for no review"))
    }
}

/// Which of the PaymentIntents have brought a payment that is stored. Asked under the lock of the
/// booking, in a statement that sees what was committed while the lock was waited for.
pub async fn recorded_intents(
    db: &mut Connection,
    payment_intent_ids: &[&str],
) -> Result<Vec<String>> {
    let recorded = sqlx::query_scalar!(
        r#"select stripe_payment_intent_id as "id!"
           from payments
           where stripe_payment_intent_id = any($1)"#,
        payment_intent_ids as _,
    )
    .fetch_all(db)
    .await?;
    Ok(recorded)
}

/// The PaymentIntent of a payment, if Stripe has named it.
pub async fn find_intent(db: &mut Connection, id: PaymentId) -> Result<Option<String>> {
    let intent = sqlx::query_scalar!(
        "select stripe_payment_intent_id from payments where id = $1",
        id as _,
    )
    .fetch_optional(db)
    .await?;
    Ok(intent.flatten())
}

/// Which payments are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those of this user.
    pub user_id: Option<UserId>,
    /// Only those of this booking.
    pub booking_id: Option<BookingId>,
    /// Only those recorded before this one.
    pub before: Option<PaymentId>,
}

/// Payments, those that were recorded last first, at most `limit`. One round trip.
pub async fn list(db: &mut Connection, filter: &Filter, limit: i64) -> Result<Vec<Payment>> {
    let rows = sqlx::query!(
        r#"select payment.id as "id: PaymentId", payment.booking_id as "booking_id: BookingId",
                  booking.reference, coalesce(shows.title, services.title) as "title?",
                  payment.part as "part: PaymentPart", payment.amount_minor, payment.currency,
                  payment.disposition as "disposition: Disposition", payment.surplus_reason,
                  payment.stripe_payment_intent_id, payment.settled_by as "settled_by: SettledBy",
                  payment.captured_at, charge.method_type as "method_type?", charge.method_brand,
                  charge.method_last4, charge.receipt_url,
                  (
                    select coalesce(sum(refund.amount_minor), 0)::bigint
                    from refunds as refund
                    where refund.payment_id = payment.id
                      and refund.status in ('pending', 'succeeded')
                  ) as "refunded_minor!"
           from bookings as booking
           join payments as payment on payment.booking_id = booking.id
           left join shows on shows.id = booking.show_id
           left join services on services.id = booking.service_id
           left join charges as charge
             on charge.stripe_payment_intent_id = payment.stripe_payment_intent_id
           where ($1::text is null or booking.user_id = $1)
             and ($2::uuid is null or booking.id = $2)
             and payment.id < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
           order by payment.id desc
           limit $4"#,
        filter.user_id.as_ref().map(UserId::as_str),
        filter.booking_id as _,
        filter.before as _,
        limit,
    )
    .fetch_all(db)
    .await?;
    let payments = rows.into_iter().map(|row| {
        let currency = row.currency.parse().map_err(Error::Fault)?;
        Ok(Payment {
            id: row.id,
            booking: PaidBooking {
                id: row.booking_id,
                reference: row.reference,
                title: row.title.unwrap_or_default(),
            },
            part: row.part,
            amount: Money::new(row.amount_minor, currency),
            refunded: Money::new(row.refunded_minor, currency),
            disposition: row.disposition,
            surplus_reason: row.surplus_reason,
            method: row.method_type.map(|kind| PaymentMethod {
                kind,
                brand: row.method_brand,
                last4: row.method_last4,
            }),
            receipt_url: row.receipt_url,
            payment_intent_id: row.stripe_payment_intent_id,
            settled_by: row.settled_by,
            captured_at: row.captured_at,
        })
    });
    payments.collect()
}

fn is_count(written: i64, expected: usize) -> bool {
    usize::try_from(written) == Ok(expected)
}
