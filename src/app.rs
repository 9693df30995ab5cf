//! What the whole process shares: settings, connections, clients, the clock. Built once; decides
//! nothing.

mod batcher;
mod batchers;
mod database;
mod feed;
mod layouts;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

pub use batcher::{BatchHandler, BatchLimits, Batched, Batcher, Pause};
pub use batchers::{Batchers, HeldBooking, ReceivedEvent, SeatMap};
use chrono::{DateTime, SubsecRound, Utc};
pub use database::HANDLED_ALONE_MAX;

pub use feed::{Feed, Follower};
pub use layouts::Layouts;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection, Postgres, Transaction};
use tokio::sync::watch;

use crate::config::{Config, Secret};
use crate::domain::ids::AttemptId;
use crate::domain::user::{User, UserId};
use crate::error::{Error, Result};
use crate::gateways::identity::IdentityProvider;
use crate::gateways::stripe::Stripe;

/// Connections of one process for its requests. Most of them share theirs with others ([`Batchers`]).
const POOL_CONNECTIONS_MAX: u32 = 20;
/// Connections beside these for what has been paid, or can be: it must not queue behind thousands
/// who want a seat.
const SETTLING_CONNECTIONS_MAX: u32 = 6;
/// Connections of the workers of one process, beside those of its requests.
const WORKER_CONNECTIONS_MAX: u32 = 6;
/// How long a request waits for a connection before it is told that the database is busy.
const POOL_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long a connection outside the pool may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How many users are remembered as stored: a few megabytes.
const USERS_SEEN_MAX: usize = 20_000;

