//! Posts deliveries to their endpoints.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::outbox::{self, Batch};
use super::state::{SharedState, State};

const STRIPE_USER_AGENT: &str = "Stripe/1.0 (+https://stripe.com/docs/webhooks)";
/// Stripe does not publish how long it waits for an endpoint; others report 20 to 30 seconds.
const ENDPOINT_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Courier {
    state: Arc<SharedState>,
    http: reqwest::Client,
    /// Notified after every attempt to deliver.
    attempted: Notify,
}

impl Courier {
    pub(super) fn new(state: Arc<SharedState>) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ENDPOINT_TIMEOUT)
            // Endpoints are on this machine, without TLS; loading the system's roots would slow
            // every start.
            .tls_certs_only([])
            .build()?;
        Ok(Self {
            state,
            http,
            attempted: Notify::new(),
        })
    }

    /// Makes one attempt at each delivery of the batch.
    pub(super) async fn deliver(self: Arc<Self>, batch: Batch) {
        for round in batch.rounds {
            let mut copies = JoinSet::new();
            for id in round {
                let courier = Arc::clone(&self);
                copies.spawn(async move { courier.attempt(id).await });
            }
            while copies.join_next().await.is_some() {}
        }
    }

    async fn attempt(&self, id: u64) {
        let message = outbox::write(&self.state.lock(), id);
        let Some(message) = message else {
            // Its endpoint is gone: there is nothing to wait for.
            outbox::forget(&mut self.state.lock(), id);
            self.attempted.notify_waiters();
            return;
        };
        let sent = self
            .http
            .post(&message.url)
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .header(USER_AGENT, STRIPE_USER_AGENT)
            .header("Cache-Control", "no-cache")
            .header("Stripe-Signature", message.signature)
            .body(message.body)
            .send()
            .await;
        let response = sent
            .map(|response| response.status().as_u16())
            .map_err(|error| error.to_string());
        outbox::conclude(&mut self.state.lock(), id, response);
        self.attempted.notify_waiters();
    }

    /// Resolves as soon as this holds, which is looked at now and after every attempt.
    pub(super) async fn until(&self, holds: impl Fn(&State) -> bool) {
        loop {
            let attempted = self.attempted.notified();
            if holds(&self.state.lock()) {
                return;
            }
            attempted.await;
        }
    }

    /// Lets those who wait look again.
    pub(super) fn wake(&self) {
        self.attempted.notify_waiters();
    }
}
