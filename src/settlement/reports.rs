//! Reports that Stripe gives when it is asked.

use tracing::Span;
use tracing::field::display;

use super::execute::Done;
use super::plan::Item;
use super::settle::settle;
use crate::app::App;
use crate::domain::attempt::AttemptOfBooking;
use crate::domain::dispute::DisputeReport;
use crate::domain::payment::SettledBy;
use crate::domain::refund::StripeRefund;
use crate::domain::refund_refusal::RefundRefusal;
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
        is_ours: true,
        attempt: Some(answer.attempt),
        settled_by: Some(answer.settled_by),
        event: None,
        span: &span,
    };
    Ok(settle_asked(app, &[item]).await?.pop())
}

/// Settles how refunds stand at Stripe, and says what that has changed. Commits.
pub async fn settle_refunds(app: &App, mut found: Vec<StripeRefund>) -> Result<Vec<Change>> {
    // What has failed makes room for what was made after it.
    found.sort_by_key(|refund| (refund.status.has_left(), refund.created_at));
    let reports = found.into_iter().map(StripeReport::Refund).collect();
    settle_about_charges(app, reports).await
}

/// Settles how a dispute of a payment of ours stands at Stripe, and says what that has changed.
/// Commits.
pub async fn settle_dispute(app: &App, found: DisputeReport) -> Result<Option<Change>> {
    let reports = vec![StripeReport::Dispute(found)];
    Ok(settle_about_charges(app, reports).await?.pop())
}

/// Settles that Stripe does not make a refund. Commits. One that was settled meanwhile is left
/// alone.
pub async fn settle_refusal(app: &App, refusal: RefundRefusal) -> Result<()> {
    let reports = vec![StripeReport::RefundRefused(refusal)];
    settle_about_charges(app, reports).await.map(drop)
}

async fn settle_about_charges(app: &App, reports: Vec<StripeReport>) -> Result<Vec<Change>> {
    let span = Span::current();
    let reference = AttemptReference::default();
    let items = reports.iter().map(|report| Item {
        report: Ok(report),
        reference: &reference,
        is_ours: true,
        attempt: None,
        settled_by: None,
        event: None,
        span: &span,
    });
    settle_asked(app, &items.collect::<Vec<_>>()).await
}

async fn settle_asked(app: &App, items: &[Item<'_>]) -> Result<Vec<Change>> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let mut tx = app.begin_payment().await?;
    let done = settle(&mut tx, items, app.now()).await?;
    app.commit(tx).await?;
    for (item, done) in items.iter().zip(&done) {
        let attempt = item.attempt.map(|attempt| attempt.booking_id);
        let booking_id = attempt.or(done.changed).map(display);
        tracing::info!(booking.id = booking_id, "asked: {}", done.sentence);
    }
    Ok(done.into_iter().filter_map(Done::change).collect())
}
