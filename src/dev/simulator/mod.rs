//! A Stripe that runs in this process: the API, the payment page and the webhooks of one sandbox
//! account, as Stripe documents them, and knobs to make it misbehave. It knows nothing of Holdfast.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;

mod account;
mod api;
mod bank;
mod chaos;
mod charge;
mod checkout_creation;
mod checkout_lifecycle;
mod checkout_session;
mod clock;
mod currency;
mod delivery;
mod dispute;
mod event;
mod execution;
mod expansion;
mod fault;
mod form;
mod hosted_page;
mod idempotency;
mod ids;
mod intake;
mod journal;
mod knobs;
mod line;
mod line_items;
mod listing;
mod metadata;
mod misbehaviour;
mod parameters;
mod payment;
mod payment_intent;
mod payment_method;
mod payment_page;
mod pipeline;
mod post;
mod refund;
mod refusal;
mod rendering;
mod sandbox;
mod store;
mod table;

use line::{Exchange, Line};
use sandbox::Sandbox;

/// How a simulator starts.
#[derive(Debug)]
pub struct Options {
    /// Port 0 takes any free port.
    pub bind: SocketAddr,
    /// The webhook endpoints of the account.
    pub endpoints: Vec<Endpoint>,
    /// Keeps the account over restarts; without it, everything is forgotten.
    pub data_file: Option<PathBuf>,
    /// `Some`: the clock stands still there until it is moved. `None`: it follows the system's.
    pub now: Option<DateTime<Utc>>,
}

/// A webhook endpoint. Two with the same address are one whose secret is being rolled: it gets both
/// signatures.
#[derive(Clone)]
pub struct Endpoint {
    /// Where events are posted: a plain `http` address, since the merchant is on this machine.
    pub url: String,
    /// The signing key: the whole string, `whsec_` included.
    pub secret: String,
    /// The version events are labelled with; without it, the one that the simulator renders.
    pub api_version: Option<String>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Endpoint")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// A running simulator; it stops when this is dropped.
#[derive(Debug)]
pub struct Simulator {
    sandbox: Arc<Sandbox>,
}

impl Simulator {
    /// Binds and serves in the background. Fails when the address is taken or the data file cannot
    /// be read.
    pub async fn start(options: Options) -> std::io::Result<Self> {
        let listener = TcpListener::bind(options.bind).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let sandbox = Sandbox::open(options, url)?;
        let router = Router::new()
            .nest("/_simulator", knobs::routes().merge(bank::routes()))
            .nest("/c/pay", hosted_page::routes())
            .fallback(pipeline::answer)
            .with_state(Arc::clone(&sandbox));
        let service = router.into_make_service_with_connect_info::<Line>();
        sandbox.spawn(async move {
            let served = axum::serve(Exchange(listener), service).await;
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
    pub fn unleash(&self, seed: u64) {
        self.sandbox
            .peek(|state| chaos::set(state, Some(chaos::Chaos::usual(seed))));
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
