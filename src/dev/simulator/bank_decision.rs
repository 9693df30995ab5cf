//! What banks decide by chance, and say later: whether a delayed payment comes, and what becomes of
//! a refund.

use serde_json::Value;

use super::account::{Account, Cause};
use super::chances::Chances;
use super::clock::real_milliseconds;
use super::mishap::Mishap;
use super::payment;
use super::payment_method::{Behaviour, Decline};
use super::refund::RefundStatus;
use super::refund_lifecycle;
use super::refusal::Refusal;

#[derive(Debug)]
pub(super) struct BankDecision {
    /// Said at this real time, in Unix milliseconds.
    due: u64,
    about: About,
}

#[derive(Debug)]
enum About {
    Payment { session: String, fails: bool },
    Refund { id: String, status: RefundStatus },
}

impl BankDecision {
    /// What a bank decides about the event that has just happened, if anything.
    pub(super) fn draw(chances: &mut Chances, account: &mut Account, event: &str) -> Option<Self> {
        let event = account.events.get(event)?;
        let about_event = Chances::about_event(account, event);
        let id = event.object.get("id").and_then(Value::as_str);
        let id = id.unwrap_or_default().to_owned();
        let (mishap, about) = match event.kind.as_str() {
            "payment_intent.processing" => {
                let session = account.intents.get(&id)?.session.clone();
                let fails = chances.happens(Mishap::DelayedFails, &about_event);
                (Mishap::DelayedFails, About::Payment { session, fails })
            }
            "charge.succeeded" => {
                let charge = account.charges.get_mut(&id)?;
                if charge.method.behaviour == Behaviour::Succeeds
                    && chances.happens(Mishap::RefundWaits, &about_event)
                {
                    charge.method.behaviour = Behaviour::RefundsSlowly;
                }
                return None;
            }
            "refund.created" => {
                let fails = chances.happens(Mishap::RefundFails, &about_event);
                let waits = account
                    .refunds
                    .get(&id)
                    .is_some_and(|refund| refund.status == RefundStatus::Pending);
                let status = if fails {
                    RefundStatus::Failed
                } else if waits {
                    RefundStatus::Succeeded
                } else {
                    return None;
                };
                (Mishap::RefundFails, About::Refund { id, status })
            }
            _ => return None,
        };
        let wait = chances.milliseconds(mishap, &about_event, chances.setting.bank_seconds);
        Some(Self {
            due: real_milliseconds().saturating_add(wait),
            about,
        })
    }

    pub(super) fn is_due(&self, now_milliseconds: u64) -> bool {
        self.due <= now_milliseconds
    }

    /// The bank says so. What a test has settled itself stays so.
    pub(super) fn apply(self, account: &mut Account, cause: &Cause) {
        if let Err(refusal) = self.settle(account, cause) {
            tracing::debug!(
                reason = refusal.message(),
                "a bank had nothing left to decide"
            );
        }
    }

    fn settle(self, account: &mut Account, cause: &Cause) -> Result<(), Refusal> {
        match self.about {
            About::Payment { session, fails } => {
                let outcome = if fails {
                    Err(Decline::InsufficientFunds)
                } else {
                    Ok(())
                };
                payment::settle(account, &session, outcome, cause)
            }
            About::Refund { id, status } => {
                refund_lifecycle::settle(account, &id, status, cause).map(drop)
            }
        }
    }
}
