//! Reports that Stripe gives when it is asked.

use tracing::Span;

use super::plan::Item;
use super::rounds::settle;
use crate::app::App;
use crate::domain::attempt::AttemptOfBooking;
use crate::domain::stripe_report::{AttemptReference, StripeReport};
use crate::error::Result;

/// Settles what Stripe has answered about an attempt. Commits.
pub async fn settle_report(
    app: &App,
    attempt: AttemptOfBooking,
    reference: &AttemptReference,
    report: &StripeReport,
) -> Result<()> {
    let span = Span::current();
    let item = Item {
        report: Ok(report),
        reference,
        attempt: Some(attempt),
        event: None,
        span: &span,
    };
    let mut tx = app.begin_payment().await?;
    let done = settle(&mut tx, &[item], app.now()).await?;
    app.commit(tx).await?;
    for done in done {
        tracing::info!(booking.id = %attempt.booking_id, "asked: {}", done.sentence);
    }
    Ok(())
}
