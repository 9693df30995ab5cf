//! The objects of a page are settled one by one: what is wrong with one of them is left to a
//! person, and the others are gone on with.

use serde_json::{Value, json};

use crate::app::App;
use crate::domain::reconciliation::{Findings, Healed};
use crate::domain::stripe_report::Change;
use crate::error::{Error, Result, explain};
use crate::repositories::discrepancies::{self, NewDiscrepancy};

/// What has come of the objects of a page so far.
pub(super) struct Settling<'a> {
    app: &'a App,
    /// As what those are left to a person that cannot be settled.
    kind: &'static str,
    settled: Vec<String>,
    pub(super) findings: Findings,
}

impl<'a> Settling<'a> {
    pub(super) fn new(app: &'a App, kind: &'static str) -> Self {
        Self {
            app,
            kind,
            settled: Vec::new(),
            findings: Findings::default(),
        }
    }

    /// Notes what has come of an object. Where the world is to blame, such as a database that has
    /// gone, the error is handed on, and the page is to be taken up again.
    pub(super) async fn note(
        &mut self,
        id: &str,
        settled: Result<impl IntoIterator<Item = Change>>,
    ) -> Result<()> {
        self.findings.checked = self.findings.checked.saturating_add(1);
        match settled {
            Ok(changes) => {
                let healed = changes.into_iter().map(Healed::from);
                self.findings.healed.extend(healed);
                self.settled.push(id.to_owned());
                Ok(())
            }
            Err(error) if error.is_of_the_world() => Err(error),
            Err(error) => self.leave(id, &error).await,
        }
    }

    /// Notes that nothing is to be done about these any more.
    pub(super) fn note_over(&mut self, ids: Vec<String>) {
        self.settled.extend(ids);
    }

    async fn leave(&mut self, id: &str, error: &Error) -> Result<()> {
        let why = explain(error);
        let discrepancy = NewDiscrepancy {
            kind: self.kind,
            subject: id,
            booking_id: None,
            ours: json!({ "error": error.lasting_words() }),
            theirs: Value::Null,
        };
        let mut db = self.app.acquire().await?;
        let opened = discrepancies::open(&mut db, &discrepancy, self.app.now()).await?;
        if opened.is_some() {
            tracing::error!("{id} cannot be settled, and is left to a person: {why}");
        } else {
            tracing::warn!("{id} still cannot be settled: {why}");
        }
        self.findings.discrepancies.extend(opened);
        Ok(())
    }

    /// All that was found. What could not be settled before, and could now, is healed.
    pub(super) async fn end(self) -> Result<Findings> {
        if !self.settled.is_empty() {
            let mut db = self.app.acquire().await?;
            discrepancies::heal(&mut db, self.kind, &self.settled).await?;
        }
        Ok(self.findings)
    }
}
