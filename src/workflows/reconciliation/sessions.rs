//! Checkout Sessions whose end we have not heard of.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::compared::{Compared, Uncompared};
use super::settling::Settling;
use crate::app::App;
use crate::domain::attempt::AttemptStatus;
use crate::domain::checkout::CheckoutReport;
use crate::domain::ids::DiscrepancyId;
use crate::domain::payment::SettledBy;
use crate::domain::stripe_report::{AttemptReference, Change, StripeReport};
use crate::error::Result;
use crate::gateways::stripe::lists::PageOf;
use crate::gateways::stripe::{RetrievedSession, SessionLook};
use crate::repositories::attempts::{self, FoundAttempt};
use crate::repositories::discrepancies::{self, NewDiscrepancy};
use crate::settlement::{self, AttemptAnswer};

/// As what a session is left to a person that is paid and has no attempt here.
const UNMATCHED: &str = "session_unmatched";

/// Settles what a page of them says, where that is news; one that says that it is ours and is paid,
/// and of which there is no attempt here, is left to a person.
pub(super) async fn compare(app: &App, page: PageOf<'_>) -> Result<Compared, Uncompared> {
    let page = app.stripe.list_sessions(page).await;
    let page = page.map_err(Uncompared::NotListed)?;
    let references: Vec<_> = page.items.iter().map(RetrievedSession::reference).collect();
    let found = attempts::find_for(&mut app.acquire().await?, &references).await?;
    let found: HashMap<&str, &FoundAttempt> = found
        .iter()
        .map(|found| (found.found_for.as_str(), found))
        .collect();
    let mut settling = Settling::new(app, "session_unsettled");
    let mut matched = Vec::new();
    for (session, reference) in page.items.iter().zip(references) {
        let SessionLook::Settled(report) = session.look(app.now()) else {
            continue;
        };
        let id = reference.session_id.clone().unwrap_or_default();
        match found.get(id.as_str()) {
            Some(found) => {
                let settled = settle(app, found, reference, report).await;
                settling.note(&id, settled).await?;
                matched.push(id);
            }
            None if reference.is_made_by(&app.config.stripe.app_name) => {
                let left = leave(app, &reference, &report).await?;
                settling.findings.discrepancies.extend(left);
            }
            None => {}
        }
    }
    if !matched.is_empty() {
        discrepancies::heal(&mut app.acquire().await?, UNMATCHED, &matched).await?;
    }
    Ok(Compared::new(settling.end().await?, page.next_after))
}

/// Settles what a session says of an attempt of ours, if that is news.
async fn settle(
    app: &App,
    found: &FoundAttempt,
    reference: AttemptReference,
    report: CheckoutReport,
) -> Result<Option<Change>> {
    if !is_news(found.status, &report) {
        return Ok(None);
    }
    let answer = AttemptAnswer {
        attempt: found.attempt,
        reference,
        report: StripeReport::Checkout(report),
        settled_by: SettledBy::Reconciliation,
    };
    settlement::settle_answer(app, answer).await
}

/// Whether a report may change an attempt that stands so. What was paid before is compared by its
/// PaymentIntents.
fn is_news(status: AttemptStatus, report: &CheckoutReport) -> bool {
    match (status, report) {
        (AttemptStatus::Paid, _)
        | (AttemptStatus::Processing, CheckoutReport::AwaitingFunds)
        | (
            AttemptStatus::Expired | AttemptStatus::Failed,
            CheckoutReport::AwaitingFunds
            | CheckoutReport::PaymentFailed
            | CheckoutReport::Expired
            | CheckoutReport::Refused
            | CheckoutReport::Unknown
            | CheckoutReport::Unexplained(_),
        ) => false,
        (AttemptStatus::Creating | AttemptStatus::Open | AttemptStatus::Processing, _)
        | (AttemptStatus::Expired | AttemptStatus::Failed, CheckoutReport::Paid(_)) => true,
    }
}

/// Opens a discrepancy for a session that was paid and has no attempt here.
async fn leave(
    app: &App,
    reference: &AttemptReference,
    report: &CheckoutReport,
) -> Result<Option<DiscrepancyId>> {
    let CheckoutReport::Paid(capture) = report else {
        return Ok(None);
    };
    let discrepancy = NewDiscrepancy {
        kind: UNMATCHED,
        subject: reference
            .session_id
            .as_deref()
            .unwrap_or("a session without an id"),
        booking_id: None,
        ours: Value::Null,
        theirs: json!({ "attemptId": reference.attempt_id, "said": capture.statement() }),
    };
    discrepancies::open(&mut app.acquire().await?, &discrepancy, app.now()).await
}
