//! Lists that Stripe does not give, for good: a person has to look, and all else is gone on with.

use futures_util::future::join_all;
use serde_json::json;

use super::compared::Compared;
use crate::app::App;
use crate::domain::reconciliation::Findings;
use crate::error::Result;
use crate::gateways::stripe::StripeError;
use crate::gateways::stripe::lists::StripeList;
use crate::repositories::discrepancies::{self, NewDiscrepancy};

/// As what such a list is left to a person.
const NOT_LISTED: &str = "list_refused";

/// Leaves to a person that a list, or the rest of it, was not compared, and why. Each
/// reconciliation that lacks it says so, also where a person knows of it, or has dismissed it.
pub(super) async fn leave(app: &App, list: StripeList, error: &StripeError) -> Result<Compared> {
    let subject = subject(list);
    let discrepancy = NewDiscrepancy {
        kind: NOT_LISTED,
        subject: &subject,
        booking_id: None,
        ours: json!({ "notCompared": not_compared(list), "toDo": to_do(list, error) }),
        theirs: json!({ "said": error.reason() }),
    };
    let mut db = app.acquire().await?;
    let opened = discrepancies::open(&mut db, &discrepancy, app.now()).await?;
    if opened.is_some() {
        tracing::error!("Stripe does not list {subject}, which is not compared: {error}");
    } else {
        tracing::warn!("Stripe still does not list {subject}: {error}");
    }
    let standing = discrepancies::find_standing(&mut db, NOT_LISTED, &subject).await?;
    let findings = Findings {
        discrepancies: standing.into_iter().collect(),
        without_sums: list == StripeList::Captures,
        ..Findings::default()
    };
    Ok(Compared::new(findings, None))
}

/// Notes that all of a list was given.
pub(super) async fn note_given(app: &App, list: StripeList) -> Result<()> {
    let mut db = app.acquire().await?;
    discrepancies::heal(&mut db, NOT_LISTED, &[subject(list)]).await
}

/// What the key is not given to read of all that is compared, by the names in Stripe's dashboard;
/// where Stripe says something else than that, by the list and what it says.
pub async fn missing_rights(app: &App) -> Vec<String> {
    let asked = StripeList::ALL.map(async |list| (list, app.stripe.probe_list(list).await));
    let missing = join_all(asked).await.into_iter();
    let missing = missing.filter_map(|(list, answer)| match answer {
        Ok(()) => None,
        Err(StripeError::Refused { status: 403, .. }) => Some(list.rights().to_owned()),
        Err(error) => Some(format!("{} ({error})", subject(list))),
    });
    missing.collect()
}

fn subject(list: StripeList) -> String {
    format!("/v1{}", list.path())
}

fn not_compared(list: StripeList) -> &'static str {
    match list {
        StripeList::Events => "events that were not delivered",
        StripeList::Sessions => "payment pages whose end was not heard of",
        StripeList::Captures => "payments, and the sums: they are left out",
        StripeList::Refunds => "refunds whose payments are older",
        StripeList::Disputes => "disputes",
    }
}

fn to_do(list: StripeList, error: &StripeError) -> String {
    match error {
        StripeError::Refused { status: 403, .. } => format!(
            "give the restricted key the right to read {} in Stripe's dashboard",
            list.rights()
        ),
        StripeError::Refused { .. }
        | StripeError::Unusable { .. }
        | StripeError::Unavailable(_)
        | StripeError::ReplayedFailure(_) => {
            "see in the log which request it was, and look it up in Stripe's dashboard".to_owned()
        }
    }
}
