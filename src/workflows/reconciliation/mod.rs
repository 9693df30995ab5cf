//! Reconciliation: all that Stripe has of a stretch of time is compared with our records. What is
//! missing here is settled on the one path there is; what cannot be explained is left to a person.

mod captures;
mod compared;
mod disputes;
mod events;
mod payments;
mod refunds;
mod sessions;
mod settling;
mod sides;
mod unlisted;

use chrono::{DateTime, TimeDelta, Utc};

use compared::{Compared, Uncompared};
pub use unlisted::missing_rights;

use crate::app::App;
use crate::connection::Connection;
use crate::domain::ids::ReconciliationId;
use crate::domain::job::Job;
use crate::domain::reconciliation::{Findings, Progress, Reconciliation, ReconciliationState};
use crate::error::{Error, Result};
use crate::gateways::stripe::lists::{PageOf, StripeList};
use crate::repositories::reconciliations::{Recent, Stretch};
use crate::repositories::{jobs, reconciliations};

/// What Stripe has made since then is compared, if nobody says otherwise: sessions live for less.
const LOOK_BACK: TimeDelta = TimeDelta::days(1);
/// How long Stripe keeps events, and thus how far back it makes sense to look.
/// <https://docs.stripe.com/api/events>
pub const LOOK_BACK_MAX: TimeDelta = TimeDelta::days(30);
/// Where several processes would begin one every so often, no more are begun.
const PERIOD_MIN: TimeDelta = TimeDelta::minutes(4);
/// For so long one that is under way keeps the next from being begun. One that takes longer may be
/// held up at a step that the next need not be held up at: what was never delivered comes first.
const UNDER_WAY_MAX: TimeDelta = TimeDelta::minutes(30);
/// How long what was found can be looked at.
const KEPT_FOR: TimeDelta = TimeDelta::days(30);
/// Pages that one job compares; then the next goes on.
const PAGES_OF_A_JOB: usize = 10;
/// One that is not over by then is given up.
const GIVEN_UP_AFTER: TimeDelta = TimeDelta::hours(6);

