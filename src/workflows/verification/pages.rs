//! The pages of a replay, each in a transaction of its own.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::Executor;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use super::copies::begin;
use super::findings::{Findings, add};
use super::kept::{compare_charges, compare_disputes, compare_failures};
use super::unmatched::Unmatched;
use super::wholes;
use crate::connection::Connection;
use crate::domain::booking_past::BookingPast;
use crate::domain::difference::Difference;
use crate::domain::ids::BookingId;
use crate::error::{Error, Result, explain};
use crate::repositories::database::{self, Schema};
use crate::repositories::replays::{self, Stretch};
use crate::repositories::scratch::{self, Given, ScratchSchema};
use crate::repositories::verification;
use crate::settlement::{self, ReadEvent};

/// Bookings that are replayed in one transaction.
const BOOKINGS: i64 = 1_000;
/// What cannot be replayed is looked for in pages that are smaller by this, and after it they grow
/// again by this.
const SMALLER: i64 = 8;
/// Pages after which the copies are cleared: that takes longer than a page does.
const CLEARED_EVERY: u32 = 20;

/// A replay that is under way.
pub(super) struct Replay<'a> {
    session: Connection,
    copies: &'a ScratchSchema,
    now: DateTime<Utc>,
    /// The schema of the tables that were copied.
    schema: Schema,
    unmatched: Unmatched,
    after: Option<BookingId>,
    /// The last booking that was there at the beginning.
    until: Option<BookingId>,
    limit: i64,
    pages: u32,
    pub(super) findings: &'a mut Findings,
}

/// What was found in a page.
struct Found {
    events: usize,
    differences: Vec<Difference>,
}

impl<'a> Replay<'a> {
    /// Goes through the events that were found to be of no booking, first.
    pub(super) async fn begin(
        mut session: Connection,
        copies: &'a ScratchSchema,
        now: DateTime<Utc>,
        findings: &'a mut Findings,
    ) -> Result<Self> {
        let schema = database::schema(&mut session).await?;
        begin(&mut session, copies).await?;
        let until = replays::find_last(&mut session).await?;
        let mut unmatched = Unmatched::begin(&mut session, now).await?;
        let mut place = None;
        loop {
            let last = unmatched.look_back(&mut session, place.as_ref(), findings);
            place = last.await?;
            session.execute("rollback").await?;
            if place.is_none() {
                break;
            }
            begin(&mut session, copies).await?;
        }
        Ok(Self {
            session,
            copies,
            now,
            schema,
            unmatched,
            after: None,
            until,
            limit: BOOKINGS,
            pages: 0,
            findings,
        })
    }

    /// How many bookings there are, about.
    pub(super) async fn estimate(&mut self) -> Result<u64> {
        begin(&mut self.session, self.copies).await?;
        let bookings = replays::estimate(&mut self.session).await?;
        self.session.execute("rollback").await?;
        Ok(bookings)
    }

    /// Goes through the next bookings; false if there are no more. What cannot be replayed is
    /// looked for, named, and left behind.
    pub(super) async fn go_on(&mut self) -> Result<bool> {
        let Some(until) = self.until else {
            return Ok(false);
        };
        begin(&mut self.session, self.copies).await?;
        let stretch = Stretch {
            after: self.after,
            until,
            limit: self.limit,
        };
        let ids = replays::list_bookings(&mut self.session, stretch).await?;
        let Some(last) = ids.last().copied() else {
            self.session.execute("rollback").await?;
            return Ok(false);
        };
        let found = self
            .replay(&ids)
            .with_subscriber(NoSubscriber::default())
            .await;
        // There is nothing to keep.
        self.session.execute("rollback").await?;
        match found {
            Ok(found) => {
                self.limit = self.limit.saturating_mul(SMALLER).min(BOOKINGS);
                self.keep(&ids, found);
            }
            Err(error) if error.is_database_unavailable() => return Err(error),
            Err(_) if ids.len() > 1 => {
                self.refuse_other_schema().await?;
                self.limit = self.limit.checked_div(SMALLER).unwrap_or(1).max(1);
                return Ok(true);
            }
            Err(error) => {
                self.refuse_other_schema().await?;
                let found = self.leave_behind(last, &error).await?;
                self.keep(&ids, found);
            }
        }
        self.after = Some(last);
        self.clear_sometimes().await?;
        Ok(true)
    }

