//! Tries of buyers to pay that did not succeed. They are written where settlements are.

use crate::connection::Connection;
use crate::domain::charge::{FailedPayment, PaymentMethod};
use crate::domain::ids::BookingId;
use crate::error::Result;

/// Those of a booking, newest first, at most `limit`. One round trip.
pub async fn list_of_booking(
    db: &mut Connection,
    id: BookingId,
    limit: i64,
) -> Result<Vec<FailedPayment>> {
    let rows = sqlx::query!(
        "select stripe_id, stripe_payment_intent_id, code, decline_code, method_type,
                method_brand, method_last4, failed_at
         from failed_payments
         where booking_id = $1
         order by failed_at desc, stripe_id desc
         limit $2",
        id as _,
        limit,
    )
    .fetch_all(db)
    .await?;
    let failed = rows.into_iter().map(|row| FailedPayment {
        charge_id: Some(row.stripe_id).filter(|id| !id.starts_with("evt_")),
        payment_intent_id: row.stripe_payment_intent_id,
        code: row.code,
        decline_code: row.decline_code,
        method: row.method_type.map(|kind| PaymentMethod {
            kind,
            brand: row.method_brand,
            last4: row.method_last4,
        }),
        failed_at: row.failed_at,
    });
    Ok(failed.collect())
}