/// Begins a reconciliation of what Stripe has made since `since`, or in the last day, and of all
/// undelivered events that it keeps, to be done in the background once the caller commits.
pub async fn begin(
    db: &mut Connection,
    since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<Reconciliation> {
    let stretch = Stretch {
        since: since.unwrap_or(now - LOOK_BACK),
        events_since: None,
    };
    begin_with(db, stretch, now).await
}

async fn begin_with(
    db: &mut Connection,
    stretch: Stretch,
    now: DateTime<Utc>,
) -> Result<Reconciliation> {
    let id = reconciliations::insert(db, stretch, now).await?;
    let job = Job::Reconcile {
        reconciliation_id: id,
    };
    jobs::enqueue(db, &[job.at(now)]).await?;
    let begun = reconciliations::find(db, id).await?;
    begun.ok_or_else(|| Error::fault(format!("the reconciliation {id} has gone")))
}

/// Begins one of what Stripe has made in the last day, and of the undelivered events that are not
/// decided yet, unless one was begun a moment ago or is still under way. One whose job was lost is
/// given up. Commits.
pub async fn begin_if_due(app: &App) -> Result<()> {
    let now = app.now();
    let mut tx = app.begin().await?;
    reconciliations::forget(&mut tx, now - KEPT_FOR).await?;
    for id in reconciliations::give_up(&mut tx, now - GIVEN_UP_AFTER, now).await? {
        tracing::error!("the reconciliation {id} has taken too long and is given up");
    }
    let recent = Recent {
        begun_since: now - PERIOD_MIN,
        running_since: now - UNDER_WAY_MAX,
    };
    if !reconciliations::is_one_recent(&mut tx, recent, now).await? {
        let stretch = Stretch {
            since: now - LOOK_BACK,
            events_since: events::next_since(&mut tx, now).await?,
        };
        begin_with(&mut tx, stretch, now).await?;
    }
    app.commit(tx).await
}

/// Goes on with a reconciliation, for some pages; the next job goes on after them. One that is over
/// is left alone. Commits after each page, so that whatever breaks it off costs one page.
pub async fn go_on(app: &App, id: ReconciliationId) -> Result<()> {
    for _ in 0..PAGES_OF_A_JOB {
        let found = reconciliations::find(&mut app.acquire().await?, id).await?;
        let running = found.filter(|found| found.state == ReconciliationState::Running);
        let Some(running) = running else {
            return Ok(());
        };
        let after = if app.now() > running.created_at + GIVEN_UP_AFTER {
            tracing::error!("the reconciliation {id} has taken too long and is given up");
            Reconciliation {
                state: ReconciliationState::Failed,
                ..running.clone()
            }
        } else {
            compare_page(app, &running).await?
        };
        let mut db = app.acquire().await?;
        if !reconciliations::save(&mut db, &running, &after, app.now()).await? {
            return Ok(());
        }
        if after.state == ReconciliationState::Done {
            say_how_much_more(&after);
        }
    }
    let next = Job::Reconcile {
        reconciliation_id: id,
    };
    jobs::enqueue(&mut app.acquire().await?, &[next.at(app.now())]).await
}

/// Compares a page. A list that Stripe does not give for good is left to a person, and the next
/// step gone on with; where it may be given later, the page is to be taken up again.
async fn compare_page(app: &App, running: &Reconciliation) -> Result<Reconciliation> {
    let list = list_of(&running.progress);
    let compared = match compare_step(app, running).await {
        Ok(compared) => {
            if let (Some(list), None) = (list, &compared.next_after) {
                unlisted::note_given(app, list).await?;
            }
            compared
        }
        Err(Uncompared::NotListed(error)) if error.is_lasting() => {
            unlisted::leave(app, list.unwrap_or(StripeList::Captures), &error).await?
        }
        Err(Uncompared::NotListed(error)) => return Err(error.into()),
        Err(Uncompared::Failed(error)) => return Err(error),
    };
    let next = match compared.next_after {
        Some(id) => Some(running.progress.rest_after(id)),
        None => running.progress.next_step(),
    };
    let state = if next.is_some() {
        ReconciliationState::Running
    } else {
        ReconciliationState::Done
    };
    let events_decided_to = if list == Some(StripeList::Events) {
        compared.events_decided_to
    } else {
        running.events_decided_to
    };
    Ok(Reconciliation {
        state,
        events_decided_to,
        progress: next.unwrap_or_else(|| running.progress.clone()),
        findings: running.findings.clone().and(compared.findings),
        ..running.clone()
    })
}

async fn compare_step(app: &App, running: &Reconciliation) -> Result<Compared, Uncompared> {
    let of = |after| PageOf {
        since: running.since,
        after,
    };
    match &running.progress {
        Progress::Events(after) => {
            // However little else is compared: what was never delivered is known to nobody.
            let oldest = app.now() - LOOK_BACK_MAX;
            let since = running
                .events_since
                .map_or(oldest, |since| since.max(oldest));
            let after = after.as_deref();
            events::compare(app, running, PageOf { since, after }).await
        }
        Progress::Sessions(after) => sessions::compare(app, of(after.as_deref())).await,
        Progress::Captures(after) => captures::compare(app, of(after.as_deref())).await,
        Progress::Refunds(after) => refunds::compare(app, of(after.as_deref())).await,
        Progress::Disputes(after) => disputes::compare(app, of(after.as_deref())).await,
        Progress::Payments(after) => payments::compare_unseen(app, running, after.as_deref()).await,
        Progress::Doubtful(after) => {
            payments::compare_doubtful(app, running, after.as_deref()).await
        }
    }
}

/// The list that a step goes through, if it does.
fn list_of(progress: &Progress) -> Option<StripeList> {
    match progress {
        Progress::Events(_) => Some(StripeList::Events),
        Progress::Sessions(_) => Some(StripeList::Sessions),
        Progress::Captures(_) => Some(StripeList::Captures),
        Progress::Refunds(_) => Some(StripeList::Refunds),
        Progress::Disputes(_) => Some(StripeList::Disputes),
        Progress::Payments(_) | Progress::Doubtful(_) => None,
    }
}

fn say_how_much_more(over: &Reconciliation) {
    let Findings {
        healed_more,
        discrepancies_more,
        ..
    } = over.findings;
    if healed_more > 0 || discrepancies_more > 0 {
        tracing::warn!(
            "the reconciliation {} has put {healed_more} more right than it lists, and found \
             {discrepancies_more} more discrepancies",
            over.id
        );
    }
}
