//! Reports that Stripe gives when it is asked.

use tracing::Span;
use tracing::field::display;

use super::plan::Item;
use super::settle::settle;
use crate::app::App;
use crate::domain::attempt::AttemptOfBooking;
use crate::domain::ids::RefundId;
use crate::domain::payment::SettledBy;
use crate::domain::refund::RefundReport;
use crate::domain::stripe_report::{AttemptReference, Change, StripeReport};
use crate::error::Result;

/// What Stripe has answered about an attempt.
#[derive(Debug, Clone)]
pub struct AttemptAnswer {
    /// The attempt.
    pub attempt: AttemptOfBooking,
    /// What the answer names.
    pub reference: AttemptReference,
    /// What it says.
    pub report: StripeReport,
    /// Why Stripe was asked.
    pub settled_by: SettledBy,
}

/// Settles what Stripe has answered about an attempt, and says what that has changed. Commits.
pub async fn settle_answer(app: &App, answer: AttemptAnswer) -> Result<Option<Change>> {
    let span = Span::current();
    let item = Item {
        report: Ok(&answer.report),
        reference: &answer.reference,
        attempt: Some(answer.attempt),
        refund: None,
        settled_by: answer.settled_by,
        event: None,
        span: &span,
    };
    settle_alone(app, item).await
}

/// Settles what Stripe has answered about a refund. Commits.
pub async fn settle_refund(app: &App, id: RefundId, report: RefundReport) -> Result<()> {
    let span = Span::current();
    let item = Item {
        report: Ok(&StripeReport::Refund(report)),
        reference: &AttemptReference::default(),
        attempt: None,
        refund: Some(id),
        // It brings no payment.
        settled_by: SettledBy::Release,
        event: None,
        span: &span,
    };
    settle_alone(app, item).await.map(drop)
}

async fn settle_alone(app: &App, item: Item<'_>) -> Result<Option<Change>> {
    let booking_id = item.attempt.map(|attempt| display(attempt.booking_id));
    let refund_id = item.refund.map(display);
    let mut tx = app.begin_payment().await?;
    let done = settle(&mut tx, &[item], app.now()).await?;
    app.commit(tx).await?;
    let mut change = None;
    for done in done {
        tracing::info!(
            booking.id = booking_id,
            refund.id = refund_id,
            "asked: {}",
            done.sentence
        );
        change = done.change();
    }
    Ok(change)
}
