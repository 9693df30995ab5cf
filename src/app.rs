//! What the process is made of: settings, connections, clients, the clock. Built once; decides
//! nothing.

mod batcher;
mod batchers;
mod clock;
mod database;
mod feed;
mod layouts;
mod session_checks;
mod stripe_skew;
mod untrusted_forwarders;
mod users_seen;

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};

pub use batcher::{BatchHandler, BatchLimits, Batched, Batcher, Pause};
pub use batchers::{Batchers, HeldBooking, ReceivedEvent, SeatMap};
use chrono::{DateTime, Utc};
pub use clock::Clock;
pub use database::{HANDLED_ALONE_MAX, Pool, Pools, command_pool, connect};
pub use feed::{Feed, Follower};
pub use layouts::Layouts;
pub use session_checks::SessionChecks;
use sqlx::PgExecutor;
pub use stripe_skew::StripeSkew;
use tokio_util::sync::CancellationToken;
pub use untrusted_forwarders::UntrustedForwarders;
pub use users_seen::UsersSeen;

use crate::config::Config;
use crate::connection::{Connection, Transaction};
pub use crate::domain::skew::Skew;
use crate::error::{Error, Result};
use crate::gateways::identity::IdentityProvider;
use crate::gateways::stripe::Stripe;
use crate::repositories::database::clock;
use crate::repositories::untrusted_forwarders as noted_forwarders;

/// What handlers are given.
pub type AppState = Arc<App>;

/// The process.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The time.
    pub clock: Clock,
    /// Connections to the database, made when they are needed.
    pub pools: Pools,
    /// Requests that share a statement or a transaction.
    pub batchers: Batchers,
    /// Stripe's API.
    pub stripe: Stripe,
    /// What is known of Stripe's clock.
    pub stripe_skew: StripeSkew,
    /// Who vouches for users.
    pub identity: IdentityProvider,
    /// Who follows which booking.
    pub feed: Feed,
    /// Which attempts Stripe is being asked about.
    pub session_checks: SessionChecks,
    /// Who forwards requests, and is not believed.
    pub untrusted_forwarders: UntrustedForwarders,
    /// Which users are stored as their tokens describe them.
    pub users_seen: UsersSeen,
    /// Layouts of shows that were asked for before.
    pub layouts: Layouts,
    /// Cancelled when the process stops: who waits for something to happen waits no longer.
    pub stopping: CancellationToken,
}

impl App {
    /// Builds the process from its settings; nothing is connected yet. `bind` makes the batchers,
    /// whose handlers know the process that they are part of.
    pub fn new(
        config: Config,
        clock: Clock,
        bind: impl FnOnce(&Weak<Self>) -> Batchers,
    ) -> Result<AppState> {
        let pools = Pools::new(&config.database_url)?;
        let stripe = Stripe::new(&config.stripe)?;
        let identity = IdentityProvider::new(&config.identity)?;
        Ok(Arc::new_cyclic(|app| Self {
            config,
            clock,
            pools,
            batchers: bind(app),
            stripe,
            stripe_skew: StripeSkew::default(),
            identity,
            feed: Feed::default(),
            session_checks: SessionChecks::default(),
            untrusted_forwarders: UntrustedForwarders::default(),
            users_seen: UsersSeen::default(),
            layouts: Layouts::default(),
            stopping: CancellationToken::new(),
        }))
    }

    /// The process that the handler of a batcher belongs to, unless it has ended.
    pub fn upgrade(app: &Weak<Self>) -> Result<AppState> {
        app.upgrade()
            .ok_or_else(|| Error::Unavailable("the process has ended".to_owned()))
    }

    /// What time it is.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// How far our clock is from one that showed `theirs` between `before` and now.
    pub fn skew(&self, before: DateTime<Utc>, theirs: DateTime<Utc>) -> Skew {
        Skew::between(before, theirs, self.now())
    }

    /// How far our clock is from the database's.
    pub async fn database_skew(&self, db: impl PgExecutor<'_>) -> Result<Skew> {
        let before = self.now();
        Ok(self.skew(before, clock(db).await?))
    }

    /// Counts a request that was forwarded by somebody who is not believed, and notes them now and
    /// then, for `holdfast doctor`. Nobody waits for that.
    pub fn note_untrusted_forwarder(self: &Arc<Self>, forwarder: IpAddr) {
        if !self.untrusted_forwarders.count(forwarder) {
            return;
        }
        tracing::warn!(
            "{forwarder} sends X-Forwarded-For, and is not in TRUSTED_PROXIES: if it is a proxy of \
             yours, all behind it share one allowance"
        );
        let app = Arc::clone(self);
        tokio::spawn(async move {
            let noted = async {
                let mut db = app.pools.watch.acquire().await?;
                noted_forwarders::note(&mut db, forwarder, app.now()).await
            };
            if let Err(error) = noted.await {
                tracing::debug!("it was not noted: {error}");
            }
        });
    }

    /// A connection for a request, when there is one to be had.
    pub fn acquire(&self) -> Pin<Box<dyn Future<Output = sqlx::Result<Connection>> + Send>> {
        self.pools.requests.acquire()
    }

    /// Begins a transaction for a request; dropped without a commit, it is rolled back.
    pub async fn begin(&self) -> Result<Transaction> {
        Ok(self.pools.requests.begin().await?)
    }

    /// Begins a transaction for what has been paid, or can be; dropped without a commit, it is
    /// rolled back.
    pub async fn begin_payment(&self) -> Result<Transaction> {
        Ok(self.pools.payments.begin().await?)
    }

    /// Commits, and nudges the feed. [`Error::OutcomeUnknown`] leaves open whether that was done;
    /// any other error means that it was not.
    pub async fn commit(&self, tx: Transaction) -> Result<()> {
        database::commit(tx).await?;
        self.feed.nudge();
        Ok(())
    }
}
