//! A Stripe that runs in this process: the API, the payment page and the webhooks of one sandbox
//! account, as Stripe documents them, and knobs to make it misbehave. It knows nothing of Holdfast.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;

mod account;
mod api;
mod api_request;
mod api_response;
mod bank;
mod bank_decision;
mod chances;
mod chaos;
mod charge;
mod checkout_creation;
mod checkout_lifecycle;
mod checkout_session;
mod clock;
mod connection;
mod courier;
mod currency;
mod delivery;
mod dispute;
mod dispute_lifecycle;
mod event;
mod execution;
mod expansion;
mod fault;
mod form;
mod hosted_page;
mod idempotency;
mod ids;
mod journal;
mod knobs;
mod line_items;
mod listing;
mod metadata;
mod misbehaviour;
mod mishap;
mod outbox;
mod parameters;
mod payment;
mod payment_intent;
mod payment_method;
mod payment_page;
mod pipeline;
mod refund;
mod refund_lifecycle;
mod refusal;
mod rendering;
mod sandbox;
mod settings;
mod state;
mod store;
mod stored_response;
mod table;

use chances::Setting;
use chaos::Chaos;
use connection::{ClientConnection, CuttableListener};
use sandbox::Sandbox;
pub use settings::{Endpoint, Options};

use super::loopback::{no_other_sites, only_here, only_json};

/// A running simulator; it stops when this is dropped.
#[derive(Debug)]
pub struct Simulator {
    sandbox: Arc<Sandbox>,
}

impl Simulator {
    /// Binds and serves in the background, on a loopback address for this machine alone. Fails when
    /// the address is taken or the data file cannot be read.
    pub async fn start(options: Options) -> std::io::Result<Self> {
        Self::serve(options, only_here).await
    }

    /// The same for a test that reaches it by way of a port of its own: `Host` may be anything.
    pub async fn start_behind_gate(options: Options) -> std::io::Result<Self> {
        Self::serve(options, |router, _| router).await
    }

    async fn serve(
        options: Options,
        guard: impl FnOnce(Router, SocketAddr) -> Router,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(options.bind).await?;
        let address = listener.local_addr()?;
        let sandbox = Sandbox::open(options, format!("http://{address}"))?;
        let knobs = only_json(knobs::routes().merge(bank::routes()));
        let router = Router::new()
            .nest("/_simulator", no_other_sites(knobs))
            .nest("/c/pay", no_other_sites(hosted_page::routes()))
            .fallback(pipeline::respond)
            .with_state(Arc::clone(&sandbox));
        let router = guard(router, address);
        let service = router.into_make_service_with_connect_info::<ClientConnection>();
        sandbox.spawn(async move {
            let served = axum::serve(CuttableListener(listener), service).await;
            tracing::debug!(?served, "the simulator stopped serving");
        });
        sandbox.spawn(Arc::clone(&sandbox).tick());
        Ok(Self { sandbox })
    }

    /// The base address, such as `http://127.0.0.1:4242`, without `/v1`.
    pub fn url(&self) -> String {
        self.sandbox.base_url.clone()
    }

    /// Resolves when no webhook delivery is being made or due now; held ones and later retries do
    /// not count.
    pub async fn settled(&self) {
        self.sandbox.settled().await;
    }

    /// From now on it misbehaves by chance, as often as usual, and as any other that began with
    /// this seed.
    pub fn start_chaos(&self, seed: u64) {
        let chaos = Chaos::new(Setting::usual(seed));
        self.sandbox.peek(|state| state.set_chaos(Some(chaos)));
    }

    /// Events from now on go to this endpoint too.
    pub fn add_endpoint(&self, endpoint: Endpoint) {
        self.sandbox.peek(|state| state.endpoints.push(endpoint));
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.sandbox.close();
    }
}