/// The settings of one session at Postgres. A statement or a lock that takes longer than its limit
/// has gone wrong. Every statement has an index to go by, row by row, and a plan that was cached
/// while a table was empty must not read all of it later. Its best plan is always the same: a new
/// one for each value costs more to make than to carry out.
const SESSION: [(&str, &str); 8] = [
    ("statement_timeout", "10s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// What handlers are given.
pub type AppState = Arc<App>;

/// The process.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The database. Connections are made when they are needed.
    pub db: PgPool,
    /// The database, for what Stripe has said: events, and the sessions of bookings.
    pub settling_db: PgPool,
    /// The time.
    pub clock: Clock,
    /// Stripe's API.
    pub stripe: Stripe,
    /// Who vouches for users.
    pub identity: IdentityProvider,
    /// Who follows which booking.
    pub feed: Feed,
    /// Which attempts Stripe is being asked about.
    pub session_checks: SessionChecks,
    /// Which users are stored as their tokens describe them.
    pub users_seen: UsersSeen,
    /// Requests that wait for the next statement or transaction.
    pub batchers: Batchers,
    /// Layouts of shows that were asked for before.
    pub layouts: Layouts,
}

impl App {
    /// Builds the process from its settings; nothing is connected yet. `bind` makes the batchers,
    /// whose handlers know the process that they are part of.
    pub fn new(
        config: Config,
        clock: Clock,
        bind: impl FnOnce(&Weak<Self>) -> Batchers,
    ) -> Result<AppState> {
        let db = pool(&config.database_url, POOL_CONNECTIONS_MAX)?;
        let settling_db = pool(&config.database_url, SETTLING_CONNECTIONS_MAX)?;
        let stripe = Stripe::new(&config.stripe)?;
        let identity = IdentityProvider::new(&config.identity)?;
        Ok(Arc::new_cyclic(|app| Self {
            db,
            settling_db,
            stripe,
            identity,
            feed: Feed::default(),
            session_checks: SessionChecks::default(),
            users_seen: UsersSeen::default(),
            batchers: bind(app),
            layouts: Layouts::default(),
            clock,
            config,
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

    /// A connection, when there is one to be had. In a box: while thousands wait, this future is
    /// most of what each keeps.
    pub fn acquire(
        &self,
    ) -> Pin<Box<dyn Future<Output = sqlx::Result<PoolConnection<Postgres>>> + Send>> {
        Box::pin(self.db.acquire())
    }

    /// Begins a transaction; dropped without a commit, it is rolled back.
    ///
    /// In a task of its own: a caller who is dropped while BEGIN is under way would else leave his
    /// connection inside a transaction that sqlx knows nothing of, and what others then write on it
    /// would be lost with it.
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>> {
        begin(self.db.clone()).await
    }

    /// Commits, and nudges the feed. An error of [`Error::OutcomeUnknown`] leaves open whether it is
    /// done; any other means that it is not.
    pub async fn commit(&self, tx: Transaction<'_, Postgres>) -> Result<()> {
        database::commit(tx).await?;
        self.feed.nudge();
        Ok(())
    }

    /// As [`App::begin`], for what Stripe has said.
    pub async fn begin_settling(&self) -> Result<Transaction<'static, Postgres>> {
        begin(self.settling_db.clone()).await
    }
}

async fn begin(db: PgPool) -> Result<Transaction<'static, Postgres>> {
    let begun = tokio::spawn(async move { db.begin().await }).await;
    Ok(begun.map_err(|error| Error::fault(format!("a transaction broke off: {error}")))??)
}

/// A connection outside the pool, for a command: it says at once why it cannot be had, and what it
/// runs may take long.
pub async fn connect(url: &Secret) -> Result<PgConnection> {
    let options: PgConnectOptions = url.reveal().parse()?;
    let options = options.application_name("holdfast");
    let connected = tokio::time::timeout(CONNECT_MAX, PgConnection::connect_with(&options)).await;
    Ok(connected.map_err(|_| Error::fault(format!("no answer within {CONNECT_MAX:?}")))??)
}

/// A pool that connects when it is needed. Fails only on a URL that cannot be read.
///
/// Connections are not pinged before use: that costs a quarter of the CPU, and a dead one gives an
/// error that the caller is told to repeat.
fn pool(url: &Secret, connections_max: u32) -> Result<PgPool> {
    let options: PgConnectOptions = url.reveal().parse()?;
    Ok(PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(POOL_WAIT_MAX)
        .test_before_acquire(false)
        .connect_lazy_with(options.application_name("holdfast").options(SESSION)))
}

/// A pool of two connections for a command, without the limits of a session: migrations may take
/// their time. Fails only on a URL that cannot be read.
pub fn migration_pool(url: &Secret) -> Result<PgPool> {
    let options: PgConnectOptions = url.reveal().parse()?;
    Ok(PgPoolOptions::new()
        .max_connections(2)
        .connect_lazy_with(options.application_name("holdfast")))
}

/// A pool for the workers of a process, which need a connection now and then, and one that listens.
/// Fails only on a URL that cannot be read.
pub fn worker_pool(url: &Secret) -> Result<PgPool> {
    let options: PgConnectOptions = url.reveal().parse()?;
    Ok(PgPoolOptions::new()
        .max_connections(WORKER_CONNECTIONS_MAX)
        .acquire_timeout(POOL_WAIT_MAX)
        .connect_lazy_with(
            options
                .application_name("holdfast workers")
                .options(SESSION),
        ))
}

/// Which attempts Stripe is being asked about in this process, so that all who want to know share
/// one question.
#[derive(Default)]
pub struct SessionChecks(Mutex<HashMap<AttemptId, watch::Receiver<()>>>);

impl SessionChecks {
    /// What closes when the check about `id` is over; with the sender that keeps it open for
    /// whoever has to make it, because nobody else is at it.
    pub fn join(&self, id: AttemptId) -> (watch::Receiver<()>, Option<watch::Sender<()>>) {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, check| check.has_changed().is_ok());
        if let Some(check) = under_way.get(&id) {
            return (check.clone(), None);
        }
        let (sender, check) = watch::channel(());
        under_way.insert(id, check.clone());
        (check, Some(sender))
    }
}

/// Remembers which users are stored as their tokens describe them, which saves a round trip per
/// request.
#[derive(Default)]
pub struct UsersSeen(Mutex<HashMap<UserId, User>>);

impl UsersSeen {
    /// Whether the user, or something that his token says of him, is not known to be stored.
    pub fn is_new(&self, user: &User) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&user.id)
            != Some(user)
    }

    /// Remembers the user as stored. When too many are remembered, all are forgotten.
    pub fn remember(&self, user: &User) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= USERS_SEEN_MAX {
            seen.clear();
        }
        seen.insert(user.id.clone(), user.clone());
    }
}

/// Tells the time: the system's, or one that stands still until a test moves it.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Stopped(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `at` until it is moved.
    pub fn stopped(at: DateTime<Utc>) -> Self {
        Self(Source::Stopped(Arc::new(Mutex::new(at))))
    }

    /// The time, in whole microseconds: what the database keeps.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the time"
    )]
    pub fn now(&self) -> DateTime<Utc> {
        let now = match &self.0 {
            Source::System => Utc::now(),
            Source::Stopped(at) => *at.lock().unwrap_or_else(PoisonError::into_inner),
        };
        now.trunc_subsecs(6)
    }

    /// Moves a stopped clock forward. A fault on the system's clock, and where the time would leave
    /// the calendar.
    pub fn advance(&self, by: chrono::Duration) -> Result<()> {
        let Source::Stopped(at) = &self.0 else {
            return Err(Error::fault("the system's clock cannot be moved"));
        };
        let mut at = at.lock().unwrap_or_else(PoisonError::into_inner);
        *at = at
            .checked_add_signed(by)
            .ok_or_else(|| Error::fault("the clock would leave the calendar"))?;
        Ok(())
    }
}
