//! Stripe: what we ask of it, and what it tells us.

mod breaker;
mod budget;
mod charges;
pub mod checkout;
mod client;
mod error;
pub mod event;
mod lane;
mod lanes;
pub mod lists;
mod objects;
pub mod refunds;
mod response;
mod retry_budget;
pub mod signature;

use chrono::{DateTime, Utc};
use stripe_client_core::{RequestBuilder, StripeMethod};

pub use client::{Probe, Stripe};
pub use error::{StripeError, Unanswered};
pub use lane::Lane;
use objects::CheckoutSession;
pub use objects::{RetrievedSession, SessionLook};

use crate::domain::attempt::OpenCheckout;
use crate::domain::ids::AttemptId;

impl Stripe {
    /// Asks for the session of `attempt` with exactly the stored `parameters`, which ask for it to
    /// end at `expires_at`; for whom, the lane says. The key is the attempt's, on every try, so
    /// that asking again gives the same session.
    /// <https://docs.stripe.com/api/idempotent_requests>
    pub async fn create_session(
        &self,
        attempt: AttemptId,
        parameters: &str,
        expires_at: DateTime<Utc>,
        lane: Lane,
    ) -> Result<OpenCheckout, StripeError> {
        let mut request = RequestBuilder::new(StripeMethod::Post, "/checkout/sessions");
        request.body = Some(parameters.to_owned());
        let key = attempt.stripe_key();
        let session: CheckoutSession = self.call(lane, request, Some(&key)).await?;
        session.usable(expires_at)
    }

    /// Ends an open session, so that it cannot be paid any more. Refused with 400 if it is not
    /// open. <https://docs.stripe.com/api/checkout/sessions/expire>
    pub async fn expire_session(&self, id: &str) -> Result<(), StripeError> {
        let path = format!("/checkout/sessions/{}/expire", client::path_id(id)?);
        let request = RequestBuilder::new(StripeMethod::Post, path);
        let expired = self.call::<CheckoutSession>(Lane::Expire, request, None);
        expired.await.map(drop)
    }

    /// How a session stands, for whom the lane says.
    /// <https://docs.stripe.com/api/checkout/sessions/retrieve>
    pub async fn retrieve_session(
        &self,
        id: &str,
        lane: Lane,
    ) -> Result<RetrievedSession, StripeError> {
        let path = format!("/checkout/sessions/{}", client::path_id(id)?);
        let mut request = RequestBuilder::new(StripeMethod::Get, path);
        request.query = Some("expand[]=payment_intent".to_owned());
        self.call(lane, request, None).await
    }
}
