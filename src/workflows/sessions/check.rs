//! A session check: Stripe is asked how a session stands, and its answer is settled as an event
//! with the same words would be.

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tracing::Instrument;

use crate::app::{App, AppState};
use crate::domain::attempt::AttemptOfBooking;
use crate::domain::checkout::CheckoutReport;
use crate::domain::payment::SettledBy;
use crate::domain::stripe_report::{AttemptReference, Change, StripeReport};
use crate::error::{Error, Result};
use crate::gateways::stripe::{Lane, RetrievedSession, SessionLook, StripeError, Unanswered};
use crate::repositories::sessions;
use crate::settlement::{self, AttemptAnswer};

/// Stripe closes sessions a little late. After its own end of a session, and this, what it says of
/// the session is final.
pub(super) const AFTER_EXPIRY: TimeDelta = TimeDelta::minutes(5);
/// Between two looks at a session that is over and that nobody can explain.
const SECOND_LOOK: TimeDelta = TimeDelta::minutes(1);

/// Stripe is asked about one session at most once in this time for all buyers who want to know. In
/// between, our record is what there is to say.
const QUESTION_PAUSE: TimeDelta = TimeDelta::seconds(5);

/// Who asks at once, whoever else has asked: for them our record is not enough.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asker {
    /// Who has to know before seats are free.
    Fence,
    /// Who has to know what has become of a delayed payment.
    Background,
    /// An admin, for whom it is what they ask for.
    Admin,
}

impl Asker {
    fn settled_by(self) -> SettledBy {
        match self {
            Self::Fence | Self::Background => SettledBy::Release,
            Self::Admin => SettledBy::Admin,
        }
    }

    pub(super) fn lane(self) -> Lane {
        match self {
            Self::Fence => Lane::Expire,
            Self::Background => Lane::Background,
            Self::Admin => Lane::Verify,
        }
    }
}

/// A session, and when Stripe closes it by itself.
pub(super) struct OverdueSession<'a> {
    pub(super) id: &'a str,
    pub(super) expires_at: DateTime<Utc>,
}

/// Asks for a buyer who has come back, in a task of its own, which nobody's impatience breaks off,
/// unless this process is asking about this attempt already, or any has asked a moment ago. What
/// is returned closes when the answer is settled, or there is none, and says when Stripe may be
/// asked again.
pub(super) fn begin(
    app: &AppState,
    attempt: AttemptOfBooking,
    session_id: &str,
) -> watch::Receiver<DateTime<Utc>> {
    let again_at = app.now() + QUESTION_PAUSE;
    let (check, to_make) = app.session_checks.join(attempt.attempt_id, again_at);
    if let Some(under_way) = to_make {
        let (app, session_id) = (AppState::clone(app), session_id.to_owned());
        let work = async move {
            match ask_in_turn(&app, attempt, &session_id).await {
                Ok(asked_at) => {
                    under_way.send_replace(asked_at + QUESTION_PAUSE);
                }
                // That Stripe does not answer is not the buyer's concern.
                Err(error) => tracing::warn!("cannot ask how a session stands: {error}"),
            }
            drop(under_way);
        };
        tokio::spawn(work.in_current_span());
    }
    check
}

/// What a check has come to.
pub(super) struct Checked {
    pub(super) look: SessionLook,
    /// What that has changed.
    pub(super) change: Option<Change>,
    /// Why Stripe does not say how it stands, if it does not.
    pub(super) refusal: Option<Error>,
}

impl Checked {
    fn unexplained(report: CheckoutReport, refusal: Option<Error>) -> Self {
        Self {
            look: SessionLook::Unexplained(report),
            change: None,
            refusal,
        }
    }
}

/// Asks for all buyers who want to know, if it is time; returns when Stripe was asked. Commits.
async fn ask_in_turn(
    app: &App,
    attempt: AttemptOfBooking,
    session_id: &str,
) -> Result<DateTime<Utc>> {
    let (id, now) = (attempt.attempt_id, app.now());
    let mut db = app.acquire().await?;
    let asked_at = sessions::claim_question(&mut db, id, QUESTION_PAUSE, now).await?;
    drop(db);
    if let Some(asked_at) = asked_at {
        return Ok(asked_at);
    }
    let answer = app.stripe.retrieve_session(session_id, Lane::Verify).await;
    if let Err(StripeError::Unavailable(Unanswered::NotSent(_))) = answer {
        // Who asks next, here or elsewhere, may come through.
        let mut db = app.acquire().await?;
        sessions::withdraw_question(&mut db, id, now).await?;
    }
    settle(app, attempt, session_id, answer, SettledBy::Verify).await?;
    Ok(now)
}

