//! What dead processes have left is finished: attempts without an answer, and holds without an end.

use chrono::TimeDelta;

use crate::app::App;
use crate::domain::job::{Job, RETRY_PAUSE_MAX};
use crate::error::Result;
use crate::repositories::{bookings, idempotency_keys, jobs, unanswered_attempts};

/// An attempt that has had no answer for longer than a request may take was left by a process that
/// died.
const UNFINISHED_AFTER: TimeDelta = TimeDelta::seconds(40);
/// A hold whose end is past by so much has lost its job.
const OVERDUE_AFTER: TimeDelta = TimeDelta::minutes(2);
/// How much is looked at in one sweep.
const SWEEP_MAX: i64 = 500;

/// Enqueues what no job is about to finish, and has what has failed tried again soon. And forgets
/// jobs that others have replaced, and idempotency keys that are too old to count.
pub async fn sweep(app: &App) -> Result<()> {
    let now = app.now();
    let mut db = app.acquire().await?;
    let unfinished =
        unanswered_attempts::list_unfinished(&mut db, now - UNFINISHED_AFTER, SWEEP_MAX).await?;
    let overdue = bookings::list_overdue(&mut db, now - OVERDUE_AFTER, SWEEP_MAX).await?;
    let finish = unfinished
        .into_iter()
        .map(|booking_id| Job::FinishCheckout { booking_id });
    let end = overdue
        .into_iter()
        .map(|booking_id| Job::EndHold { booking_id });
    let lost: Vec<_> = finish.chain(end).map(|job| job.at(now)).collect();
    jobs::enqueue(&mut db, &lost).await?;
    jobs::bring_forward(&mut db, now + RETRY_PAUSE_MAX).await?;
    jobs::forget_replaced(&mut db).await?;
    idempotency_keys::forget(&mut db, now).await
}
