//! What is stored beside what it should be: by what a replay has left in the copies of the tables
//! (`scratch`), and by the sums that have to come out. Each names only what differs.
//!
//! What is the product's is named with its schema; what is not, is a copy.

use std::collections::HashMap;

use crate::connection::Connection;
use crate::domain::charge::{ChargeReport, FailedPayment, PaymentMethod};
use crate::domain::difference::Difference;
use crate::domain::dispute::DisputeTerms;
use crate::domain::ids::BookingId;
use crate::error::Result;

/// Payments of bookings that events have brought otherwise than they are stored.
pub async fn compare_payments(
    db: &mut Connection,
    bookings: &[BookingId],
) -> Result<Vec<Difference>> {
    let differences = sqlx::query_file_as!(
        Difference,
        "src/repositories/verification/payments.sql",
        bookings as _,
    );
    Ok(differences.fetch_all(db).await?)
}

/// Refunds and disputes of bookings of which events say otherwise than is stored.
pub async fn compare_returns(
    db: &mut Connection,
    bookings: &[BookingId],
) -> Result<Vec<Difference>> {
    let differences = sqlx::query_file_as!(
        Difference,
        "src/repositories/verification/returns.sql",
        bookings as _,
    );
    Ok(differences.fetch_all(db).await?)
}

/// What is stored of bookings, their money and what they reserve that contradicts itself.
pub async fn check_bookings(
    db: &mut Connection,
    bookings: &[BookingId],
) -> Result<Vec<Difference>> {
    let differences = sqlx::query_file_as!(
        Difference,
        "src/repositories/verification/bookings.sql",
        bookings as _,
    );
    Ok(differences.fetch_all(db).await?)
}

/// Vouchers that are used too often.
pub async fn check_vouchers(db: &mut Connection) -> Result<Vec<Difference>> {
    let differences =
        sqlx::query_file_as!(Difference, "src/repositories/verification/vouchers.sql");
    Ok(differences.fetch_all(db).await?)
}

/// Currencies in which not all captured money is in exactly one place.
pub async fn check_gauge(db: &mut Connection) -> Result<Vec<Difference>> {
    let differences = sqlx::query_file_as!(Difference, "src/repositories/verification/gauge.sql");
    Ok(differences.fetch_all(db).await?)
}

/// The stored charges of the payments of bookings, and some more, by PaymentIntent.
pub async fn list_charges(
    db: &mut Connection,
    bookings: &[BookingId],
    payment_intent_ids: &[&str],
) -> Result<HashMap<String, ChargeReport>> {
    let rows = sqlx::query!(
        "select stripe_payment_intent_id, stripe_charge_id, method_type, method_brand, method_last4,
                receipt_url, reported_at
         from public.charges
         where stripe_payment_intent_id = any($2)
           or stripe_payment_intent_id in (
             select stripe_payment_intent_id from public.payments where booking_id = any($1)
           )",
        bookings as _,
        payment_intent_ids as _,
    )
    .fetch_all(db)
    .await?;
    let charges = rows.into_iter().map(|row| {
        let charge = ChargeReport {
            charge_id: row.stripe_charge_id,
            payment_intent_id: row.stripe_payment_intent_id.clone(),
            method: row.method_type.map(|kind| PaymentMethod {
                kind,
                brand: row.method_brand,
                last4: row.method_last4,
            }),
            receipt_url: row.receipt_url,
            reported_at: row.reported_at,
        };
        (row.stripe_payment_intent_id, charge)
    });
    Ok(charges.collect())
}

/// The stored tries to pay bookings that have failed, by what they are stored under.
pub async fn list_failures(
    db: &mut Connection,
    bookings: &[BookingId],
) -> Result<HashMap<String, FailedPayment>> {
    let rows = sqlx::query!(
        "select stripe_id, stripe_payment_intent_id, code, decline_code, method_type, method_brand,
                method_last4, failed_at
         from public.failed_payments
         where booking_id = any($1)",
        bookings as _,
    )
    .fetch_all(db)
    .await?;
    let failures = rows.into_iter().map(|row| {
        let failure = FailedPayment {
            charge_id: Some(row.stripe_id.clone()),
            payment_intent_id: row.stripe_payment_intent_id,
            code: row.code,
            decline_code: row.decline_code,
            method: row.method_type.map(|kind| PaymentMethod {
                kind,
                brand: row.method_brand,
                last4: row.method_last4,
            }),
            failed_at: row.failed_at,
        };
        (row.stripe_id, failure)
    });
    Ok(failures.collect())
}

/// What is stored of disputes of bookings beside where they stand, by their names at Stripe; those
/// of which something was learned by asking are left out.
pub async fn list_dispute_terms(
    db: &mut Connection,
    bookings: &[BookingId],
) -> Result<HashMap<String, DisputeTerms>> {
    let rows = sqlx::query!(
        "select stripe_dispute_id, reason, evidence_due_by
         from public.disputes
         where booking_id = any($1) and not was_asked_about",
        bookings as _,
    )
    .fetch_all(db)
    .await?;
    let terms = rows.into_iter().map(|row| {
        let terms = DisputeTerms {
            reason: row.reason,
            evidence_due_by: row.evidence_due_by,
        };
        (row.stripe_dispute_id, terms)
    });
    Ok(terms.collect())
}
