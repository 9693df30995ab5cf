//! What Stripe and we have of a capture, side by side.

use serde_json::{Value, json};

use crate::app::App;
use crate::domain::money::Money;
use crate::domain::reconciliation::{Findings, Sums};
use crate::error::Result;
use crate::gateways::stripe::lists::ListedCapture;
use crate::repositories::captures::{self, RecordedCapture};
use crate::repositories::discrepancies::{self, NewDiscrepancy};

const UNRECORDED: &str = "capture_unrecorded";
const CAPTURE_DIFFERS: &str = "capture_differs";
const REFUNDS_DIFFER: &str = "capture_refunds_differ";
const UNKNOWN_TO_STRIPE: &str = "capture_unknown_to_stripe";
/// In what the two sides of a capture can differ, as a discrepancy about its PaymentIntent. They
/// are healed where the sides agree.
pub(super) const KINDS: [&str; 4] = [
    UNRECORDED,
    CAPTURE_DIFFERS,
    REFUNDS_DIFFER,
    UNKNOWN_TO_STRIPE,
];

/// Both sides of a capture.
pub(super) struct Sides {
    pub(super) listed: ListedCapture,
    pub(super) recorded: Option<RecordedCapture>,
}

impl Sides {
    /// In what they differ: Stripe has captured what is not recorded, or another amount, or has
    /// given back more or less than is recorded.
    pub(super) fn difference(&self) -> Option<&'static str> {
        let Some(recorded) = &self.recorded else {
            return Some(UNRECORDED);
        };
        let captured = Money::new(recorded.captured, recorded.currency);
        if self.listed.capture.money != Some(captured) {
            return Some(CAPTURE_DIFFERS);
        }
        let differs = self.differs_in_refunds() && !recorded.is_refund_open;
        differs.then_some(REFUNDS_DIFFER)
    }

    fn differs_in_refunds(&self) -> bool {
        let recorded = self.recorded.as_ref().map(|recorded| recorded.refunded);
        recorded != Some(self.listed.refunded)
    }

    /// Whether they do not differ in this. While Stripe is being asked for a refund, nothing can be
    /// said of refunds.
    fn agree_in(&self, kind: &str) -> bool {
        self.difference() != Some(kind) && (kind != REFUNDS_DIFFER || !self.differs_in_refunds())
    }

    fn sums(&self) -> impl Iterator<Item = Sums> {
        let theirs = self.listed.capture.money.map(|money| Sums {
            stripe_captured: money.amount_minor,
            stripe_refunded: self.listed.refunded,
            ..Sums::none(money.currency)
        });
        let ours = self.recorded.as_ref().map(sums_of_recorded);
        ours.into_iter().chain(theirs)
    }

    fn discrepancy(&self, kind: &'static str) -> NewDiscrepancy<'_> {
        let recorded = self.recorded.as_ref();
        NewDiscrepancy {
            kind,
            subject: &self.listed.id,
            booking_id: recorded.map(|recorded| recorded.booking_id),
            ours: recorded.map_or(Value::Null, statement),
            theirs: json!({
                "said": self.listed.capture.statement(), "refunded": self.listed.refunded,
            }),
        }
    }
}

/// Adds up what both sides have, and has a person look where they differ; where they agree, what
/// was to be looked at is healed.
pub(super) async fn conclude(app: &App, all: &[Sides], mut findings: Findings) -> Result<Findings> {
    if all.is_empty() {
        return Ok(findings);
    }
    let mut db = app.acquire().await?;
    for sides in all {
        for sums in sides.sums() {
            findings.add(&sums);
        }
        if let Some(kind) = sides.difference() {
            let opened = discrepancies::open(&mut db, &sides.discrepancy(kind), app.now()).await?;
            findings.discrepancies.extend(opened);
        }
    }
    for kind in KINDS {
        let agreeing = all.iter().filter(|sides| sides.agree_in(kind));
        let agreeing: Vec<_> = agreeing.map(|sides| sides.listed.id.clone()).collect();
        discrepancies::heal(&mut db, kind, &agreeing).await?;
    }
    let recorded = all.iter().filter_map(|sides| sides.recorded.as_ref());
    let ids: Vec<_> = recorded.map(|recorded| recorded.payment_id).collect();
    captures::mark_compared(&mut db, &ids, app.now()).await?;
    Ok(findings)
}

/// Adds up what is recorded of captures that Stripe does not have, and has a person look.
pub(super) async fn conclude_unknown(
    app: &App,
    recorded: impl IntoIterator<Item = RecordedCapture>,
) -> Result<Findings> {
    let mut findings = Findings::default();
    for recorded in recorded {
        findings.checked = findings.checked.saturating_add(1);
        findings.add(&sums_of_recorded(&recorded));
        let discrepancy = NewDiscrepancy {
            kind: UNKNOWN_TO_STRIPE,
            subject: &recorded.payment_intent_id,
            booking_id: Some(recorded.booking_id),
            ours: statement(&recorded),
            theirs: Value::Null,
        };
        let mut db = app.acquire().await?;
        let opened = discrepancies::open(&mut db, &discrepancy, app.now()).await?;
        findings.discrepancies.extend(opened);
    }
    Ok(findings)
}

fn sums_of_recorded(recorded: &RecordedCapture) -> Sums {
    Sums {
        captured: recorded.captured,
        refunded: recorded.refunded,
        disputed: recorded.disputed,
        ..Sums::none(recorded.currency)
    }
}

fn statement(recorded: &RecordedCapture) -> Value {
    json!({ "captured": recorded.captured, "refunded": recorded.refunded })
}
