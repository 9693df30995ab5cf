//! Checkout Sessions whose end we have not heard of.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::compared::Compared;
use crate::app::App;
use crate::domain::attempt::AttemptStatus;
use crate::domain::checkout::CheckoutReport;
use crate::domain::ids::DiscrepancyId;
use crate::domain::payment::SettledBy;
use crate::domain::reconciliation::{Findings, Healed};
use crate::domain::stripe_report::{AttemptReference, StripeReport};
use crate::error::Result;
use crate::gateways::stripe::lists::PageOf;
use crate::gateways::stripe::{RetrievedSession, SessionLook};
use crate::repositories::attempts::{self, FoundAttempt};
use crate::repositories::discrepancies::{self, NewDiscrepancy};
use crate::settlement::{self, AttemptAnswer};

/// Settles what a page of them says, where that is news; one that says that it is ours and is paid,
/// and of which there is no attempt here, is left to a person.
pub(super) async fn compare(app: &App, page: PageOf<'_>) -> Result<Compared> {
    let page = app.stripe.list_sessions(page).await?;
    let references: Vec<_> = page.items.iter().map(RetrievedSession::reference).collect();
    let found = attempts::find_for(&mut app.acquire().await?, &references).await?;
    let found: HashMap<&str, &FoundAttempt> = found
        .iter()
        .map(|found| (found.found_for.as_str(), found))
        .collect();
    let mut findings = Findings::default();
    for (session, reference) in page.items.iter().zip(references) {
        let SessionLook::Settled(report) = session.look(app.now()) else {
            continue;
        };
        let id = reference.session_id.as_deref().unwrap_or_default();
        match found.get(id) {
            Some(found) => {
                findings.checked = findings.checked.saturating_add(1);
                if is_news(found.status, &report) {
                    let answer = AttemptAnswer {
                        attempt: found.attempt,
                        reference,
                        report: StripeReport::Checkout(report),
                        settled_by: SettledBy::Reconciliation,
                    };
                    let change = settlement::settle_answer(app, answer).await?;
                    findings.healed.extend(change.map(Healed::from));
                }
            }
            None if reference.is_ours() => {
                findings
                    .discrepancies
                    .extend(leave(app, &reference, &report).await?);
            }
            None => {}
        }
    }
    Ok(Compared {
        findings,
        next_after: page.next_after,
    })
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
        kind: "session_unmatched",
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
