//! Payments of ours that were on no page of Stripe's, and captures that a person was to look at:
//! Stripe is asked about each by itself.

use futures_util::future::join_all;

use super::captures::{self, CAPTURE_UNSETTLED, about_one};
use super::compared::{Compared, Uncompared};
use super::settling::Settling;
use super::sides::{self, KINDS};
use crate::app::App;
use crate::domain::reconciliation::{Findings, Reconciliation};
use crate::domain::stripe_report::Change;
use crate::error::Result;
use crate::gateways::stripe::StripeError;
use crate::gateways::stripe::lists::ListedCapture;
use crate::repositories::captures::{self as recorded_captures, Expected};

/// So many are asked about in one go; the next goes on after them.
const ASKED_MAX: usize = 100;
/// So many at once.
const ASKED_AT_ONCE: usize = 20;

/// What Stripe has answered about PaymentIntents.
struct Answers {
    captured: Vec<ListedCapture>,
    unknown: Vec<String>,
    /// What could not be looked at.
    findings: Findings,
}

/// Compares some of the payments that were on no page, newest first.
pub(super) async fn compare_unseen(
    app: &App,
    running: &Reconciliation,
    after: Option<&str>,
) -> Result<Compared, Uncompared> {
    let after_id = after.and_then(|after| after.parse().ok());
    let mut db = app.pools.reporting.acquire().await?;
    let expected = expected(running);
    let unseen = recorded_captures::list_unseen(&mut db, expected, after_id, limit()).await?;
    drop(db);
    let is_full = unseen.len() == ASKED_MAX;
    if is_full && after.is_none() {
        tracing::error!("Stripe has not listed {ASKED_MAX} payments of ours, if not more");
    }
    let last = unseen.last().map(|last| last.payment_id.to_string());
    let ids = unseen.into_iter().map(|unseen| unseen.payment_intent_id);
    let findings = compare_all(app, &ids.collect::<Vec<_>>()).await?;
    Ok(Compared::new(findings, last.filter(|_| is_full)))
}

/// Compares some of the others that a person was to look at.
pub(super) async fn compare_doubtful(
    app: &App,
    running: &Reconciliation,
    after: Option<&str>,
) -> Result<Compared, Uncompared> {
    let kinds = [&KINDS[..], &[CAPTURE_UNSETTLED]].concat();
    let mut db = app.pools.reporting.acquire().await?;
    let expected = expected(running);
    let doubtful =
        recorded_captures::list_doubtful(&mut db, &kinds, expected, after, limit()).await?;
    drop(db);
    let findings = Findings {
        // They were made before the time that is added up.
        sums: Vec::new(),
        ..compare_all(app, &doubtful).await?
    };
    let last = doubtful.last().filter(|_| doubtful.len() == ASKED_MAX);
    Ok(Compared::new(findings, last.cloned()))
}

fn expected(running: &Reconciliation) -> Expected {
    Expected {
        since: running.since,
        by: running.id,
        begun_at: running.created_at,
    }
}

fn limit() -> i64 {
    i64::try_from(ASKED_MAX).unwrap_or(i64::MAX)
}

async fn compare_all(app: &App, ids: &[String]) -> Result<Findings, Uncompared> {
    let answers = ask(app, ids).await?;
    let unknown: Vec<_> = answers.unknown.iter().map(String::as_str).collect();
    let unknown = captures::recorded(app, &unknown).await?.into_values();
    let unknown = sides::conclude_unknown(app, unknown).await?;
    let captured = captures::settle_and_compare(app, answers.captured).await?;
    Ok(answers.findings.and(unknown).and(captured))
}

/// Asks about each. A key that may not ask is refused all of them; what else is wrong with one of
/// them says nothing of the others, and is left to a person.
async fn ask(app: &App, ids: &[String]) -> Result<Answers, Uncompared> {
    let (mut captured, mut unknown) = (Vec::new(), Vec::new());
    let mut settling = Settling::new(app, CAPTURE_UNSETTLED);
    for some in ids.chunks(ASKED_AT_ONCE) {
        let asked = some
            .iter()
            .map(|id| app.stripe.retrieve_capture(id, app.now()));
        for (id, answer) in some.iter().zip(join_all(asked).await) {
            match answer {
                Ok(Some(capture)) => captured.push(capture),
                Ok(None) => unknown.push(id.clone()),
                Err(
                    error @ StripeError::Refused {
                        status: 401 | 403, ..
                    },
                ) => {
                    return Err(Uncompared::NotListed(error));
                }
                Err(error) => {
                    let unsettled: Result<Option<Change>> = Err(about_one(error));
                    settling.note(id, unsettled).await?;
                }
            }
        }
    }
    Ok(Answers {
        captured,
        unknown,
        findings: settling.end().await?,
    })
}
