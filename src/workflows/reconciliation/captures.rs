//! Money that Stripe has captured and given back, PaymentIntent by PaymentIntent.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::compared::Compared;
use crate::app::App;
use crate::domain::ids::DiscrepancyId;
use crate::domain::payment::SettledBy;
use crate::domain::payment_intent::PaymentIntentReport;
use crate::domain::reconciliation::{Findings, Healed, Sums};
use crate::domain::stripe_report::StripeReport;
use crate::error::Result;
use crate::gateways::stripe::lists::{ListedCapture, PageOf};
use crate::repositories::attempts::{self, FoundAttempt};
use crate::repositories::discrepancies::{self, NewDiscrepancy};
use crate::repositories::payments::{self, RecordedCapture};
use crate::settlement::{self, AttemptAnswer};

/// Settles the captures of a page that are not recorded, and their refunds, and adds up what Stripe
/// and we have of it. Where they differ then, a person has to look.
pub(super) async fn compare(app: &App, page: PageOf<'_>) -> Result<Compared> {
    let page = app.stripe.list_captures(page).await?;
    let ours = ours(app, page.items).await?;
    let mut findings = Findings {
        checked: i64::try_from(ours.len()).unwrap_or(i64::MAX),
        ..Findings::default()
    };
    let before = recorded(app, &ours).await?;
    for (listed, found) in &ours {
        let Some(found) = found.as_ref().filter(|_| !before.contains_key(&listed.id)) else {
            continue;
        };
        let report = PaymentIntentReport::Succeeded(listed.capture.clone());
        let answer = AttemptAnswer {
            attempt: found.attempt,
            reference: listed.reference.clone(),
            report: StripeReport::PaymentIntent(report),
            settled_by: SettledBy::Reconciliation,
        };
        let change = settlement::settle_answer(app, answer).await?;
        findings.healed.extend(change.map(Healed::from));
    }
    findings.healed.extend(settle_refunds(app, &ours).await?);
    let recorded = recorded(app, &ours).await?;
    for (listed, _) in &ours {
        let ours = recorded.get(&listed.id);
        if let Some(sums) = sums(listed, ours) {
            findings.add(&sums);
        }
        let opened = open_differences(app, listed, ours).await?;
        findings.discrepancies.extend(opened);
    }
    Ok(Compared {
        findings,
        next_after: page.next_after,
    })
}

/// Settles how the refunds of those stand of which Stripe has given back more or less than is
/// recorded.
async fn settle_refunds(
    app: &App,
    ours: &[(ListedCapture, Option<FoundAttempt>)],
) -> Result<Vec<Healed>> {
    let recorded = recorded(app, ours).await?;
    let mut healed = Vec::new();
    for (listed, _) in ours {
        let ours = recorded.get(&listed.id);
        if ours.is_some_and(|ours| ours.refunded != listed.refunded) {
            let refunds = app.stripe.list_refunds(&listed.id).await?;
            let changes = settlement::settle_refunds(app, refunds).await?;
            healed.extend(changes.into_iter().map(Healed::from));
        }
    }
    Ok(healed)
}

/// Those that are about an attempt of ours, or say that they are ours, with the attempt.
async fn ours(
    app: &App,
    listed: Vec<ListedCapture>,
) -> Result<Vec<(ListedCapture, Option<FoundAttempt>)>> {
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
        let found = found.remove(&listed.id);
        (found.is_some() || listed.reference.is_ours()).then_some((listed, found))
    });
    Ok(ours.collect())
}

async fn recorded(
    app: &App,
    ours: &[(ListedCapture, Option<FoundAttempt>)],
) -> Result<HashMap<String, RecordedCapture>> {
    let ids: Vec<_> = ours.iter().map(|(listed, _)| listed.id.as_str()).collect();
    let recorded = payments::list_captures(&mut app.acquire().await?, &ids).await?;
    let by_id = recorded
        .into_iter()
        .map(|recorded| (recorded.payment_intent_id.clone(), recorded));
    Ok(by_id.collect())
}

fn sums(listed: &ListedCapture, ours: Option<&RecordedCapture>) -> Option<Sums> {
    let money = listed.capture.money?;
    Some(Sums {
        currency: money.currency,
        captured: ours.map_or(0, |ours| ours.captured),
        refunded: ours.map_or(0, |ours| ours.refunded),
        disputed: ours.map_or(0, |ours| ours.disputed),
        stripe_captured: money.amount_minor,
        stripe_refunded: listed.refunded,
    })
}

/// Opens a discrepancy where Stripe has captured what is not recorded, or another amount, or has
/// given back more or less than is recorded. A refund that Stripe is being asked for is still to
/// be settled, and counts as no difference.
async fn open_differences(
    app: &App,
    listed: &ListedCapture,
    ours: Option<&RecordedCapture>,
) -> Result<Option<DiscrepancyId>> {
    let captured = listed.capture.money.map(|money| money.amount_minor);
    let kind = match ours {
        None => "capture_unrecorded",
        Some(ours) if captured != Some(ours.captured) => "capture_differs",
        Some(ours) if listed.refunded != ours.refunded && !ours.is_refund_open => "refund_differs",
        Some(_) => return Ok(None),
    };
    let discrepancy = NewDiscrepancy {
        kind,
        subject: &listed.id,
        booking_id: ours.map(|ours| ours.booking_id),
        ours: ours.map_or(
            Value::Null,
            |ours| json!({ "captured": ours.captured, "refunded": ours.refunded }),
        ),
        theirs: json!({ "said": listed.capture.statement(), "refunded": listed.refunded }),
    };
    discrepancies::open(&mut app.acquire().await?, &discrepancy, app.now()).await
}
