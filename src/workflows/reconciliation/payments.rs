//! Payments of ours that were on no page of Stripe's, and captures that a person was to look at:
//! Stripe is asked about each by itself.

use futures_util::future::join_all;

use super::captures::{self, UNSETTLED};
use super::compared::Compared;
use super::sides::{self, KINDS, UNKNOWN_TO_STRIPE};
use crate::app::App;
use crate::domain::reconciliation::{Findings, Reconciliation};
use crate::error::Result;
use crate::gateways::stripe::StripeError;
use crate::gateways::stripe::lists::ListedCapture;
use crate::repositories::captures::{self as recorded_captures, Expected};

/// So many of either are asked about in one reconciliation. Those that nobody has been told of come
/// first, so that the next goes on with the others.
const ASKED_MAX: usize = 100;
/// So many at once.
const ASKED_AT_ONCE: usize = 20;

/// What Stripe has answered about PaymentIntents.
#[derive(Default)]
struct Answers {
    captured: Vec<ListedCapture>,
    unknown: Vec<String>,
}

/// Compares all of them in one go.
pub(super) async fn compare(app: &App, running: &Reconciliation) -> Result<Compared> {
    let expected = Expected {
        since: running.since,
        by: running.id,
        begun_at: running.created_at,
        unseen_as: UNKNOWN_TO_STRIPE,
    };
    let limit = i64::try_from(ASKED_MAX).unwrap_or(i64::MAX);
    let mut db = app.pools.reporting.acquire().await?;
    let unseen = recorded_captures::list_unseen(&mut db, expected, limit).await?;
    let kinds = [&KINDS[..], &[UNSETTLED]].concat();
    let begun_at = running.created_at;
    let doubtful = recorded_captures::list_doubtful(&mut db, &kinds, begun_at, limit).await?;
    drop(db);
    if unseen.len() == ASKED_MAX {
        tracing::error!("Stripe has not listed {ASKED_MAX} payments of ours, if not more");
    }
    let doubtful = doubtful.into_iter().filter(|id| !unseen.contains(id));
    let doubtful = compare_all(app, &doubtful.collect::<Vec<_>>()).await?;
    // They were made before the time that is added up.
    let doubtful = Findings {
        sums: Vec::new(),
        ..doubtful
    };
    Ok(Compared {
        findings: doubtful.and(compare_all(app, &unseen).await?),
        next_after: None,
    })
}

async fn compare_all(app: &App, ids: &[String]) -> Result<Findings> {
    let Answers { captured, unknown } = ask(app, ids).await?;
    let unknown: Vec<_> = unknown.iter().map(String::as_str).collect();
    let unknown = captures::recorded(app, &unknown).await?.into_values();
    let findings = sides::conclude_unknown(app, unknown).await?;
    Ok(findings.and(captures::settle_and_compare(app, captured).await?))
}

async fn ask(app: &App, ids: &[String]) -> Result<Answers> {
    let mut answers = Answers::default();
    for some in ids.chunks(ASKED_AT_ONCE) {
        let asked = some
            .iter()
            .map(|id| app.stripe.retrieve_capture(id, app.now()));
        for (id, answer) in some.iter().zip(join_all(asked).await) {
            match answer {
                Ok(Some(capture)) => answers.captured.push(capture),
                Ok(None) => answers.unknown.push(id.clone()),
                Err(error @ StripeError::Unavailable(_)) => return Err(error.into()),
                Err(error) => tracing::warn!("{id} cannot be looked at: {error}"),
            }
        }
    }
    Ok(answers)
}