/// Asks how a session stands, and settles what it says. What nobody can explain is not settled:
/// that is [`settle_unexplained`]'s. Commits.
pub(super) async fn make(
    app: &App,
    attempt: AttemptOfBooking,
    session_id: &str,
    asker: Asker,
) -> Result<SessionLook> {
    let checked = make_and_tell(app, attempt, session_id, asker).await?;
    Ok(checked.look)
}

/// The same, and says what that has changed.
pub(super) async fn make_and_tell(
    app: &App,
    attempt: AttemptOfBooking,
    session_id: &str,
    asker: Asker,
) -> Result<Checked> {
    let mut db = app.acquire().await?;
    sessions::note_question(&mut db, attempt.attempt_id, app.now()).await?;
    drop(db);
    let answer = app.stripe.retrieve_session(session_id, asker.lane()).await;
    settle(app, attempt, session_id, answer, asker.settled_by()).await
}

async fn settle(
    app: &App,
    attempt: AttemptOfBooking,
    session_id: &str,
    answer: Result<RetrievedSession, StripeError>,
    settled_by: SettledBy,
) -> Result<Checked> {
    let session = match answer {
        Ok(session) => session,
        Err(error) if error.is_unknown() => {
            return Ok(Checked::unexplained(CheckoutReport::Unknown, None));
        }
        Err(error) => match unexplained(&error) {
            Some(why) => {
                let report = CheckoutReport::Unexplained(why);
                return Ok(Checked::unexplained(report, Some(error.into())));
            }
            None => return Err(error.into()),
        },
    };
    let look = session.look(app.now());
    let mut change = None;
    if let SessionLook::Settled(report) = &look {
        let reference = AttemptReference {
            session_id: Some(session_id.to_owned()),
            payment_intent_id: session.reference().payment_intent_id,
            ..AttemptReference::default()
        };
        let answer = AttemptAnswer {
            attempt,
            reference,
            report: StripeReport::Checkout(report.clone()),
            settled_by,
        };
        change = settlement::settle_answer(app, answer).await?;
    }
    Ok(Checked {
        look,
        change,
        refusal: None,
    })
}

/// What an error says of a session, where asking again may give the same for ever. A refused API
/// key (401) says nothing of it, and is for `holdfast doctor`.
fn unexplained(error: &StripeError) -> Option<&'static str> {
    match error {
        StripeError::Refused { status: 401, .. }
        | StripeError::Unavailable(_)
        | StripeError::ReplayedFailure(_) => None,
        StripeError::Refused { .. } => Some("Stripe refuses to say how it stands"),
        StripeError::Unusable { .. } => Some("what Stripe says of it cannot be read"),
    }
}

/// Settles what nobody can explain, if the session has been over for a while, and an earlier look
/// after that has found the same. Else it is an error, so that the queue looks again: what is
/// reserved is kept, for the session may come back. Commits.
pub(super) async fn settle_unexplained(
    app: &App,
    attempt: AttemptOfBooking,
    session: &OverdueSession<'_>,
    report: CheckoutReport,
) -> Result<()> {
    let now = app.now();
    let again = || Error::ProviderUnavailable(format!("the session is unexplained: {report:?}"));
    if now <= session.expires_at + AFTER_EXPIRY {
        return Err(again());
    }
    let mut db = app.acquire().await?;
    let since = sessions::note_unexplained(&mut db, attempt.attempt_id, now).await?;
    drop(db);
    if now < since + SECOND_LOOK {
        return Err(again());
    }
    let reference = AttemptReference {
        session_id: Some(session.id.to_owned()),
        ..AttemptReference::default()
    };
    let answer = AttemptAnswer {
        attempt,
        reference,
        report: StripeReport::Checkout(report),
        settled_by: SettledBy::Release,
    };
    settlement::settle_answer(app, answer).await.map(drop)
}

/// Settles that a session can no longer be paid. Commits.
pub(super) async fn settle_expiry(
    app: &App,
    attempt: AttemptOfBooking,
    session_id: Option<&str>,
) -> Result<()> {
    let reference = AttemptReference {
        session_id: session_id.map(str::to_owned),
        ..AttemptReference::default()
    };
    let answer = AttemptAnswer {
        attempt,
        reference,
        report: StripeReport::Checkout(CheckoutReport::Expired),
        settled_by: SettledBy::Release,
    };
    settlement::settle_answer(app, answer).await.map(drop)
}
