//! What Stripe has made, listed page by page, newest first, and single objects as the lists have
//! them. <https://docs.stripe.com/api/pagination>

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stripe_client_core::{RequestBuilder, StripeMethod};

use super::client::path_id;
use super::event::SUBSCRIBED_TYPES;
use super::objects::{RetrievedSession, StripeObject};
use super::{Lane, Stripe, StripeError};
use crate::domain::capture::Capture;
use crate::domain::dispute::DisputeReport;
use crate::domain::refund::StripeRefund;
use crate::domain::stripe_report::AttemptReference;

/// Stripe's largest page.
pub(super) const PAGE_MAX: i64 = 100;

/// A list of what Stripe has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StripeList {
    /// Events that no endpoint has acknowledged.
    Events,
    /// Checkout Sessions, with their PaymentIntents.
    Sessions,
    /// PaymentIntents, with their charges.
    Captures,
    /// Refunds of whatever payment.
    Refunds,
    /// Disputes of whatever payment.
    Disputes,
}

impl StripeList {
    /// Each there is.
    pub const ALL: [Self; 5] = [
        Self::Events,
        Self::Sessions,
        Self::Captures,
        Self::Refunds,
        Self::Disputes,
    ];

    /// Where it is, without `/v1`.
    pub fn path(self) -> &'static str {
        match self {
            Self::Events => "/events",
            Self::Sessions => "/checkout/sessions",
            Self::Captures => "/payment_intents",
            Self::Refunds => "/refunds",
            Self::Disputes => "/disputes",
        }
    }

    /// What a restricted key must be allowed to read for it, by the names in Stripe's dashboard:
    /// what is expanded counts, too. <https://docs.stripe.com/stripe-apps/reference/permissions>
    pub fn rights(self) -> &'static str {
        match self {
            Self::Events => "Events",
            Self::Sessions => "Checkout Sessions and PaymentIntents",
            Self::Captures => "PaymentIntents and Charges",
            Self::Refunds => "Charges and Refunds",
            Self::Disputes => "Disputes",
        }
    }

    /// What is always asked for with it.
    fn query(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Events => {
                let mut query = vec![("delivery_success", "false".to_owned())];
                query.extend(SUBSCRIBED_TYPES.map(|kind| ("types[]", kind.to_owned())));
                query
            }
            Self::Sessions => vec![("expand[]", "data.payment_intent".to_owned())],
            Self::Captures => vec![("expand[]", "data.latest_charge".to_owned())],
            Self::Refunds | Self::Disputes => Vec::new(),
        }
    }
}

/// A page of a list.
#[derive(Debug)]
pub struct ListPage<T> {
    /// What is on it, newest first.
    pub items: Vec<T>,
    /// The last object of it, if there are more after it.
    pub next_after: Option<String>,
}

/// Which page of a list.
#[derive(Debug, Clone, Copy)]
pub struct PageOf<'a> {
    /// Only what was made since.
    pub since: DateTime<Utc>,
    /// Only what comes after this object.
    pub after: Option<&'a str>,
}

/// A PaymentIntent whose money was captured.
#[derive(Debug, Clone)]
pub struct ListedCapture {
    /// `pi_…`
    pub id: String,
    /// What it names of ours.
    pub reference: AttemptReference,
    /// What was captured.
    pub capture: Capture,
    /// How much of it was given back, in minor units.
    pub refunded: i64,
}

/// A list as Stripe gives it.
#[derive(Deserialize)]
pub(super) struct List {
    data: Vec<Value>,
    #[serde(default)]
    has_more: bool,
}

impl List {
    /// What can be read of it: an entry that is not even an object hides no other.
    pub(super) fn page<T>(
        self,
        read: impl Fn(Value) -> Option<T>,
    ) -> Result<ListPage<T>, StripeError> {
        let id = |entry: &Value| entry.get("id").and_then(Value::as_str).map(str::to_owned);
        let next_after = if self.has_more {
            let last = self.data.iter().rev().find_map(id);
            // Without one, all that comes after this page would be taken for not there.
            Some(last.ok_or_else(|| StripeError::unusable("a page without an id"))?)
        } else {
            None
        };
        let objects = self.data.into_iter().filter(|entry| {
            if !entry.is_object() {
                tracing::warn!("an entry of a list of Stripe's is no object");
            }
            entry.is_object()
        });
        let items = objects.filter_map(read).collect();
        Ok(ListPage { items, next_after })
    }
}

