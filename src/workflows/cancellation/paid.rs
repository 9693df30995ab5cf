//! Cancelling what is paid: what the policy gives back is the same for who asks and for who does
//! it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::ending::end;
use crate::connection::Connection;
use crate::domain::booking::BookingStatus;
use crate::domain::cancellation::{self, CancellationQuote, CancellationTerms};
use crate::domain::ids::BookingId;
use crate::domain::refund_block;
use crate::domain::refund_request::GrantedRefund;
use crate::domain::refund_state::RefundSource;
use crate::domain::refusal::Refusal;
use crate::domain::run::OwedRefund;
use crate::error::Result;
use crate::repositories::cancellations::{self, Cancellation};
use crate::repositories::discrepancies::{self, NewDiscrepancy};
use crate::repositories::{bookings, disputes, refunds};

/// What a cancellation at `now` would give back, and the version of the booking that this is of.
/// Refuses what cannot be cancelled.
pub async fn preview(
    db: &mut Connection,
    id: BookingId,
    now: DateTime<Utc>,
) -> Result<(CancellationQuote, i64)> {
    let terms = read_terms(db, id).await?;
    Ok((cancellation::decide(&terms, now)?, terms.version))
}

/// Cancels a booking that is confirmed: what it reserves is free, and what its policy gives back is
/// reserved, and left to jobs to ask Stripe for. False for one that is not confirmed any more: it
/// is left alone. `StillPayable` while a page of it can still be paid. The caller commits.
///
/// Locks the booking, then its payments: of two at once, the second sees what the first has done.
pub async fn cancel_confirmed(
    db: &mut Connection,
    cancellation: Cancellation<'_>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let id = cancellation.booking_id;
    let booking = bookings::lock(db, id).await?;
    let booking = booking.ok_or(Refusal::NotFound("booking"))?;
    if booking.status != BookingStatus::Confirmed {
        return Ok(false);
    }
    refunds::lock_payments_of(db, id).await?;
    let terms = read_terms(db, id).await?;
    let version = terms.version;
    if cancellation.version.is_some_and(|seen| seen != version) {
        return Err(Refusal::VersionConflict { version }.into());
    }
    let quote = match cancellation.version {
        Some(_) => cancellation::decide_as_previewed(&terms, now)?,
        None => cancellation::decide(&terms, now)?,
    };
    let owed = quote.refunds().map(|granted| OwedRefund {
        granted,
        source: RefundSource::Policy,
    });
    end(db, cancellation, &owed.collect::<Vec<_>>(), now).await?;
    for owed in &quote.owed_elsewhere {
        leave_owed(db, id, owed, now).await?;
    }
    Ok(true)
}

/// Leaves to a person a refund that is owed and that Stripe does not make.
async fn leave_owed(
    db: &mut Connection,
    id: BookingId,
    owed: &GrantedRefund,
    now: DateTime<Utc>,
) -> Result<()> {
    let discrepancy = NewDiscrepancy {
        kind: "refund_owed_elsewhere",
        subject: &owed.payment_id.to_string(),
        booking_id: Some(id),
        ours: json!({ "paymentId": owed.payment_id, "owed": owed.amount }),
        theirs: Value::Null,
    };
    discrepancies::open(db, &discrepancy, now).await?;
    let amount = owed.amount;
    tracing::error!(booking.id = %id, "{amount} are owed that Stripe does not refund");
    Ok(())
}

async fn read_terms(db: &mut Connection, id: BookingId) -> Result<CancellationTerms> {
    let terms = cancellations::find_terms(db, id).await?;
    let mut terms = terms.ok_or(Refusal::NotFound("booking"))?;
    for payment in &mut terms.payments {
        let disputes = disputes::list_of_payment(db, payment.payment_id).await?;
        payment.block = refund_block::of_disputes(&disputes);
        payment.given_back_minor = refund_block::given_back_minor(&disputes);
    }
    Ok(terms)
}
