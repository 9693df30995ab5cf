//! Money that Stripe has captured and given back, PaymentIntent by PaymentIntent.

use std::collections::HashMap;

use super::compared::{Compared, Uncompared};
use super::settling::Settling;
use super::sides::{self, Sides};
use crate::app::App;
use crate::domain::payment::SettledBy;
use crate::domain::payment_intent::PaymentIntentReport;
use crate::domain::reconciliation::Findings;
use crate::domain::stripe_report::{Change, StripeReport};
use crate::error::{Error, Result};
use crate::gateways::stripe::lists::{ListedCapture, PageOf};
use crate::gateways::stripe::{Lane, StripeError};
use crate::repositories::attempts::{self, FoundAttempt};
use crate::repositories::captures::{self, RecordedCapture};
use crate::settlement::{self, AttemptAnswer};

/// As what a capture is left to a person that cannot be settled.
pub(super) const CAPTURE_UNSETTLED: &str = "capture_unsettled";

/// A capture that is ours.
struct Ours {
    listed: ListedCapture,
    attempt: Option<FoundAttempt>,
}

/// Settles the captures of a page, and compares what Stripe and we have of them then.
pub(super) async fn compare(app: &App, page: PageOf<'_>) -> Result<Compared, Uncompared> {
    let page = app.stripe.list_captures(page, app.now()).await;
    let page = page.map_err(Uncompared::NotListed)?;
    let findings = settle_and_compare(app, page.items).await?;
    Ok(Compared::new(findings, page.next_after))
}

/// Settles captures that are not recorded, and their refunds, and adds up what Stripe and we have
/// of all that are ours. Where they differ then, a person has to look.
pub(super) async fn settle_and_compare(app: &App, listed: Vec<ListedCapture>) -> Result<Findings> {
    if listed.is_empty() {
        return Ok(Findings::default());
    }
    let ids: Vec<_> = listed.iter().map(|listed| listed.id.as_str()).collect();
    let before = recorded(app, &ids).await?;
    let ours = ours(app, listed, &before).await?;
    let mut settling = Settling::new(app, CAPTURE_UNSETTLED);
    for one in &ours {
        let settled = settle(app, one, before.get(&one.listed.id)).await;
        settling.note(&one.listed.id, settled).await?;
    }
    let findings = settling.end().await?;
    let ids: Vec<_> = ours.iter().map(|one| one.listed.id.as_str()).collect();
    let mut after = recorded(app, &ids).await?;
    let mut all = Vec::new();
    for Ours { listed, .. } in ours {
        let recorded = after.remove(&listed.id);
        all.push(look_again(app, Sides { listed, recorded }).await?);
    }
    sides::conclude(app, &all, findings).await
}

/// Those that are about an attempt of ours, say that they are ours, or are recorded.
async fn ours(
    app: &App,
    listed: Vec<ListedCapture>,
    recorded: &HashMap<String, RecordedCapture>,
) -> Result<Vec<Ours>> {
    let references: Vec<_> = listed
        .iter()
        .map(|listed| listed.reference.clone())
        .collect();
    let found = attempts::find_for(&mut app.acquire().await?, &references).await?;
    let mut found: HashMap<String, FoundAttempt> = found
        .into_iter()
        .map(|found| (found.found_for.clone(), found))
        .collect();
    let ours = listed.into_iter().filter_map(|listed| {
        let attempt = found.remove(&listed.id);
        let is_ours = listed.reference.is_made_by(&app.config.stripe.app_name);
        let is_ours = is_ours || recorded.contains_key(&listed.id);
        (attempt.is_some() || is_ours).then_some(Ours { listed, attempt })
    });
    Ok(ours.collect())
}

/// Settles a capture if it is not recorded, and its refunds if Stripe has given back more or less
/// of it than is.
async fn settle(app: &App, one: &Ours, before: Option<&RecordedCapture>) -> Result<Vec<Change>> {
    let Ours { listed, attempt } = one;
    let mut changes = Vec::new();
    if let (None, Some(found)) = (before, attempt) {
        let report = PaymentIntentReport::Succeeded(listed.capture.clone());
        let answer = AttemptAnswer {
            attempt: found.attempt,
            reference: listed.reference.clone(),
            report: StripeReport::PaymentIntent(report),
            settled_by: SettledBy::Reconciliation,
        };
        changes.extend(settlement::settle_answer(app, answer).await?);
    }
    let refunded = match before {
        Some(before) => Some(before.refunded),
        None if listed.refunded == 0 => None,
        None => find_recorded(app, &listed.id)
            .await?
            .map(|recorded| recorded.refunded),
    };
    if refunded.is_some_and(|refunded| refunded != listed.refunded) {
        let refunds = app.stripe.list_refunds(&listed.id, Lane::Background);
        let refunds = refunds.await.map_err(about_one)?;
        changes.extend(settlement::settle_refunds(app, refunds).await?);
    }
    Ok(changes)
}

/// An answer about one object that cannot be used says nothing of the others.
pub(super) fn about_one(error: StripeError) -> Error {
    match error {
        StripeError::Unusable { ref request_id, .. } => Error::ProviderRefused {
            reason: error.reason(),
            request_id: request_id.clone(),
        },
        StripeError::Refused { .. }
        | StripeError::Unavailable(_)
        | StripeError::ReplayedFailure(_) => error.into(),
    }
}

/// Where the sides differ, each may have gone on since the other was asked: Stripe is asked again,
/// and then our records, so that only what equals neither of ours differs.
async fn look_again(app: &App, sides: Sides) -> Result<Sides> {
    if sides.difference().is_none() {
        return Ok(sides);
    }
    let asked = app.stripe.retrieve_capture(&sides.listed.id, app.now());
    let sides = match asked.await.map_err(about_one) {
        Ok(Some(listed)) => Sides { listed, ..sides },
        // It has just been listed: that stands.
        Ok(None) => sides,
        Err(error) if error.is_of_the_world() => return Err(error),
        Err(error) => {
            tracing::warn!("{} cannot be looked at again: {error}", sides.listed.id);
            sides
        }
    };
    if sides.difference().is_none() {
        return Ok(sides);
    }
    let recorded = find_recorded(app, &sides.listed.id).await?;
    Ok(Sides { recorded, ..sides })
}

async fn find_recorded(app: &App, id: &str) -> Result<Option<RecordedCapture>> {
    Ok(recorded(app, &[id]).await?.remove(id))
}

/// What is recorded of these PaymentIntents, by their ids.
pub(super) async fn recorded(app: &App, ids: &[&str]) -> Result<HashMap<String, RecordedCapture>> {
    let recorded = captures::list(&mut app.acquire().await?, ids).await?;
    let by_id = recorded
        .into_iter()
        .map(|recorded| (recorded.payment_intent_id.clone(), recorded));
    Ok(by_id.collect())
}