impl Stripe {
    /// Events of the types that are subscribed to and that not every endpoint has acknowledged, as
    /// they would have been delivered. Stripe keeps them for thirty days.
    /// <https://docs.stripe.com/webhooks/process-undelivered-events>
    pub async fn list_undelivered_events(
        &self,
        page: PageOf<'_>,
    ) -> Result<ListPage<String>, StripeError> {
        let list = self.list(StripeList::Events, page).await?;
        list.page(|event| Some(event.to_string()))
    }

    /// Checkout Sessions, with their PaymentIntents.
    /// <https://docs.stripe.com/api/checkout/sessions/list>
    pub async fn list_sessions(
        &self,
        page: PageOf<'_>,
    ) -> Result<ListPage<RetrievedSession>, StripeError> {
        let list = self.list(StripeList::Sessions, page).await?;
        list.page(|session| RetrievedSession::deserialize(session).ok())
    }

    /// PaymentIntents whose money was captured; others are on no page.
    /// <https://docs.stripe.com/api/payment_intents/list>
    pub async fn list_captures(
        &self,
        page: PageOf<'_>,
        now: DateTime<Utc>,
    ) -> Result<ListPage<ListedCapture>, StripeError> {
        let list = self.list(StripeList::Captures, page).await?;
        list.page(|intent| captured(&object(intent)?, now))
    }

    /// The capture of a PaymentIntent, as it is listed; `None` if Stripe does not know it, or has
    /// not captured it.
    /// <https://docs.stripe.com/api/payment_intents/retrieve>
    pub async fn retrieve_capture(
        &self,
        payment_intent_id: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<ListedCapture>, StripeError> {
        let retrieved = async {
            let path = format!("/payment_intents/{}", path_id(payment_intent_id)?);
            let query = vec![("expand[]", "latest_charge".to_owned())];
            self.get::<Value>(&path, query).await
        };
        match retrieved.await {
            Ok(intent) => Ok(object(intent).and_then(|intent| captured(&intent, now))),
            Err(error) if error.is_unknown() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Refunds of whatever payment, whoever has made them.
    /// <https://docs.stripe.com/api/refunds/list>
    pub async fn list_recent_refunds(
        &self,
        page: PageOf<'_>,
    ) -> Result<ListPage<StripeRefund>, StripeError> {
        let list = self.list(StripeList::Refunds, page).await?;
        list.page(|refund| object(refund)?.refund())
    }

    /// Disputes of whatever payment, as they stood at `now`.
    /// <https://docs.stripe.com/api/disputes/list>
    pub async fn list_disputes(
        &self,
        page: PageOf<'_>,
        now: DateTime<Utc>,
    ) -> Result<ListPage<DisputeReport>, StripeError> {
        let list = self.list(StripeList::Disputes, page).await?;
        list.page(|dispute| {
            let report = object(dispute)?.dispute_report(None, now)?;
            Some(DisputeReport {
                is_answer: true,
                ..report
            })
        })
    }

    /// Asks for one entry of a list, to learn whether it is given at all.
    pub async fn probe_list(&self, list: StripeList) -> Result<(), StripeError> {
        let mut query = list.query();
        query.push(("limit", "1".to_owned()));
        self.get::<List>(list.path(), query).await.map(drop)
    }

    async fn list(&self, list: StripeList, page: PageOf<'_>) -> Result<List, StripeError> {
        let mut query = list.query();
        query.push(("limit", PAGE_MAX.to_string()));
        query.push(("created[gte]", page.since.timestamp().to_string()));
        query.extend(page.after.map(|after| ("starting_after", after.to_owned())));
        self.get(list.path(), query).await
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Vec<(&str, String)>,
    ) -> Result<T, StripeError> {
        let mut request = RequestBuilder::new(StripeMethod::Get, path);
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        request.query = Some(query);
        self.call(Lane::Background, request, None).await
    }
}

fn object(entry: Value) -> Option<StripeObject> {
    StripeObject::deserialize(entry).ok()
}

/// What was captured of a PaymentIntent, as it is seen at `now`; `None` if nothing was.
fn captured(intent: &StripeObject, now: DateTime<Utc>) -> Option<ListedCapture> {
    if intent.status.as_deref() != Some("succeeded") {
        return None;
    }
    let id = intent.id.clone()?;
    Some(ListedCapture {
        reference: AttemptReference {
            session_id: None,
            payment_intent_id: Some(id.clone()),
            attempt_id: intent.attempt_id(),
            app: intent.app().map(str::to_owned),
        },
        capture: Capture {
            money: intent.received(),
            payment_intent_id: Some(id.clone()),
            booking_id: intent.booking_id(),
            captured_at: intent.created.unwrap_or(now),
            remarks: intent.remarks(None),
        },
        refunded: intent.refunded(),
        id,
    })
}
