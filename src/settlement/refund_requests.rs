//! Payments of which something may go back.

use crate::connection::Connection;
use crate::domain::ids::BookingId;
use crate::domain::refund_block;
use crate::domain::refund_request::RefundablePayment;
use crate::error::Result;
use crate::repositories::{disputes, refunds};

/// The payments of a booking, newest first, under their locks, and which of them a bank has.
pub async fn lock_refundable(
    db: &mut Connection,
    booking_id: BookingId,
) -> Result<Vec<RefundablePayment>> {
    let mut payments = Vec::new();
    for payment in refunds::lock_payments_of(db, booking_id).await? {
        let disputes = disputes::list_of_payment(db, payment.id).await?;
        let block = refund_block::of_disputes(&disputes);
        payments.push(RefundablePayment { payment, block });
    }
    Ok(payments)
}
