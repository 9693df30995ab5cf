//! What Stripe has made, listed page by page, newest first.
//! <https://docs.stripe.com/api/pagination>

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stripe_client_core::{RequestBuilder, StripeMethod};

use super::objects::{RetrievedSession, StripeObject};
use super::{Stripe, StripeError};
use crate::domain::capture::Capture;
use crate::domain::stripe_report::AttemptReference;

/// Stripe's largest page.
const PAGE_MAX: usize = 100;
/// The types of event that say something about a booking; Stripe takes at most twenty.
const EVENT_TYPES: [&str; 5] = [
    "checkout.session.completed",
    "checkout.session.expired",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "payment_intent.succeeded",
];

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
#[derive(Debug)]
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

#[derive(Deserialize)]
struct List<T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
}

impl Stripe {
    /// Events that not every endpoint has acknowledged, as they would have been delivered. Stripe
    /// keeps them for thirty days.
    /// <https://docs.stripe.com/webhooks/process-undelivered-events>
    pub async fn list_undelivered_events(
        &self,
        page: PageOf<'_>,
    ) -> Result<ListPage<String>, StripeError> {
        let mut query = vec![("delivery_success", "false".to_owned())];
        query.extend(EVENT_TYPES.map(|kind| ("types[]", kind.to_owned())));
        let list: List<Value> = self.list("/events", page, query).await?;
        let id = |event: &Value| event.get("id").and_then(Value::as_str).map(str::to_owned);
        Ok(ListPage {
            next_after: list.data.last().filter(|_| list.has_more).and_then(id),
            items: list.data.iter().map(Value::to_string).collect(),
        })
    }

    /// Checkout Sessions, with their PaymentIntents.
    /// <https://docs.stripe.com/api/checkout/sessions/list>
    pub async fn list_sessions(
        &self,
        page: PageOf<'_>,
    ) -> Result<ListPage<RetrievedSession>, StripeError> {
        let query = vec![("expand[]", "data.payment_intent".to_owned())];
        let listed: List<RetrievedSession> = self.list("/checkout/sessions", page, query).await?;
        let end = listed.data.last().filter(|_| listed.has_more);
        Ok(ListPage {
            next_after: end.and_then(|session| session.reference().session_id),
            items: listed.data,
        })
    }

    /// PaymentIntents whose money was captured; others are on no page.
    /// <https://docs.stripe.com/api/payment_intents/list>
    pub async fn list_captures(
        &self,
        page: PageOf<'_>,
    ) -> Result<ListPage<ListedCapture>, StripeError> {
        let query = vec![("expand[]", "data.latest_charge".to_owned())];
        let listed: List<StripeObject> = self.list("/payment_intents", page, query).await?;
        let end = listed.data.last().filter(|_| listed.has_more);
        Ok(ListPage {
            next_after: end.and_then(|intent| intent.id.clone()),
            items: listed.data.iter().filter_map(captured).collect(),
        })
    }

    async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        page: PageOf<'_>,
        mut query: Vec<(&str, String)>,
    ) -> Result<List<T>, StripeError> {
        query.push(("limit", PAGE_MAX.to_string()));
        query.push(("created[gte]", page.since.timestamp().to_string()));
        query.extend(page.after.map(|after| ("starting_after", after.to_owned())));
        let mut request = RequestBuilder::new(StripeMethod::Get, path);
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        request.query = Some(query);
        self.call(request, None).await
    }
}

fn captured(intent: &StripeObject) -> Option<ListedCapture> {
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
            captured_at: intent.created?,
            remarks: intent.remarks(None),
        },
        refunded: intent.refunded(),
        id,
    })
}