    /// A fault where the tables are not any more what was copied.
    async fn refuse_other_schema(&mut self) -> Result<()> {
        if database::schema(&mut self.session).await? == self.schema {
            Ok(())
        } else {
            Err(Error::fault(
                "a migration has changed the tables meanwhile; begin again",
            ))
        }
    }

    fn keep(&mut self, ids: &[BookingId], found: Found) {
        self.findings.bookings = add(self.findings.bookings, ids.len());
        self.findings.events = add(self.findings.events, found.events);
        self.findings.add(found.differences);
    }

    async fn clear_sometimes(&mut self) -> Result<()> {
        self.pages = self.pages.saturating_add(1);
        if self.pages.is_multiple_of(CLEARED_EVERY) {
            self.session.execute("begin").await?;
            scratch::clear(&mut self.session, self.copies).await?;
            self.session.execute("commit").await?;
        }
        Ok(())
    }

    /// Names a booking that cannot be replayed, and checks its sums if that can be done.
    async fn leave_behind(&mut self, id: BookingId, error: &Error) -> Result<Found> {
        begin(&mut self.session, self.copies).await?;
        let checked = verification::check_bookings(&mut self.session, &[id]).await;
        self.session.execute("rollback").await?;
        let mut differences = match checked {
            Err(error) if error.is_database_unavailable() => return Err(error),
            // It is in the way of its sums as well.
            checked => checked.unwrap_or_default(),
        };
        differences.push(Difference {
            subject: format!("booking {id}"),
            stored: Some("what cannot be replayed".to_owned()),
            witness: "the database says".to_owned(),
            said: Some(explain(error)),
        });
        Ok(Found {
            events: 0,
            differences,
        })
    }

    /// Checks what belongs to no page.
    pub(super) async fn end(mut self) -> Result<()> {
        wholes::check(&mut self.session, self.copies, self.findings).await
    }

    async fn replay(&mut self, ids: &[BookingId]) -> Result<Found> {
        let db = &mut self.session;
        self.unmatched.look_at_later(db, self.findings).await?;
        let pasts = replays::list_pasts(db, ids).await?;
        let mut differences = check_ends(&pasts);
        differences.extend(verification::check_bookings(db, ids).await?);

        let stored = replays::list_events(db, ids, &self.unmatched.strays(ids)).await?;
        let events = stored.len();
        let read = settlement::read(stored, self.now, &mut differences);
        let pasts: BTreeMap<_, _> = pasts.into_iter().map(|past| (past.id, past)).collect();
        for given in [Given::Bookings, Given::Attempts, Given::Refunds] {
            scratch::give(db, self.copies, given, ids).await?;
        }
        settlement::replay_checkouts(db, &pasts, &read, self.now, &mut differences).await?;
        differences.extend(verification::compare_payments(db, ids).await?);
        if read.iter().any(ReadEvent::is_about_payment) {
            scratch::forget_payments(db, self.copies).await?;
            scratch::give(db, self.copies, Given::Payments, ids).await?;
        }
        for given in [Given::Disputes, Given::DisputeTransfers] {
            scratch::give(db, self.copies, given, ids).await?;
        }
        settlement::replay_returns(db, &read, self.now, &mut differences).await?;
        differences.extend(verification::compare_returns(db, ids).await?);
        differences.extend(compare_charges(db, ids, &read).await?);
        differences.extend(compare_failures(db, ids, &read).await?);
        differences.extend(compare_disputes(db, ids, &read).await?);
        Ok(Found {
            events,
            differences,
        })
    }
}

/// Bookings that do not stand where all that has happened to them leads.
fn check_ends(pasts: &[BookingPast]) -> Vec<Difference> {
    let ends = pasts.iter().map(|past| {
        let end = past.booking_at(past.end());
        let currency = past.total.currency.as_str();
        let words = |status, met_minor| format!("{status:?}, {met_minor} {currency} met");
        Difference {
            subject: format!("booking {}", past.id),
            stored: Some(words(past.status, past.met_minor)),
            witness: "its past says".to_owned(),
            said: Some(words(end.status, end.met_minor)),
        }
    });
    ends.filter(|end| end.stored != end.said).collect()
}
